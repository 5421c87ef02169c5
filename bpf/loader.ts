// Loads the kernel programs, adopting the maps that are pinned, and hands out the datapath: maps, attachment, events.
//
// Below the node's bpffs: maps/<name>, programs/<name>, interfaces/<ifname>/<program>, cgroup/<program>. All of it
// outlives the process; opening again adopts maps and links, and replaces programs of another build between two packets.
// Programs of the same build stay (loaded.ts).

import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import type { Ifindex } from '#common/ids.ts';
import {
  type BpfObject,
  type MapShape,
  mapInfo,
  type ObjectMap,
  openObject,
  openPinned,
  pin,
} from '#common/native/libbpf.ts';
import { close } from '#common/native/libc.ts';
import { COUNTER_DIRECTIONS, COUNTER_REASONS, type FlowEvent, LOSS_KINDS, MAPS, type MapName } from './abi.ts';
import * as attach from './attach.ts';
import { objectPath, type ProgramObject } from './build.ts';
import { loadedMark } from './loaded.ts';
import { type DatapathMaps, openMaps } from './maps.ts';
import { createRing, type Ring } from './ring.ts';

export type { AttachMode } from './attach.ts';
export type { BpfMap, DatapathMaps, PerCpuMap } from './maps.ts';

export type ProgramName =
  | 'from_pod'
  | 'to_pod'
  | 'from_network'
  | 'to_network'
  | 'connect4'
  | 'connect6'
  | 'sendmsg4'
  | 'sendmsg6'
  | 'recvmsg4'
  | 'recvmsg6'
  | 'getpeername4'
  | 'getpeername6'
  | 'purge';

export interface DatapathOptions {
  /** A mounted bpffs of this node. */
  readonly bpffs: string;
  /** max_entries of maps that are created now; the default is that of bpf/lib/maps.h. */
  readonly sizes?: Partial<Record<MapName, number>>;
  /** Default "auto": tcx if the kernel has it. */
  readonly attachMode?: attach.AttachMode | 'auto';
}

/** Packets and bytes of one reason (0: forwarded) in one direction (POLICY_INGRESS, POLICY_EGRESS), all CPUs together. */
export interface CounterRow {
  readonly reason: number;
  readonly direction: number;
  readonly packets: bigint;
  readonly bytes: bigint;
}

export interface Datapath extends Disposable {
  readonly maps: DatapathMaps;
  /** Attaches from_pod and to_pod to an interface of the current network namespace. Returns the mode used. */
  attachInterface(name: string, ifindex: Ifindex): attach.AttachMode;
  detachInterface(name: string): void;
  /**
   * Attaches from_network and to_network to a device of the node that leads outside, in the current network namespace.
   * Other programs at the device go on to see its packets. Returns the mode used.
   */
  attachDevice(name: string, ifindex: Ifindex): attach.AttachMode;
  detachDevice(name: string): void;
  /** Loads the programs of devices, so that the first device need not wait a second for them. */
  prepareDevices(): void;
  attachCgroup(path: string): void;
  detachCgroup(): void;
  /** Reads flow events until the ring is disposed. */
  events(onEvents: (events: readonly FlowEvent[]) => void): Ring;
  /** Rows that are not zero. */
  counters(): CounterRow[];
  /** Total of each LOSS_* kind, by number. */
  losses(): readonly bigint[];
  /** A descriptor that cannot write the map. The caller closes it, or hands it to another process. */
  readOnlyFd(name: MapName): number;
  /** Descriptor of a program; it belongs to the datapath. */
  programFd(name: ProgramName): number;
  pinned(): {
    readonly maps: string[];
    readonly programs: string[];
    readonly interfaces: string[];
    readonly cgroup: boolean;
  };
  /** Closes descriptors. What is pinned goes on. */
  close(): void;
}

/** Programs of the object "host". */
const NETWORK_PROGRAMS: readonly ProgramName[] = ['from_network', 'to_network'];
const BPFFS_MAGIC = 0xcafe4a11;
const TYPE_RINGBUF = 27;

/**
 * Loads the programs (compiled by build.ts), unless the same are pinned, and adopts or creates the maps. Those of devices
 * come with the first device: most nodes have none, and the verifier takes a second for them. Errors: `bpffs` is none, a
 * program is not compiled, the verifier refuses (its log is on stderr), a pinned map has another shape.
 */
