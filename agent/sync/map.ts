// What sync needs of a kernel map; bpf/maps.ts provides it, fake-map.ts stands in for it in tests.

/** A map of the kernel, keys and values as objects. */
export interface TypedMap<K, V> {
  /** Number of entries that it has room for. */
  readonly capacity: number;
  get(key: K): V | undefined;
  /** Throws an error with the code "E2BIG" or "ENOSPC" if the map is full. */
  set(key: K, value: V): void;
  /** False: there was no such entry. */
  delete(key: K): boolean;
  entries(): readonly (readonly [K, V])[];
}

/** Bytes of keys or values, to compare them. */
export interface Codec<T> {
  encode(value: T): Uint8Array;
}

/** State of one map, for `weir status` and metrics. */
export interface MapStatusRow {
  readonly name: string;
  readonly entries: number;
  readonly capacity: number;
  /** Writes that failed since the agent started. */
  readonly errors: number;
  /** Text of the last failure; '' while everything that is wanted is in. */
  readonly lastError: string;
  readonly updates: number;
  readonly deletes: number;
}

/**
 * A map together with what is known to be in it: writes what differs, and counts what fails. It is the only writer, so
 * its memory of the map is the map.
 */
export interface MirroredMap<K, V> {
  readonly name: string;
  readonly capacity: number;
  readonly size: number;
  /** Puts an entry in, unless it is there already. False: it failed, which is counted; the map is as before. */
  set(key: K, value: V): boolean;
  /** Removes an entry. False: it failed, which is counted. A missing entry is a success. */
  delete(key: K): boolean;
  get(key: K): V | undefined;
  entries(): IterableIterator<readonly [K, V]>;
  status(): MapStatusRow;
  /** Forgets the last error: called when a round of writes begins. */
  settle(): void;
}

/** Mirrors `map`, adopting what is in it now. */
export function mirrorMap<K, V>(
  name: string,
  map: TypedMap<K, V>,
  codecs: { readonly key: Codec<K>; readonly value: Codec<V> },
): MirroredMap<K, V> {
  const text = <T>(codec: Codec<T>, value: T): string => Buffer.from(codec.encode(value)).toString('latin1');
  const actual = new Map<string, { readonly key: K; readonly value: V; readonly text: string }>();
  for (const [key, value] of map.entries()) {
    actual.set(text(codecs.key, key), { key, value, text: text(codecs.value, value) });
  }
  const counts = { updates: 0, deletes: 0, errors: 0 };
  let lastError = '';
  const attempt = (write: () => void): boolean => {
    try {
      write();
      return true;
    } catch (cause) {
      const { code, message } = cause as { readonly code?: string; readonly message: string };
      const full = code === 'E2BIG' || code === 'ENOSPC' || (code === 'ENOMEM' && actual.size >= map.capacity);
      lastError = full
        ? `Cannot write map "${name}": all ${map.capacity} entries are in use`
        : `Cannot write map "${name}": ${message}`;
      counts.errors++;
      return false;
    }
  };
  return {
    name,
    capacity: map.capacity,
    get size() {
      return actual.size;
    },
    set(key, value) {
      const keyText = text(codecs.key, key);
      const valueText = text(codecs.value, value);
      if (actual.get(keyText)?.text === valueText) return true;
      if (!attempt(() => map.set(key, value))) return false;
      counts.updates++;
      actual.set(keyText, { key, value, text: valueText });
      return true;
    },
    delete(key) {
      const keyText = text(codecs.key, key);
      if (!actual.has(keyText)) return true;
      if (!attempt(() => map.delete(key))) return false;
      counts.deletes++;
      actual.delete(keyText);
      return true;
    },
    get: (key) => actual.get(text(codecs.key, key))?.value,
    *entries() {
      for (const { key, value } of actual.values()) yield [key, value] as const;
    },
    status: () => ({ name, entries: actual.size, capacity: map.capacity, ...counts, lastError }),
    settle() {
      lastError = '';
    },
  };
}
