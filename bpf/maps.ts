// The pinned maps, typed: keys and values of bpf/abi.ts instead of bytes.

import {
  type BatchCursor,
  lookup,
  lookupBatch,
  mapInfo,
  nextKey,
  possibleCpus,
  remove,
  update,
} from '#common/native/libbpf.ts';
import { MAPS, type MapName } from './abi.ts';
import { type BulkWriter, bulkWriter, type Codec } from './bulk.ts';

type Decoded<C> = C extends Codec<infer T> ? T : never;
export type KeyOf<N extends MapName> = Decoded<(typeof MAPS)[N]['key']>;
export type ValueOf<N extends MapName> = Decoded<(typeof MAPS)[N]['value']>;

/** A map of the kernel. Every call is a system call (setMany and deleteMany: a few); failures throw a BpfError. */
export interface BpfMap<K, V> extends BulkWriter<K, V> {
  readonly fd: number;
  /** Number of entries that it has room for. */
  readonly capacity: number;
  get(key: K): V | undefined;
  /** Throws a BpfError with code "E2BIG" if the map is full. */
  set(key: K, value: V): void;
  /** False: there was no such entry. */
  delete(key: K): boolean;
  /** All entries, as of different moments: entries may come and go meanwhile. */
  entries(): [K, V][];
  /** Number of entries now. */
  count(): number;
}
/** Per-CPU maps hand out one value for each CPU and are not written from here. */
export interface PerCpuMap<K, V> {
  readonly fd: number;
  readonly capacity: number;
  get(key: K): readonly V[] | undefined;
}

/** The maps whose values the agent reads or writes. */
export type DatapathMaps = {
  readonly [N in Exclude<
    MapName,
    'events' | 'counters' | 'losses' | 'drop_budgets' | 'scratch' | 'policy_scratch' | 'purging'
  >]: BpfMap<KeyOf<N>, ValueOf<N>>;
} & { readonly [N in 'counters' | 'losses']: PerCpuMap<KeyOf<N>, ValueOf<N>> };

const BATCH = 512; // entries for each system call
const TYPE_ARRAY = 2;

/** The map behind `fd`. */
export function openMap<K, V>(fd: number, key: Codec<K>, value: Codec<V>): BpfMap<K, V> {
  const keyBytes = new Uint8Array(key.size);
  const valueBytes = new Uint8Array(value.size);
  const { maxEntries, type } = mapInfo(fd);
  const map: BpfMap<K, V> = {
    fd,
    capacity: maxEntries,
    get: (k) => (lookup(fd, key.encode(k, keyBytes), valueBytes) ? value.decode(valueBytes) : undefined),
    set: (k, v) => update(fd, key.encode(k, keyBytes), value.encode(v, valueBytes)),
    delete: (k) => remove(fd, key.encode(k, keyBytes)),
    ...bulkWriter(fd, key, value),
    entries() {
      const found: [K, V][] = [];
      walk(fd, { key: key.size, value: value.size }, (keys, values, count) => {
        for (let i = 0; i < count; i++) {
          found.push([key.decode(keys, i * key.size), value.decode(values, i * value.size)]);
        }
      });
      return found;
    },
    count() {
      if (type === TYPE_ARRAY) return maxEntries;
      let total = 0;
      walk(fd, { key: key.size, value: value.size }, (_keys, _values, count) => {
        total += count;
      });
      return total;
    },
  };
  return map;
}

/** The per-CPU map behind `fd`. */
export function openPerCpuMap<K, V>(fd: number, key: Codec<K>, value: Codec<V>): PerCpuMap<K, V> {
  const keyBytes = new Uint8Array(key.size);
  const stride = Math.ceil(value.size / 8) * 8;
  const cpus = possibleCpus();
  const values = new Uint8Array(stride * cpus);
  return {
    fd,
    capacity: mapInfo(fd).maxEntries,
    get(k) {
      if (!lookup(fd, key.encode(k, keyBytes), values)) return undefined;
      return Array.from({ length: cpus }, (_, cpu) => value.decode(values, cpu * stride));
    },
  };
}

type Visit = (keys: Uint8Array, values: Uint8Array, count: number) => void;

function walk(fd: number, size: { key: number; value: number }, visit: Visit): void {
  const at: BatchCursor = { cursor: new Uint8Array(Math.max(size.key, 4)), started: false };
  let batch = BATCH;
  for (;;) {
    const room = { keys: new Uint8Array(batch * size.key), values: new Uint8Array(batch * size.value), count: batch };
    let step: ReturnType<typeof lookupBatch>;
    try {
      step = lookupBatch(fd, at, room);
    } catch (error) {
      // A single hash bucket that holds more than the room: rare, and more room is the answer.
      if ((error as { code?: string }).code !== 'ENOSPC' || batch >= BATCH * 64) throw error;
      batch *= 2;
      continue;
    }
    if (step === undefined) {
      walkByKey(fd, size, visit);
      return;
    }
    visit(room.keys, room.values, step.count);
    if (!step.more) return;
  }
}

function walkByKey(fd: number, size: { key: number; value: number }, visit: Visit): void {
  const value = new Uint8Array(size.value);
  let key: Uint8Array | null = null;
  for (let next = new Uint8Array(size.key); nextKey(fd, key, next); next = new Uint8Array(size.key)) {
    if (lookup(fd, next, value)) visit(next, value, 1);
    key = next;
  }
}

/** Opens all maps that have keys and values, by the descriptors that `fdOf` gives. */
export function openMaps(fdOf: (name: MapName) => number): DatapathMaps {
  const plain = Object.entries(MAPS).flatMap(([name, { key, value }]) => {
    if (key === undefined || value === undefined) return [];
    const open = name === 'counters' || name === 'losses' ? openPerCpuMap : openMap;
    return [[name, open(fdOf(name as MapName), key as Codec<unknown>, value as Codec<unknown>)]];
  });
  // The table's codecs and this type come from one generated source, which a cast by name can rely on.
  return Object.fromEntries(plain) as unknown as DatapathMaps;
}
