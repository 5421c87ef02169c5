// Message bodies (RFC 9112 section 6 and 7): where they end, byte by byte, without holding any of them.

import { CLASS, CR, FIELD, HEX, hexValue, LF, TOKEN } from './bytes.ts';
import type { Refusal } from './refusal.ts';
import { ENDS } from './response.ts';

/** Reading state of one body. One object serves all messages of a direction. */
export interface Body {
  ends: number; // ENDS
  /** Bytes still to come, of the body (length) or of the chunk (chunked). */
  remaining: number;
  state: number; // of the chunk reader
  line: number; // bytes of the chunk size line so far
  trailers: number; // bytes of the trailer section so far
  name: string; // of the trailer field being read, lower case, cut
  problem: Refusal | undefined;
}

/** A body that has ended. */
export function createBody(): Body {
  return { ends: ENDS.none, remaining: 0, state: 0, line: 0, trailers: 0, name: '', problem: undefined };
}

/** Begins a body that ends as `ends` says, after `length` bytes for ENDS.length. */
export function beginBody(body: Body, ends: number, length: number): void {
  body.ends = ends === ENDS.length && length === 0 ? ENDS.none : ends;
  body.remaining = length;
  if (ends !== ENDS.chunked) return;
  body.state = STATE.size;
  body.remaining = 0;
  body.line = 0;
  body.trailers = 0;
  body.problem = undefined;
}

/**
 * Takes in what of `buffer[start..end)` belongs to the body and returns the offset after it. body.ends is then ENDS.none
 * if the body is complete. On a fault `problem` is set, and the bytes before the returned offset were sound.
 */
export function readBody(
  body: Body,
  { buffer, start, end }: { readonly buffer: Buffer; readonly start: number; readonly end: number },
): number {
  switch (body.ends) {
    case ENDS.none:
      return start;
    case ENDS.length: {
      const taken = Math.min(end - start, body.remaining);
      body.remaining -= taken;
      if (body.remaining === 0) body.ends = ENDS.none;
      return start + taken;
    }
    case ENDS.chunked:
      return readChunks(body, buffer, { start, end });
    default:
      return end;
  }
}

const STATE = {
  size: 0, // first digit of a size
  sizeMore: 1,
  extension: 2, // after ";"
  extensionName: 3,
  extensionValue: 4, // after "="
  extensionToken: 5,
  extensionQuoted: 6,
  extensionEscape: 7,
  extensionEnd: 8, // after a quoted value
  sizeEnd: 9, // LF wanted
  data: 10,
  dataEnd: 11, // CR wanted
  dataEndLine: 12, // LF wanted
  trailer: 13, // first byte of a trailer line
  trailerName: 14,
  trailerValue: 15,
  trailerEnd: 16, // LF wanted
  end: 17, // last LF wanted
} as const;

const SEMICOLON = 59;
const EQUALS = 61;
const QUOTE = 34;
const BACKSLASH = 92;
const COLON = 58;
const MAX_SIZE_LINE = 1024; // bytes of size and extensions
const MAX_TRAILERS = 16 * 1024; // bytes
/** RFC 9110 section 6.5.1: fields that must not come late, with the spellings that some servers take for them. */
const FORBIDDEN_TRAILERS = new Set([
  'content-length',
  'transfer-encoding',
  'host',
  'content_length',
  'transfer_encoding',
]);

interface Span {
  readonly start: number;
  readonly end: number;
}

function readChunks(body: Body, buffer: Buffer, { start, end }: Span): number {
  let i = start;
  while (i < end) {
    if (body.state === STATE.data) {
      const taken = Math.min(end - i, body.remaining);
      body.remaining -= taken;
      i += taken;
      if (body.remaining === 0) body.state = STATE.dataEnd;
      continue;
    }
    const byte = buffer[i] as number;
    const sound = body.state < STATE.data ? sizeByte(body, byte) : trailerByte(body, byte);
    if (!sound) {
      body.problem ??= 'malformed chunk';
      return i;
    }
    i++;
    if (body.ends === ENDS.none) return i;
  }
  return i;
}

