// A map in memory for tests: counts writes, can be full, and shows every single write to a listener.

import type { Codec, TypedMap } from './map.ts';

export interface FakeMap<K, V> extends TypedMap<K, V> {
  capacity: number;
  /** Called after every write. */
  onWrite: (() => void) | undefined;
  writes: number;
  readonly size: number;
}

/** An empty map with room for `capacity` entries. */
export function fakeMap<K, V>(key: Codec<K>, capacity = 65536): FakeMap<K, V> {
  const rows = new Map<string, readonly [K, V]>();
  const text = (k: K): string => Buffer.from(key.encode(k)).toString('latin1');
  const written = (): void => {
    map.writes++;
    map.onWrite?.();
  };
  const map: FakeMap<K, V> = {
    capacity,
    onWrite: undefined,
    writes: 0,
    get size() {
      return rows.size;
    },
    get: (k) => rows.get(text(k))?.[1],
    set(k, v) {
      if (!rows.has(text(k)) && rows.size >= map.capacity) {
        throw Object.assign(new Error('no room'), { code: 'E2BIG' });
      }
      rows.set(text(k), [k, v]);
      written();
    },
    delete(k) {
      const had = rows.delete(text(k));
      if (had) written();
      return had;
    },
    entries: () => [...rows.values()],
  };
  return map;
}
