// Numbers for keys, with references. A key keeps its number as long as it is remembered, also while nobody refers to it:
// conntrack, proxies and pinned maps may still hold the number, so it goes to another key as late as possible.

import { err, ok, type Result } from '#common/result.ts';

/** What survives a restart. */
export interface AllocatorState {
  /** Where the search for a free number goes on. */
  readonly next: number;
  readonly numbers: Readonly<Record<string, number>>;
}

/** What has changed since the last time somebody asked. */
export interface AllocatorChange {
  readonly next: number;
  readonly set: Readonly<Record<string, number>>;
  readonly gone: readonly string[];
}

export interface Allocator<N extends number> {
  /** Takes a reference on the number of `key`, giving it one if it has none. Fails when all numbers are referred to. */
  acquire(key: string): Result<N, string>;
  /** Gives one reference back. Returns whether it was the last one. */
  release(key: string): boolean;
  get(key: string): N | undefined;
  /** Remembered keys, referred to or not. */
  keys(): IterableIterator<string>;
  /** Numbers that are referred to. */
  readonly used: number;
  readonly capacity: number;
  state(): AllocatorState;
  /** Keys that got or lost their number since the last call; undefined: none. */
  takeChanges(): AllocatorChange | undefined;
}

// Keys nobody refers to that still keep their number; beyond that the one idle for longest is forgotten.
const MAX_IDLE = 8192;

/**
 * An allocator of numbers from `min` to `max`. `brand` makes the number, e.g. `identity` of common/ids.ts. Numbers of
 * `state` outside the range, or taken twice, are an error: the caller must not go on with mixed-up numbers.
 */
export function createAllocator<N extends number>(
  range: { readonly name: string; readonly min: number; readonly max: number },
  brand: (value: number) => N,
  state: AllocatorState = { next: range.min, numbers: {} },
): Allocator<N> {
  const references = new Map<string, { readonly number: N; count: number }>();
  const owners = new Map<number, string>();
  const idle = new Set<string>(); // in the order in which they became idle
  let next = state.next;
  let used = 0;
  let changes = new Set<string>();

  const remember = (key: string, number: number): void => {
    if (number < range.min || number > range.max || owners.has(number)) {
      throw new Error(`Cannot restore ${range.name} of "${key}": ${number} is out of range or taken twice`);
    }
    references.set(key, { number: brand(number), count: 0 });
    owners.set(number, key);
    idle.add(key);
    changes.add(key);
  };
  const forgetOldest = (): boolean => {
    const [key] = idle;
    if (key === undefined) return false;
    owners.delete(references.get(key)?.number ?? 0);
    references.delete(key);
    idle.delete(key);
    changes.add(key);
    return true;
  };
  const free = (): number | undefined => {
    const size = range.max - range.min + 1;
    if (owners.size >= size && !forgetOldest()) return undefined;
    for (let tried = 0; tried < size; tried++) {
      const number = next < range.min || next > range.max ? range.min : next;
      next = number + 1;
      if (!owners.has(number)) return number;
    }
    return undefined;
  };
  for (const [key, number] of Object.entries(state.numbers)) remember(key, number);
  changes.clear();

  return {
    acquire(key) {
      if (!references.has(key)) {
        const number = free();
        if (number === undefined) {
          return err(
            `Cannot allocate ${range.name}: all ${range.max - range.min + 1} numbers from ${range.min} are in use`,
          );
        }
        remember(key, number);
      }
      const entry = references.get(key) as { readonly number: N; count: number };
      if (entry.count++ === 0) used++;
      idle.delete(key);
      return ok(entry.number);
    },
    release(key) {
      const entry = references.get(key);
      if (!entry || entry.count === 0) throw new Error(`Cannot release ${range.name} of "${key}": not in use`);
      if (--entry.count > 0) return false;
      used--;
      idle.add(key);
      if (idle.size > MAX_IDLE) forgetOldest();
      return true;
    },
    get: (key) => references.get(key)?.number,
    keys: () => references.keys(),
    get used() {
      return used;
    },
    capacity: range.max - range.min + 1,
    takeChanges() {
      if (changes.size === 0) return undefined;
      const set: Record<string, number> = {};
      const gone: string[] = [];
      for (const key of changes) {
        const entry = references.get(key);
        if (entry) set[key] = entry.number;
        else gone.push(key);
      }
      changes = new Set();
      return { next, set, gone };
    },
    state: () => ({ next, numbers: Object.fromEntries([...references].map(([key, e]) => [key, e.number])) }),
  };
}
