// What single fields of a head say about framing, the connection, the host and tracing.

import { CLASS, CR, DIGIT, isSpace, isWord, TOKEN, word } from './bytes.ts';
import type { Fields } from './fields.ts';

/** Bits of Fields.connection. */
export const CONNECTION = { close: 1, keepAlive: 2, upgrade: 4, framing: 8, malformed: 16 } as const;
/** Bits of Fields.codings: what Transfer-Encoding said. */
export const CODING = { chunkedLast: 1, chunkedBefore: 2, unknown: 4, malformed: 8, present: 16 } as const;
/** Bits of Fields.expect. */
export const EXPECT = { continue: 1, other: 2 } as const;

const HOST = word('host');
const EXPECT_ = word('expect');
const UPGRADE = word('upgrade');
const CONNECTION_ = word('connection');
const CONTENT_LENGTH = word('content-length');
const TRANSFER_ENCODING = word('transfer-encoding');
// With "_" in place of "-": some servers take one for the other. 0x7f is "_" with bit 5 set, as isWord compares it.
const CONTENT_LENGTH_ = word('content\x7flength');
const TRANSFER_ENCODING_ = word('transfer\x7fencoding');
/** Lengths of the names that note() knows: the ones above, and those of trace context fields. */
export const NOTABLE = new Uint8Array(18);
for (const length of [2, 4, 6, 7, 10, 11, 12, 14, 17]) NOTABLE[length] = 1;

const T = 0x74;
const B = 0x62;
const X = 0x78;

/** Takes in a field that may matter to framing, routing or tracing. False: it is not acceptable. */
export function note(fields: Fields, nameStart: number, length: number): boolean {
  const buffer = fields.buffer;
  switch (length) {
    case 4:
      if (!isWord(buffer, nameStart, HOST)) return true;
      if (fields.hosts++ === 0) fields.hostField = fields.count;
      return true;
    case 6:
      if (isWord(buffer, nameStart, EXPECT_)) noteExpect(fields);
      return true;
    case 7:
      if (!isWord(buffer, nameStart, UPGRADE)) return true;
      if (fields.upgrades++ === 0) fields.upgradeField = fields.count;
      return true;
    case 10:
      if (isWord(buffer, nameStart, CONNECTION_)) noteConnection(fields);
      else noteTrace(fields, nameStart);
      return true;
    case 14:
      if (isWord(buffer, nameStart, CONTENT_LENGTH)) return noteContentLength(fields);
      if (!isWord(buffer, nameStart, CONTENT_LENGTH_)) return true;
      fields.problem = 'field that imitates framing';
      return false;
    case 17:
      if (isWord(buffer, nameStart, TRANSFER_ENCODING)) {
        noteTransferEncoding(fields);
        return true;
      }
      if (!isWord(buffer, nameStart, TRANSFER_ENCODING_)) return true;
      fields.problem = 'field that imitates framing';
      return false;
    default:
      noteTrace(fields, nameStart);
      return true;
  }
}

function noteTrace(fields: Fields, nameStart: number): void {
  const first = (fields.buffer[nameStart] as number) | 32;
  if (first === T || first === B || first === X) fields.mayTrace = true;
}

function noteContentLength(fields: Fields): boolean {
  const { buffer, spans, count } = fields;
  const start = spans[4 * count + 2] as number;
  const end = spans[4 * count + 3] as number;
  if (fields.contentLength >= 0) {
    fields.problem = 'repeated Content-Length';
    return false;
  }
  let value = 0;
  for (let i = start; i < end; i++) {
    const byte = buffer[i] as number;
    value = ((CLASS[byte] as number) & DIGIT) === 0 ? Number.NaN : value * 10 + (byte - 48);
    if (!(value <= Number.MAX_SAFE_INTEGER)) break;
  }
  if (start === end || !(value <= Number.MAX_SAFE_INTEGER)) {
    fields.problem = 'malformed Content-Length';
    return false;
  }
  fields.contentLength = value;
  return true;
}

const CONTINUE = word('100-continue');

function noteExpect(fields: Fields): void {
  const { buffer, spans, count } = fields;
  const start = spans[4 * count + 2] as number;
  const length = (spans[4 * count + 3] as number) - start;
  fields.expect |= length === CONTINUE.length && isWord(buffer, start, CONTINUE) ? EXPECT.continue : EXPECT.other;
}

/** Calls `take` with each element of the comma-separated list in the current field. False: one is not a token. */
function eachToken(fields: Fields, take: (start: number, length: number) => void): boolean {
  const { buffer, spans, count } = fields;
  const end = spans[4 * count + 3] as number;
  let i = spans[4 * count + 2] as number;
  for (;;) {
    while (i < end && isSpace(buffer[i] as number)) i++;
    const start = i;
    while (i < end && ((CLASS[buffer[i] as number] as number) & TOKEN) !== 0) i++;
    take(start, i - start);
    while (i < end && isSpace(buffer[i] as number)) i++;
    if (i >= end) return true;
    if (buffer[i++] !== 44) return false; // ","
  }
}

const CLOSE = word('close');
const KEEP_ALIVE = word('keep-alive');

function noteConnection(fields: Fields): void {
  const { buffer, spans, count } = fields;
  const valueStart = spans[4 * count + 2] as number;
  const valueLength = (spans[4 * count + 3] as number) - valueStart;
  // Nearly always it is this one word, and then nothing needs to be allocated.
  if (valueLength === KEEP_ALIVE.length && isWord(buffer, valueStart, KEEP_ALIVE)) {
    fields.connection |= CONNECTION.keepAlive;
    return;
  }
  const well = eachToken(fields, (start, length) => {
    const is = (lower: Uint8Array): boolean => length === lower.length && isWord(buffer, start, lower);
    if (is(CLOSE)) fields.connection |= CONNECTION.close;
    else if (is(KEEP_ALIVE)) fields.connection |= CONNECTION.keepAlive;
    else if (is(UPGRADE)) fields.connection |= CONNECTION.upgrade;
    else if (is(CONTENT_LENGTH) || is(TRANSFER_ENCODING) || is(HOST)) fields.connection |= CONNECTION.framing;
  });
  if (!well) fields.connection |= CONNECTION.malformed;
}

const CHUNKED = word('chunked');
/** Codings that may come before "chunked" (RFC 9112 section 7); "identity" is obsolete and changes nothing. */
const CODINGS = ['gzip', 'x-gzip', 'deflate', 'compress', 'x-compress', 'identity'].map(word);

function noteTransferEncoding(fields: Fields): void {
  const { buffer, spans, count } = fields;
  fields.codings |= CODING.present;
  // White space after the value is legal, but some servers then do not know the coding.
  if (buffer[spans[4 * count + 3] as number] !== CR) fields.codings |= CODING.malformed;
  const well = eachToken(fields, (start, length) => {
    const is = (lower: Uint8Array): boolean => length === lower.length && isWord(buffer, start, lower);
    if (length === 0) {
      fields.codings |= CODING.malformed;
    } else if (is(CHUNKED)) {
      const again = (fields.codings & (CODING.chunkedLast | CODING.chunkedBefore)) !== 0;
      fields.codings |= again ? CODING.malformed : CODING.chunkedLast;
    } else {
      if ((fields.codings & CODING.chunkedLast) !== 0) fields.codings ^= CODING.chunkedLast | CODING.chunkedBefore;
      if (!CODINGS.some(is)) fields.codings |= CODING.unknown;
    }
  });
  if (!well) fields.codings |= CODING.malformed;
}
