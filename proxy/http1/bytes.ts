// Character classes of HTTP/1.1 (RFC 9110 section 5.6, RFC 9112, RFC 3986) and helpers on bytes.

export const HTAB = 9;
export const LF = 10;
export const CR = 13;
export const SP = 32;

/** Bits of CLASS. */
export const TOKEN = 1; // tchar
export const FIELD = 2; // VCHAR, obs-text, SP, HTAB: what a field value or reason phrase is made of
export const PATH = 4; // of a path, without what may make two readers disagree on it: "%", "/", "." and ";"
export const QUERY = 8; // of a query, as browsers send it
export const HEX = 16;
export const DIGIT = 32;
export const HOST = 64; // unreserved and sub-delims without ",", which some readers take as a list

/** Class bits of each byte. */
export const CLASS = new Uint8Array(256);

function add(bit: number, text: string): void {
  for (let i = 0; i < text.length; i++) {
    const byte = text.charCodeAt(i);
    CLASS[byte] = (CLASS[byte] as number) | bit;
  }
}

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const DIGITS = '0123456789';
add(TOKEN, `${LETTERS}${DIGITS}!#$%&'*+-.^_\`|~`);
add(HEX, `${DIGITS}abcdefABCDEF`);
add(DIGIT, DIGITS);
add(HOST, `${LETTERS}${DIGITS}-._~!$&'()*+;=`);
// RFC 3986 pchar without "%", "." and ";", and the three characters that browsers leave as they are in a path.
add(PATH, `${LETTERS}${DIGITS}-_~!$&'()*+,=:@[]|`);
// RFC 3986 query, and what browsers leave as it is there. No reader routes or frames by these.
add(QUERY, `${LETTERS}${DIGITS}-._~!$&'()*+,;=:@/?%[]|\\^\`{}`);
for (let byte = 0; byte < 256; byte++) {
  if (byte === HTAB || (byte >= SP && byte !== 127)) CLASS[byte] = (CLASS[byte] as number) | FIELD;
}

/** The value of a hexadecimal digit; the byte must be one. */
export function hexValue(byte: number): number {
  return byte <= 57 ? byte - 48 : (byte | 32) - 87;
}

/** SP or HTAB: what may stand around a field value. */
export function isSpace(byte: number): boolean {
  return byte === SP || byte === HTAB;
}

/** A word to compare with: lower-case letters, digits and "-". */
export function word(text: string): Uint8Array {
  return Uint8Array.from(text, (c) => c.charCodeAt(0));
}

/** Are the bytes from `start` the word, in any case? The caller has compared lengths; the bytes are tchars. */
export function isWord(buffer: Uint8Array, start: number, lower: Uint8Array): boolean {
  for (let i = 0; i < lower.length; i++) {
    // Setting bit 5 lowers letters and leaves digits and "-" alone; no other tchar becomes one of these by it.
    if (((buffer[start + i] as number) | 32) !== lower[i]) return false;
  }
  return true;
}

/** Are `buffer[start..end)` and `other[otherStart..otherEnd)` the same bytes? */
export function sameBytes(
  buffer: Uint8Array,
  [start, end, otherStart, otherEnd]: readonly [number, number, number, number],
): boolean {
  if (end - start !== otherEnd - otherStart) return false;
  for (let i = 0; i < end - start; i++) if (buffer[start + i] !== buffer[otherStart + i]) return false;
  return true;
}
