// libbpf, typed and narrow: objects, pins, maps, links, test runs. Only common/native/ may know that koffi is underneath.
//
// Descriptors are plain numbers that the caller closes (libc.ts). Failures throw a BpfError that names the errno, except
// where absence is an ordinary answer: then the result says so. Numbers are those of linux/bpf.h.

import koffi from 'koffi';
import { addressOf, bpf, errno, errnoName, int32 } from './libc.ts';

const library = koffi.load('libbpf.so.1');
const bind = <F>(definition: string): F => library.func(definition) as unknown as F;

/** A refused bpf call. `message` reads "Cannot <verb> <object>: <errno name>". */
export class BpfError extends Error {
  /** Name of the errno, e.g. "E2BIG". */
  readonly code: string;
  constructor(what: string, number: number) {
    super(`Cannot ${what}: ${errnoName(number)}`);
    this.name = 'BpfError';
    this.code = errnoName(number);
  }
}

type Pointer = bigint;
type Bytes = Uint8Array;
const TEST_RUN = 10; // bpf command
const RDONLY = 8; // BPF_F_RDONLY
const ENOENT = 2;
const ENOTSUPP = 524; // the kernel's own: not in errno.h

const objectOpen = bind<(path: string, options: null) => Pointer | null>(
  'void *bpf_object__open_file(const char *, void *)',
);
const objectLoad = bind<(object: Pointer) => number>('int bpf_object__load(void *)');
const objectClose = bind<(object: Pointer) => void>('void bpf_object__close(void *)');
const nextMap = bind<(object: Pointer, previous: Pointer | null) => Pointer | null>(
  'void *bpf_object__next_map(void *, void *)',
);
const mapName = bind<(map: Pointer) => string>('const char *bpf_map__name(void *)');
const mapType = bind<(map: Pointer) => number>('int bpf_map__type(void *)');
const mapKeySize = bind<(map: Pointer) => number>('uint32_t bpf_map__key_size(void *)');
const mapValueSize = bind<(map: Pointer) => number>('uint32_t bpf_map__value_size(void *)');
const mapMaxEntries = bind<(map: Pointer) => number>('uint32_t bpf_map__max_entries(void *)');
const mapFlags = bind<(map: Pointer) => number>('uint32_t bpf_map__map_flags(void *)');
const mapSetMaxEntries = bind<(map: Pointer, entries: number) => number>(
  'int bpf_map__set_max_entries(void *, uint32_t)',
);
const mapSetPinPath = bind<(map: Pointer, path: string) => number>('int bpf_map__set_pin_path(void *, const char *)');
const nextProgram = bind<(object: Pointer, previous: Pointer | null) => Pointer | null>(
  'void *bpf_object__next_program(void *, void *)',
);
const programName = bind<(program: Pointer) => string>('const char *bpf_program__name(void *)');
const programFd = bind<(program: Pointer) => number>('int bpf_program__fd(void *)');
const objPin = bind<(fd: number, path: string) => number>('int bpf_obj_pin(int, const char *)');
const mapLookup = bind<(fd: number, key: Bytes, value: Bytes) => number>(
  'int bpf_map_lookup_elem(int, void *, void *)',
);
const mapUpdate = bind<(fd: number, key: Bytes, value: Bytes, flags: number) => number>(
  'int bpf_map_update_elem(int, void *, void *, uint64_t)',
);
const mapDelete = bind<(fd: number, key: Bytes) => number>('int bpf_map_delete_elem(int, void *)');
const mapNextKey = bind<(fd: number, key: Bytes | null, next: Bytes) => number>(
  'int bpf_map_get_next_key(int, void *, void *)',
);
const createLink = bind<(program: number, target: number, attachType: number, options: null) => number>(
  'int bpf_link_create(int, int, int, void *)',
);
const updateLink = bind<(link: number, program: number, options: null) => number>(
  'int bpf_link_update(int, int, void *)',
);
const objGet = bind<(path: string, options: Bytes) => number>('int bpf_obj_get_opts(const char *, void *)');
const objInfo = bind<(fd: number, out: Bytes, length: Bytes) => number>(
  'int bpf_obj_get_info_by_fd(int, void *, void *)',
);
const batch = bind<
  (fd: number, from: Bytes | null, to: Bytes, keys: Bytes, values: Bytes, count: Bytes, options: null) => number