export function openDatapath(options: DatapathOptions): Datapath {
  requireBpffs(options.bpffs);
  const mode = options.attachMode ?? 'auto';
  const root = (name: string): string => join(options.bpffs, name);
  for (const name of ['maps', 'programs', 'interfaces']) mkdirSync(root(name), { recursive: true });
  const pins: attach.Pins = { programs: root('programs'), interfaces: root('interfaces'), cgroup: root('cgroup') };
  const loaded = new Map<ProgramObject, Error | undefined>();
  const ensure = (name: ProgramObject): void => {
    if (!loaded.has(name))
      loaded.set(
        name,
        attempt(() => loadObject(name, options)),
      );
    const error = loaded.get(name);
    if (error) throw error; // what the verifier refused once it would only be long in refusing again
  };
  ensure('pod');
  ensure('sock');
  ensure('purge');
  if (NETWORK_PROGRAMS.some((name) => existsSync(join(pins.programs, name)))) ensure('host');
  attach.refreshLinks(pins);

  const fds = new Map<string, number>();
  const fdOf = (kind: 'maps' | 'programs', name: string): number => {
    const path = join(root(kind), name);
    const fd = fds.get(path) ?? openPinned(path);
    if (fd === undefined) throw new Error(`Cannot open ${path}: nothing is pinned there`);
    fds.set(path, fd);
    return fd;
  };
  const maps = openMaps((name) => fdOf('maps', name));
  const closeAll = (): void => {
    for (const fd of fds.values()) close(fd);
    fds.clear();
  };
  return {
    maps,
    attachInterface: (name, ifindex) => attach.attachInterface(pins, { name, ifindex, kind: 'pod' }, mode),
    detachInterface: (name) => attach.detachInterface(pins, { name, kind: 'pod' }),
    prepareDevices: () => ensure('host'),
    attachDevice(name, ifindex) {
      ensure('host');
      return attach.attachInterface(pins, { name, ifindex, kind: 'network' }, mode);
    },
    detachDevice: (name) => attach.detachInterface(pins, { name, kind: 'network' }),
    attachCgroup: (path) => attach.attachCgroup(pins, path),
    detachCgroup: () => attach.detachCgroup(pins),
    events: (onEvents) => createRing(fdOf('maps', 'events'), onEvents),
    counters: () => readCounters(maps),
    losses: () => Array.from({ length: LOSS_KINDS }, (_, kind) => sum(maps.losses.get(kind) ?? [])),
    readOnlyFd(name) {
      const fd = openPinned(join(root('maps'), name), { readOnly: true });
      if (fd === undefined) throw new Error(`Cannot open map "${name}": nothing is pinned`);
      return fd;
    },
    programFd(name) {
      if (NETWORK_PROGRAMS.includes(name)) ensure('host');
      return fdOf('programs', name);
    },
    pinned: () => ({
      maps: readdirSync(root('maps')),
      programs: readdirSync(root('programs')),
      interfaces: attach.attachedInterfaces(pins),
      cgroup: existsSync(pins.cgroup),
    }),
    close: closeAll,
    [Symbol.dispose]: closeAll,
  };
}

function attempt(run: () => void): Error | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    return error as Error;
  }
}

function requireBpffs(path: string): void {
  if (!existsSync(path) || statfsSync(path).type !== BPFFS_MAGIC) {
    throw new Error(`Cannot load kernel programs: ${path} is not a mounted bpffs`);
  }
}

function loadObject(name: ProgramObject, options: DatapathOptions): void {
  const path = objectPath(name);
  if (!existsSync(path)) throw new Error(`Cannot load kernel programs: ${path} is not compiled`);
  const mark = loadedMark(join(options.bpffs, 'loaded'), name, path);
  const directory = join(options.bpffs, 'programs');
  using object = openObject(path);
  for (const map of object.maps) prepareMap(map, options);
  if (mark.isSet() && object.programs().every((program) => existsSync(join(directory, program.name)))) return;
  mark.clear();
  object.load();
  pinPrograms(object, directory);
  mark.set();
}

function prepareMap(map: ObjectMap, options: DatapathOptions): void {
  const size = options.sizes?.[map.name as MapName];
  if (size !== undefined) map.setMaxEntries(size);
  const path = join(options.bpffs, 'maps', map.name);
  const pinnedFd = openPinned(path);
  if (pinnedFd !== undefined) {
    try {
      requireSameShape(map.name, mapInfo(pinnedFd), map.shape());
    } finally {
      close(pinnedFd);
    }
  }
  map.setPinPath(path);
}

function requireSameShape(name: string, pinned: MapShape, wanted: MapShape): void {
  for (const part of ['type', 'keySize', 'valueSize', 'maxEntries', 'flags'] as const) {
    // the kernel rounds the size of a ring up to whole pages
    if (part === 'maxEntries' && wanted.type === TYPE_RINGBUF && pinned[part] >= wanted[part]) continue;
    if (pinned[part] !== wanted[part]) {
      throw new Error(
        `Cannot adopt map "${name}": it is pinned with ${part} ${pinned[part]}, this version wants ${wanted[part]} (stop the node to recreate it)`,
      );
    }
  }
}

/** A pin is replaced by renaming: whoever opens the path gets the old program or the new one. */
function pinPrograms(object: BpfObject, directory: string): void {
  for (const { name, fd } of object.programs()) {
    const fresh = join(directory, `${name}_new`);
    rmSync(fresh, { force: true });
    pin(fd, fresh);
    renameSync(fresh, join(directory, name));
  }
}

function readCounters(maps: DatapathMaps): CounterRow[] {
  const rows: CounterRow[] = [];
  for (let index = 0; index < COUNTER_REASONS * COUNTER_DIRECTIONS; index++) {
    const values = maps.counters.get(index) ?? [];
    const packets = sum(values.map((value) => value.packets));
    if (packets === 0n) continue;
    const bytes = sum(values.map((value) => value.bytes));
    const reason = Math.floor(index / COUNTER_DIRECTIONS);
    rows.push({ reason, direction: index % COUNTER_DIRECTIONS, packets, bytes });
  }
  return rows;
}

function sum(values: readonly bigint[]): bigint {
  return values.reduce((total, value) => total + value, 0n);
}

/** Every map's name, for tools. */
export const MAP_NAMES = Object.keys(MAPS) as MapName[];
