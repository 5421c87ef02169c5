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
  /** Many writes in this order, with fewer system calls. Returns how many were made: the next one fails. */
  setMany?(entries: readonly (readonly [K, V])[]): number;
  deleteMany?(keys: readonly K[]): number;
}

/** Bytes of keys or values: to compare them, and because they take less memory than objects. */
export interface Codec<T> {
  readonly size: number;
  encode(value: T, target?: Uint8Array): Uint8Array;
  decode(bytes: Uint8Array): T;
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

/** Writes to a map, and counts what succeeds and what fails. Its one writer knows by itself what is in it. */
export interface CountedMap<K, V> {
  readonly capacity: number;
  readonly size: number;
  /** Everything that is in the map now. Before the first write. */
  adopt(): readonly (readonly [K, V])[];
  /** Puts in an entry that was not there. False: it failed, which is counted; the map is as before. */
  add(key: K, value: V): boolean;
  /** The same for one that was there. */
  replace(key: K, value: V): boolean;
  /** Removes an entry. False: it failed, which is counted. A missing entry is a success. */
  delete(key: K): boolean;
  /** The same for many, in this order. Returns how many were done; the next one failed, which is counted. */
  addMany(entries: readonly (readonly [K, V])[]): number;
  replaceMany(entries: readonly (readonly [K, V])[]): number;
  /** All of them must be there. */
  deleteMany(keys: readonly K[]): number;
  status(): MapStatusRow;
  /** Forgets the last error: called when a round of writes begins. */
  settle(): void;
}

/** Counts the writes to `map`. */
export function countMap<K, V>(name: string, map: TypedMap<K, V>): CountedMap<K, V> {
  let size = 0;
  const counts = { updates: 0, deletes: 0, errors: 0 };
  let lastError = '';
  const attempt = (write: () => void, what: 'updates' | 'deletes'): boolean => {
    try {
      write();
      counts[what]++;
      return true;
    } catch (cause) {
      const { code, message } = cause as { readonly code?: string; readonly message: string };
      const full = code === 'E2BIG' || code === 'ENOSPC' || (code === 'ENOMEM' && size >= map.capacity);
      lastError = full
        ? `Cannot write map "${name}": all ${map.capacity} entries are in use`
        : `Cannot write map "${name}": ${message}`;
      counts.errors++;
      return false;
    }
  };
  const add = (key: K, value: V): boolean => {
    if (!attempt(() => map.set(key, value), 'updates')) return false;
    size++;
    return true;
  };
  const remove = (key: K): boolean => {
    let had = false;
    const write = (): void => {
      had = map.delete(key);
    };
    if (!attempt(write, 'deletes')) return false;
    if (had) size--;
    return true;
  };
  return {
    capacity: map.capacity,
    get size() {
      return size;
    },
    adopt() {
      const entries = map.entries();
      size = entries.length;
      return entries;
    },
    add,
    replace: (key, value) => attempt(() => map.set(key, value), 'updates'),
    delete: remove,
    addMany(entries) {
      const done = map.setMany?.(entries) ?? 0;
      counts.updates += done;
      size += done;
      return done + countWhile(entries.slice(done), ([key, value]) => add(key, value));
    },
    replaceMany(entries) {
      const done = map.setMany?.(entries) ?? 0;
      counts.updates += done;
      return done + countWhile(entries.slice(done), ([key, value]) => attempt(() => map.set(key, value), 'updates'));
    },
    deleteMany(keys) {
      const done = map.deleteMany?.(keys) ?? 0;
      counts.deletes += done;
      size -= done;
      return done + countWhile(keys.slice(done), remove);
    },
    status: () => ({ name, entries: size, capacity: map.capacity, ...counts, lastError }),
    settle() {
      lastError = '';
    },
  };
}

/** How many of the first of `items` are done. */
function countWhile<T>(items: readonly T[], isDone: (item: T) => boolean): number {
  const failed = items.findIndex((item) => !isDone(item));
  return failed < 0 ? items.length : failed;
}

/**
 * A map together with what is known to be in it: writes what differs, and counts what fails. It is the only writer, so
 * its memory of the map is the map.
 */
export interface MirroredMap<K, V> extends Pick<CountedMap<K, V>, 'capacity' | 'size' | 'status' | 'settle'> {
  /** Puts an entry in, unless it is there already. False: it failed, which is counted; the map is as before. */
  set(key: K, value: V): boolean;
  /** Removes an entry. False: it failed, which is counted. A missing entry is a success. */
  delete(key: K): boolean;
  get(key: K): V | undefined;
  entries(): IterableIterator<readonly [K, V]>;
  values(): IterableIterator<V>;
  /** Hears of every entry that was written (undefined: there was, or is, none). */
  onWrite: ((before: V | undefined, after: V | undefined) => void) | undefined;
}

/** Mirrors `map`, adopting what is in it now. */
export function mirrorMap<K, V>(
  name: string,
  map: TypedMap<K, V>,
  codecs: { readonly key: Codec<K>; readonly value: Codec<V> },
): MirroredMap<K, V> {
  const counted = countMap(name, map);
  const keyTexts = texts(codecs.key);
  const valueTexts = texts(codecs.value);
  const values = createShared<V>();
  const actual = new Map<string, Shared<V>>();
  for (const [key, value] of counted.adopt()) {
    actual.set(keyTexts.text(key), values.take(valueTexts.text(value), value));
  }
  const mirrored: MirroredMap<K, V> = {
    capacity: counted.capacity,
    onWrite: undefined,
    get size() {
      return actual.size;
    },
    set(key, value) {
      const keyText = keyTexts.text(key);
      const valueText = valueTexts.text(value);
      const before = actual.get(keyText);
      if (before?.text === valueText) return true;
      if (!(before ? counted.replace(key, value) : counted.add(key, value))) return false;
      actual.set(keyText, values.take(valueText, value));
      if (before) values.release(before);
      mirrored.onWrite?.(before?.value, value);
      return true;
    },
    delete(key) {
      const keyText = keyTexts.text(key);
      const before = actual.get(keyText);
      if (!before) return true;
      if (!counted.delete(key)) return false;
      actual.delete(keyText);
      values.release(before);
      mirrored.onWrite?.(before.value, undefined);
      return true;
    },
    get: (key) => actual.get(keyTexts.text(key))?.value,
    *entries() {
      for (const [text, { value }] of actual) yield [keyTexts.value(text), value] as const;
    },
    *values() {
      for (const { value } of actual.values()) yield value;
    },
    status: counted.status,
    settle: counted.settle,
  };
  return mirrored;
}

/** A value, once for all entries that have it. */
interface Shared<V> {
  readonly text: string;
  readonly value: V;
  uses: number;
}

function createShared<V>(): { take(text: string, value: V): Shared<V>; release(shared: Shared<V>): void } {
  const known = new Map<string, Shared<V>>();
  return {
    take(text, value) {
      let shared = known.get(text);
      if (!shared) {
        shared = { text, value, uses: 0 };
        known.set(text, shared);
      }
      shared.uses++;
      return shared;
    },
    release(shared) {
      if (--shared.uses === 0) known.delete(shared.text);
    },
  };
}

/** The bytes of a struct as a text, and back. */
function texts<T>(codec: Codec<T>): { text(value: T): string; value(text: string): T } {
  const bytes = Buffer.alloc(codec.size);
  return {
    text(value) {
      codec.encode(value, bytes);
      return bytes.toString('latin1');
    },
    value: (text) => codec.decode(Buffer.from(text, 'latin1')),
  };
}
