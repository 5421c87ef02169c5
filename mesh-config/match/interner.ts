// Numbers for distinct lists of integers, given out in order from 0.

export interface Interner {
  readonly all: readonly Int32Array[];
  get(number: number): Int32Array;
  /** The number of an equal list with the same tag, or -1. */
  find(list: Int32Array, tag?: number): number;
  /** The number of the list, a new one if there was none. */
  intern(list: Int32Array, tag?: number): number;
  /** Forgets everything. */
  clear(): void;
}

const NONE = new Int32Array(0);

/** An empty interner. Unbounded: its user has a limit. */
export function createInterner(): Interner {
  const all: Int32Array[] = [];
  const tags: number[] = [];
  const byHash = new Map<number, number[]>();
  const find = (list: Int32Array, tag: number): number => {
    for (const number of byHash.get(hashOf(list, tag)) ?? []) {
      const other = all[number] ?? NONE;
      if (tags[number] === tag && other.length === list.length && list.every((value, i) => value === other[i])) {
        return number;
      }
    }
    return -1;
  };
  return {
    all,
    get: (number) => all[number] ?? NONE,
    find: (list, tag = 0) => find(list, tag),
    intern(list, tag = 0) {
      const known = find(list, tag);
      if (known >= 0) return known;
      const number = all.push(list) - 1;
      tags.push(tag);
      const hash = hashOf(list, tag);
      const bucket = byHash.get(hash);
      if (bucket) bucket.push(number);
      else byHash.set(hash, [number]);
      return number;
    },
    clear() {
      all.length = 0;
      tags.length = 0;
      byHash.clear();
    },
  };
}

function hashOf(list: Int32Array, tag: number): number {
  let hash = tag;
  for (let i = 0; i < list.length; i++) hash = Math.imul(hash ^ (list[i] ?? 0), 0x01000193) ^ (hash >>> 13);
  return hash;
}
