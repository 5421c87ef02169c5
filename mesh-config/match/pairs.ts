// A bounded map from two small numbers to a number, in flat arrays, so that looking up allocates nothing.

export interface PairTable {
  readonly size: number;
  /** The number under (a, b), or -1. */
  get(a: number, b: number): number;
  /** Stores a number that is not negative. False: the table is full and nothing was stored. */
  set(a: number, b: number, value: number): boolean;
}

/** An empty table of at most `capacity` pairs. */
export function createPairTable(capacity: number): PairTable {
  let slots = 64;
  let first = new Int32Array(slots);
  let second = new Int32Array(slots);
  let values = new Int32Array(slots).fill(-1);
  let size = 0;

  const place = (a: number, b: number): number => {
    const mask = slots - 1;
    let slot = hashPair(a, b) & mask;
    while ((values[slot] ?? -1) >= 0 && (first[slot] !== a || second[slot] !== b)) slot = (slot + 1) & mask;
    return slot;
  };
  const grow = (): void => {
    const old = { first, second, values };
    slots *= 2;
    first = new Int32Array(slots);
    second = new Int32Array(slots);
    values = new Int32Array(slots).fill(-1);
    old.values.forEach((value, i) => {
      if (value < 0) return;
      const slot = place(old.first[i] ?? 0, old.second[i] ?? 0);
      first[slot] = old.first[i] ?? 0;
      second[slot] = old.second[i] ?? 0;
      values[slot] = value;
    });
  };
  return {
    get size() {
      return size;
    },
    get: (a, b) => values[place(a, b)] ?? -1,
    set(a, b, value) {
      if ((values[place(a, b)] ?? -1) < 0) {
        if (size >= capacity) return false;
        size++;
        if (size * 2 > slots) grow();
      }
      const slot = place(a, b);
      first[slot] = a;
      second[slot] = b;
      values[slot] = value;
      return true;
    },
  };
}

function hashPair(a: number, b: number): number {
  let hash = Math.imul(a, 0x9e3779b1) ^ Math.imul(b + 0x7f4a7c15, 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return hash ^ (hash >>> 13);
}
