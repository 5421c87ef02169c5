// JSON written straight into bytes: nothing is left for the garbage collector, and nothing is encoded twice.

/** Bytes that are being written; `bytes` is replaced by a larger buffer when they need one. */
export interface JsonBytes {
  bytes: Buffer;
  end: number;
}

/** Bytes that one UTF-16 unit needs at most: "\u0000". */
const MAX_UNIT_BYTES = 6;

/** Nothing yet, and room for `sizeBytes`. */
export function createJsonBytes(sizeBytes: number): JsonBytes {
  return { bytes: Buffer.allocUnsafeSlow(sizeBytes), end: 0 };
}

/** Writes bytes that are JSON already. */
export function putBytes(target: JsonBytes, part: Uint8Array): void {
  makeRoom(target, part.length);
  target.bytes.set(part, target.end);
  target.end += part.length;
}

/** Writes what was written at `from` up to `to` once more. */
export function putAgain(target: JsonBytes, from: number, to: number): void {
  makeRoom(target, to - from);
  target.bytes.copyWithin(target.end, from, to);
  target.end += to - from;
}

/** Writes a text that stands for itself in JSON, like an id or a word of ours. */
export function putPlain(target: JsonBytes, text: string): void {
  makeRoom(target, text.length);
  target.end += target.bytes.write(text, target.end, 'latin1');
}

/** Writes the inside of a JSON string. */
export function putText(target: JsonBytes, text: string): void {
  // Not a loop over the characters: strings have many shapes in the engine, and each access would ask for them.
  if (PLAIN.test(text)) {
    putPlain(target, text);
    return;
  }
  makeRoom(target, text.length * MAX_UNIT_BYTES);
  target.end += target.bytes.write(JSON.stringify(text).slice(1, -1), target.end);
}

/** Writes an integer from 0 to 2^53. */
export function putInteger(target: JsonBytes, value: number): void {
  makeRoom(target, MAX_DIGITS);
  const high = Math.floor(value / LOW);
  if (high > 0) putDigits(target, high, 1);
  putDigits(target, value - high * LOW, high > 0 ? LOW_DIGITS : 1);
}

/** No control characters, quotes, backslashes, or anything beyond ASCII. */
const PLAIN = /^[ !#-[\]-~]*$/;
const ZERO = 0x30;
const MAX_DIGITS = 16;
const LOW_DIGITS = 8;
const LOW = 10 ** LOW_DIGITS;

function putDigits(target: JsonBytes, value: number, least: number): void {
  let count = least;
  for (let rest = 10 ** least; rest <= value; rest *= 10) count++;
  target.end += count;
  let left = value;
  for (let at = target.end - 1; count > 0; at--, count--) {
    const tenth = (left / 10) | 0; // below 2^31
    target.bytes[at] = ZERO + (left - tenth * 10);
    left = tenth;
  }
}

function makeRoom(target: JsonBytes, sizeBytes: number): void {
  const needed = target.end + sizeBytes;
  if (needed <= target.bytes.length) return;
  const larger = Buffer.allocUnsafeSlow(2 * needed);
  larger.set(target.bytes.subarray(0, target.end));
  target.bytes = larger;
}
