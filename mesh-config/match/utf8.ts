// Strict UTF-8 (RFC 3629): overlong forms, surrogates and numbers past U+10FFFF are no characters.

/** Result of `decodeAt`: `codePoint * 8 + length`; -1 if the bytes there are not a character. */
export type Decoded = number;

/** The character at `at`, not reading past `end`. */
export function decodeAt(bytes: Uint8Array, at: number, end: number): Decoded {
  const first = bytes[at] ?? 0;
  if (first < 0x80) return first * 8 + 1;
  if (first < 0xc2 || first > 0xf4) return -1;
  const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (at + length > end) return -1;
  let codePoint = first & (0xff >> (length + 1));
  for (let i = 1; i < length; i++) {
    const next = bytes[at + i] ?? 0;
    if (next >> 6 !== 2) return -1;
    codePoint = (codePoint << 6) | (next & 0x3f);
  }
  const least = length === 2 ? 0x80 : length === 3 ? 0x800 : 0x1_0000;
  if (codePoint < least || codePoint > 0x10_ffff || (codePoint >= 0xd800 && codePoint <= 0xdfff)) return -1;
  return codePoint * 8 + length;
}
