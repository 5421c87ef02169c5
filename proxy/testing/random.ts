// Numbers that look random and are the same in every run.

/** A generator of integers from 0 to `limit` - 1 (mulberry32). */
export function createRandom(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) % limit;
  };
}

/** One of `choices`, which are not empty. */
export function pick<T>(choices: readonly T[], random: (limit: number) => number): T {
  return choices[random(choices.length)] as T;
}
