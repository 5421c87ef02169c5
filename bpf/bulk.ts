// Many entries of a map by few system calls, in the order in which they are given.

import { BpfError, remove, update } from '#common/native/libbpf.ts';
import { type BatchWrite, removeBatch, updateBatch } from '#common/native/map-batch.ts';
import type { Struct } from './abi.ts';

export type Codec<T> = Pick<Struct<T>, 'size' | 'encode' | 'decode'>;

export interface BulkWriter<K, V> {
  /**
   * Writes entries until one fails and returns how many were written: the first ones. Fewer than were given is no error
   * here: `set` of the next one says why.
   */
  setMany(entries: readonly (readonly [K, V])[]): number;
  /** Deletes likewise. What does not exist counts as deleted. */
  deleteMany(keys: readonly K[]): number;
}

const CHUNK = 4096; // entries for each system call
/** Of all maps: a call begins and ends with it. It grows to a chunk of the largest entries. */
const room = { keys: new Uint8Array(0), values: new Uint8Array(0) };

/** Writes to the map behind `fd`. */
export function bulkWriter<K, V>(fd: number, key: Codec<K>, value: Codec<V>): BulkWriter<K, V> {
  const keyAt = (index: number): Uint8Array => room.keys.subarray(index * key.size, (index + 1) * key.size);
  const valueAt = (index: number): Uint8Array => room.values.subarray(index * value.size, (index + 1) * value.size);
  return {
    setMany: (entries) =>
      inChunks(entries, (chunk) => {
        makeRoom(chunk.length, key.size, value.size);
        let [keys, values] = [0, 0];
        for (const [k] of chunk) key.encode(k, room.keys, keys++ * key.size);
        for (const [, v] of chunk) value.encode(v, room.values, values++ * value.size);
        const batch = updateBatch(fd, { ...room, count: chunk.length });
        return batch?.done ?? oneByOne(chunk.length, (index) => update(fd, keyAt(index), valueAt(index)));
      }),
    deleteMany: (keys) =>
      inChunks(keys, (chunk) => {
        makeRoom(chunk.length, key.size, 0);
        let next = 0;
        for (const k of chunk) key.encode(k, room.keys, next++ * key.size);
        const batch = removeAll(fd, key.size, chunk.length);
        return batch?.done ?? oneByOne(chunk.length, (index) => remove(fd, keyAt(index)));
      }),
  };
}

/** Hands `items` to `take` until it takes fewer than it was given. Returns how many it took. */
function inChunks<T>(items: readonly T[], take: (chunk: readonly T[]) => number): number {
  for (let done = 0; done < items.length; done += CHUNK) {
    const chunk = items.length <= CHUNK ? items : items.slice(done, done + CHUNK);
    const taken = take(chunk);
    if (taken < chunk.length) return done + taken;
  }
  return items.length;
}

function makeRoom(count: number, keySize: number, valueSize: number): void {
  if (room.keys.length < count * keySize) room.keys = new Uint8Array(CHUNK * keySize);
  if (room.values.length < count * valueSize) room.values = new Uint8Array(CHUNK * valueSize);
}

/** Deletes the keys that lie in the room. The kernel stops at each that does not exist. */
function removeAll(fd: number, keySize: number, count: number): BatchWrite | undefined {
  for (let done = 0; done < count; done++) {
    const batch = removeBatch(fd, room.keys.subarray(done * keySize), count - done);
    if (batch === undefined && done === 0) return undefined;
    done += batch?.done ?? 0;
    if (batch?.code !== 'ENOENT') return { done };
  }
  return { done: count };
}

/** How many of `count` calls succeed before the first that does not. */
function oneByOne(count: number, call: (index: number) => void): number {
  for (let index = 0; index < count; index++) {
    try {
      call(index);
    } catch (error) {
      if (error instanceof BpfError) return index;
      throw error;
    }
  }
  return count;
}