/** One byte of the line with size and extensions. False: it must not be there. */
function sizeByte(body: Body, byte: number): boolean {
  if (++body.line > MAX_SIZE_LINE) {
    body.problem = 'chunk extension too long';
    return false;
  }
  const bits = CLASS[byte] as number;
  switch (body.state) {
    case STATE.size:
    case STATE.sizeMore:
      if ((bits & HEX) !== 0) {
        body.remaining = body.remaining * 16 + hexValue(byte);
        body.state = STATE.sizeMore;
        return body.remaining <= Number.MAX_SAFE_INTEGER;
      }
      return body.state === STATE.sizeMore && afterPart(body, byte);
    case STATE.extension:
    case STATE.extensionName:
      if ((bits & TOKEN) !== 0) body.state = STATE.extensionName;
      else if (body.state === STATE.extension) return false;
      else if (byte === EQUALS) body.state = STATE.extensionValue;
      else return afterPart(body, byte);
      return true;
    case STATE.extensionValue:
    case STATE.extensionToken:
      if ((bits & TOKEN) !== 0) body.state = STATE.extensionToken;
      else if (body.state === STATE.extensionToken) return afterPart(body, byte);
      else if (byte === QUOTE) body.state = STATE.extensionQuoted;
      else return false;
      return true;
    case STATE.extensionQuoted:
      if (byte === QUOTE) body.state = STATE.extensionEnd;
      else if (byte === BACKSLASH) body.state = STATE.extensionEscape;
      else return (bits & FIELD) !== 0;
      return true;
    case STATE.extensionEscape:
      body.state = STATE.extensionQuoted;
      return (bits & FIELD) !== 0;
    case STATE.extensionEnd:
      return afterPart(body, byte);
    default: // STATE.sizeEnd
      if (byte !== LF) return false;
      body.line = 0;
      body.state = body.remaining === 0 ? STATE.trailer : STATE.data;
      return true;
  }
}

/** ";" or CR, after a size, an extension's name or its value. */
function afterPart(body: Body, byte: number): boolean {
  if (byte === SEMICOLON) body.state = STATE.extension;
  else if (byte === CR) body.state = STATE.sizeEnd;
  else return false;
  return true;
}

/** One byte of what follows chunk data, or of the trailer section. False: it must not be there. */
function trailerByte(body: Body, byte: number): boolean {
  const bits = CLASS[byte] as number;
  if (body.state >= STATE.trailer && ++body.trailers > MAX_TRAILERS) {
    body.problem = 'trailers too large';
    return false;
  }
  switch (body.state) {
    case STATE.dataEnd:
      body.state = STATE.dataEndLine;
      return byte === CR;
    case STATE.dataEndLine:
      body.state = STATE.size;
      return byte === LF;
    case STATE.trailer:
      body.state = byte === CR ? STATE.end : STATE.trailerName;
      body.name = String.fromCharCode(byte).toLowerCase();
      return byte === CR || (bits & TOKEN) !== 0;
    case STATE.trailerName:
      return byte === COLON ? trailerNamed(body) : trailerName(body, byte, bits);
    case STATE.trailerValue:
      if (byte === CR) body.state = STATE.trailerEnd;
      return byte === CR || (bits & FIELD) !== 0;
    case STATE.trailerEnd:
      body.state = STATE.trailer;
      return byte === LF;
    default: // STATE.end
      if (byte !== LF) return false;
      body.ends = ENDS.none;
      return true;
  }
}

function trailerName(body: Body, byte: number, bits: number): boolean {
  if (body.name.length < 32) body.name += String.fromCharCode(byte).toLowerCase();
  return (bits & TOKEN) !== 0;
}

function trailerNamed(body: Body): boolean {
  body.state = STATE.trailerValue;
  if (!FORBIDDEN_TRAILERS.has(body.name)) return true;
  body.problem = 'forbidden trailer field';
  return false;
}