>('int bpf_map_lookup_batch(int, void *, void *, void *, void *, void *, void *)');
/** Number of CPUs that per-CPU values have room for; each takes the value's size rounded up to 8. */
export const possibleCpus = bind<() => number>('int libbpf_num_possible_cpus(void)');

/** libbpf returns -errno. */
function checked(result: number, what: string): number {
  if (result < 0) throw new BpfError(what, -result);
  return result;
}

export interface MapShape {
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
}
/** A map of an object that is not loaded yet. */
export interface ObjectMap {
  readonly name: string;
  shape(): MapShape;
  setMaxEntries(entries: number): void;
  /** Reuse what is pinned there, or create the map and pin it there. */
  setPinPath(path: string): void;
}
export interface BpfObject extends Disposable {
  readonly maps: readonly ObjectMap[];
  /** Creates maps and verifies programs; the verifier's log goes to stderr if it refuses one. */
  load(): void;
  /** After load(). The descriptors belong to the object. */
  programs(): readonly { readonly name: string; readonly fd: number }[];
}

/** Opens a compiled object file. Dispose closes it with all its descriptors; what is pinned stays. */
export function openObject(path: string): BpfObject {
  let object = objectOpen(path, null);
  if (object === null) throw new BpfError(`open object ${path}`, errno());
  const opened = object;
  const maps = chain((previous) => nextMap(opened, previous)).map((map): ObjectMap => {
    const name = mapName(map);
    return {
      name,
      shape: () => ({
        type: mapType(map),
        keySize: mapKeySize(map),
        valueSize: mapValueSize(map),
        maxEntries: mapMaxEntries(map),
        flags: mapFlags(map),
      }),
      setMaxEntries: (entries) => void checked(mapSetMaxEntries(map, entries), `resize map "${name}"`),
      setPinPath: (pin) => void checked(mapSetPinPath(map, pin), `set pin path of map "${name}"`),
    };
  });
  return {
    maps,
    load: () => void checked(objectLoad(opened), `load object ${path}`),
    programs: () =>
      chain((previous) => nextProgram(opened, previous)).map((program) => ({
        name: programName(program),
        fd: programFd(program),
      })),
    [Symbol.dispose]() {
      if (object !== null) objectClose(object);
      object = null;
    },
  };
}

function chain(next: (previous: Pointer | null) => Pointer | null): Pointer[] {
  const found: Pointer[] = [];
  for (let item = next(null); item !== null; item = next(item)) found.push(item);
  return found;
}

/** Pins a map, program or link at `path`, which must be on a bpffs and not exist. */
export function pin(fd: number, path: string): void {
  checked(objPin(fd, path), `pin ${path}`);
}

/** Opens what is pinned at `path`; undefined if nothing is. `readOnly` maps refuse writes through this descriptor. */
export function openPinned(path: string, options: { readOnly?: boolean } = {}): number | undefined {
  const fileFlags = new Uint8Array(16); // struct bpf_obj_get_opts
  const view = new DataView(fileFlags.buffer);
  view.setBigUint64(0, 16n, true);
  view.setUint32(8, options.readOnly ? RDONLY : 0, true);
  const fd = objGet(path, fileFlags);
  return fd === -ENOENT ? undefined : checked(fd, `open pin ${path}`);
}

/** Reads the entry of `key` into `value`. False: there is none. */
export function lookup(fd: number, key: Bytes, value: Bytes): boolean {
  const result = mapLookup(fd, key, value);
  return result === -ENOENT ? false : checked(result, 'read map entry') === 0;
}

/** Writes an entry. Throws a BpfError with code E2BIG if the map is full. */
export function update(fd: number, key: Bytes, value: Bytes): void {
  checked(mapUpdate(fd, key, value, 0), 'write map entry');
}

/** Deletes an entry. False: there was none. */
export function remove(fd: number, key: Bytes): boolean {
  const result = mapDelete(fd, key);
  return result === -ENOENT ? false : checked(result, 'delete map entry') === 0;
}

/** Writes the key after `key` (null: the first) to `next`. False: there is none. */
export function nextKey(fd: number, key: Bytes | null, next: Bytes): boolean {
  const result = mapNextKey(fd, key, next);
  return result === -ENOENT ? false : checked(result, 'walk map') === 0;
}

/** Where a walk by lookupBatch is. `cursor` has the key's size, at least 4 bytes. */
export interface BatchCursor {
  readonly cursor: Uint8Array;
  started: boolean;
}

