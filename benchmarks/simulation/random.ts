// Numbers that look random and are the same in every run.

export interface Random {
  /** An integer from 0 to `below` - 1. */
  next(below: number): number;
  pick<T>(from: readonly T[]): T;
}

/** Mulberry32 (public domain): small, fast, and even enough to choose by. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (below: number): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
  return {
    next,
    pick<T>(from: readonly T[]): T {
      if (from.length === 0) throw new Error('Cannot pick: the list is empty');
      return from[next(from.length)] as T;
    },
  };
}
