// A set of byte strings, looked up in place: no string is made of what is looked for.

export interface LiteralTable {
  readonly size: number;
  /** Number that was given to the bytes of `buffer` from `start` to `end`, or -1. Allocates nothing. */
  find(buffer: Uint8Array, start: number, end: number): number;
}

interface Literal {
  readonly bytes: Uint8Array;
  readonly value: number;
}

/** A table of `literals`, which must differ; values are not negative. Open addressing, at most half full. */
export function createLiteralTable(literals: readonly Literal[]): LiteralTable {
  const slots = Math.max(4, 2 ** Math.ceil(Math.log2(literals.length * 2 + 1)));
  const mask = slots - 1;
  const longest = literals.reduce((max, l) => Math.max(max, l.bytes.length), 0);
  // Most requests that match no literal have a length that no literal has: they are not even hashed.
  const lengths = new Uint8Array(longest + 1);
  const pool = new Uint8Array(literals.reduce((sum, l) => sum + l.bytes.length, 0));
  const offsets = new Int32Array(slots);
  const sizes = new Int32Array(slots).fill(-1);
  const values = new Int32Array(slots);
  let used = 0;
  for (const { bytes, value } of literals) {
    let slot = hashOf(bytes, 0, bytes.length) & mask;
    while ((sizes[slot] ?? -1) >= 0) slot = (slot + 1) & mask;
    pool.set(bytes, used);
    offsets[slot] = used;
    sizes[slot] = bytes.length;
    values[slot] = value;
    lengths[bytes.length] = 1;
    used += bytes.length;
  }
  return {
    size: literals.length,
    find(buffer, start, end) {
      const length = end - start;
      if (length > longest || lengths[length] === 0) return -1;
      let slot = hashOf(buffer, start, end) & mask;
      for (;;) {
        const size = sizes[slot] ?? -1;
        if (size < 0) return -1;
        if (size === length && sameBytes(pool, offsets[slot] ?? 0, buffer, start, length)) return values[slot] ?? -1;
        slot = (slot + 1) & mask;
      }
    },
  };
}

/** FNV-1a. The table's keys are the operator's, so that a client cannot make them collide. */
function hashOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ (bytes[i] ?? 0), 0x01000193);
  return hash ^ (hash >>> 15);
}

// Five numbers instead of an options object: this runs for every request and must not allocate.
function sameBytes(a: Uint8Array, aStart: number, b: Uint8Array, bStart: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (a[aStart + i] !== b[bStart + i]) return false;
  return true;
}