/**
 * Reads up to `count` entries into `keys` and `values`. `more` is false at the end. undefined: this kind of map cannot,
 * walk it by nextKey.
 */
export function lookupBatch(
  fd: number,
  at: BatchCursor,
  room: { readonly keys: Bytes; readonly values: Bytes; readonly count: number },
): { readonly count: number; readonly more: boolean } | undefined {
  const count = int32(room.count);
  const result = batch(fd, at.started ? at.cursor : null, at.cursor, room.keys, room.values, count, null);
  if (result === -ENOTSUPP) return undefined;
  if (result !== -ENOENT) checked(result, 'walk map');
  at.started = true;
  return { count: new DataView(count.buffer).getUint32(0, true), more: result === 0 };
}

/** Attaches a program to an interface index or cgroup descriptor. The link lives while it is open or pinned. */
export function linkCreate(program: number, target: number, attachType: number): number {
  return checked(createLink(program, target, attachType, null), `attach program to ${target}`);
}

/** Replaces the program behind a link, between two packets. */
export function linkUpdate(link: number, program: number): void {
  checked(updateLink(link, program, null), 'replace program of link');
}

function info(fd: number, sizeBytes: number): DataView {
  const out = new Uint8Array(sizeBytes);
  checked(objInfo(fd, out, int32(sizeBytes)), `inspect descriptor ${fd}`);
  return new DataView(out.buffer);
}

/** What the kernel knows of a map. */
export function mapInfo(fd: number): MapShape {
  const view = info(fd, 88);
  const at = (offset: number): number => view.getUint32(offset, true);
  return { type: at(0), keySize: at(8), valueSize: at(12), maxEntries: at(16), flags: at(20) };
}

export interface ProgramInfo {
  readonly id: number;
  /** Instructions after the verifier's rewriting. */
  readonly instructions: number;
  /** Instructions that the verifier walked, all paths together; the kernel's limit is 1,000,000. */
  readonly verifiedInstructions: number;
}

/** What the kernel knows of a program. */
export function programInfo(fd: number): ProgramInfo {
  const view = info(fd, 232);
  const at = (offset: number): number => view.getUint32(offset, true);
  return { id: at(4), instructions: at(20) / 8, verifiedInstructions: at(216) };
}

/** What a link is attached to: an interface index (0: it is gone) or a cgroup id (0n: it is gone). */
export function linkInfo(fd: number): {
  readonly ifindex: number;
  readonly cgroupId: bigint;
  readonly program: number;
} {
  const view = info(fd, 48);
  return { ifindex: view.getUint32(16, true), cgroupId: view.getBigUint64(16, true), program: view.getUint32(8, true) };
}

export interface TestRun {
  readonly retval: number;
  /** The packet afterwards. */
  readonly data: Uint8Array;
  /** The context afterwards (struct __sk_buff). */
  readonly context: Uint8Array;
  /** Mean of one run. */
  readonly durationNs: number;
}

/** Runs a program on `data` with `context` (struct __sk_buff), `repeat` times. Nothing is sent anywhere by the run itself. */
export function testRun(
  program: number,
  input: { readonly data: Uint8Array; readonly context: Uint8Array; readonly repeat?: number },
): TestRun {
  const dataOut = new Uint8Array(input.data.length + 256); // room for a program that grows the packet
  const contextOut = new Uint8Array(input.context.length);
  const attr = new Uint8Array(80);
  const view = new DataView(attr.buffer);
  view.setUint32(0, program, true);
  view.setUint32(8, input.data.length, true);
  view.setUint32(12, dataOut.length, true);
  view.setBigUint64(16, BigInt(addressOf(input.data)), true);
  view.setBigUint64(24, BigInt(addressOf(dataOut)), true);
  view.setUint32(32, input.repeat ?? 1, true);
  view.setUint32(40, input.context.length, true);
  view.setUint32(44, contextOut.length, true);
  view.setBigUint64(48, BigInt(addressOf(input.context)), true);
  view.setBigUint64(56, BigInt(addressOf(contextOut)), true);
  if (bpf(TEST_RUN, attr) < 0) throw new BpfError('run program', errno());
  return {
    retval: view.getInt32(4, true),
    data: dataOut.subarray(0, view.getUint32(12, true)),
    context: contextOut,
    durationNs: view.getUint32(36, true),
  };
}
