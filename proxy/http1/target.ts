// The request target (RFC 9112 section 3.2): which of its four forms it has, and where its path and authority are.

import { hasPort, isAuthority } from './authority.ts';
import { CLASS, HEX, hexValue, isWord, PATH, QUERY, SP, word } from './bytes.ts';
import { METHOD } from './methods.ts';
import type { Refusal } from './refusal.ts';

export const FORM = { origin: 0, absolute: 1, asterisk: 2, authority: 3 } as const;

export interface Target {
  buffer: Buffer;
  method: number; // METHOD
  form: number; // FORM
  pathStart: number; // path and query; empty for authority-form
  pathEnd: number;
  /** Every reader sees this path alike: no escapes, parameters, dot segments or empty segments. */
  plainPath: boolean;
  /** Without user information; both 0 unless absolute- or authority-form. */
  authorityStart: number;
  authorityEnd: number;
  userInfo: boolean;
  secure: boolean; // scheme "https"
  problem: Refusal | undefined;
}

const SLASH = 47;
const QUESTION = 63;
const PERCENT = 37;
const SEMICOLON = 59;
const DOT = 46;
const COLON = 58;
const AT = 64;

/** Scans a target from `start`. Returns the offset of the SP after it, 0 if incomplete, -1 with `problem` set. */
export function scanTarget(target: Target, start: number, end: number): number {
  const buffer = target.buffer;
  target.plainPath = true;
  target.authorityStart = target.authorityEnd = 0;
  target.userInfo = target.secure = false;
  if (start >= end) return 0;
  if (target.method === METHOD.connect) return scanAuthorityForm(target, start, end);
  if (buffer[start] === SLASH) {
    target.form = FORM.origin;
    return scanPath(target, start, end);
  }
  if (buffer[start] === 42) {
    // "*"
    if (start + 1 >= end) return 0;
    if (target.method < METHOD.options || buffer[start + 1] !== SP) return fail(target, 'malformed request target');
    target.form = FORM.asterisk;
    target.pathStart = start;
    target.pathEnd = start + 1;
    return start + 1;
  }
  return scanAbsoluteForm(target, start, end);
}

function fail(target: Target, problem: Refusal): -1 {
  target.problem = problem;
  return -1;
}

/** Path and query up to SP. */
function scanPath(target: Target, start: number, end: number): number {
  const buffer = target.buffer;
  target.pathStart = start;
  let i = start;
  let byte = buffer[i] as number;
  for (;;) {
    while (((CLASS[byte] as number) & PATH) !== 0) byte = buffer[++i] as number;
    if (byte === SLASH) {
      byte = buffer[++i] as number;
      if (byte === SLASH || byte === DOT || byte === SEMICOLON) target.plainPath = false;
    } else if (byte === DOT) {
      byte = buffer[++i] as number;
    } else if (byte === SEMICOLON) {
      target.plainPath = false;
      byte = buffer[++i] as number;
    } else if (byte === PERCENT) {
      target.plainPath = false;
      const high = buffer[i + 1] as number;
      const low = buffer[i + 2] as number;
      if (i + 2 >= end) return 0;
      if (((CLASS[high] as number) & (CLASS[low] as number) & HEX) === 0)
        return fail(target, 'malformed request target');
      const decoded = hexValue(high) * 16 + hexValue(low);
      if (decoded < 32 || decoded === 127) return fail(target, 'control character in path');
      i += 3;
      byte = buffer[i] as number;
    } else break;
  }
  if (byte === QUESTION) {
    do byte = buffer[++i] as number;
    while (((CLASS[byte] as number) & QUERY) !== 0);
  }
  target.pathEnd = i;
  if (byte === SP) return i;
  return i >= end ? 0 : fail(target, 'malformed request target');
}

function scanAuthorityForm(target: Target, start: number, end: number): number {
  const stop = target.buffer.indexOf(SP, start);
  if (stop < 0 || stop >= end) return end - start > MAX_AUTHORITY ? fail(target, 'malformed request target') : 0;
  target.form = FORM.authority;
  target.authorityStart = start;
  target.authorityEnd = stop;
  target.pathStart = target.pathEnd = stop;
  if (!isAuthority(target.buffer, start, stop) || !hasPort(target.buffer, start, stop))
    return fail(target, 'malformed request target');
  return stop;
}
const MAX_AUTHORITY = 1024; // bytes

const HTTP = word('http');
const HTTPS = word('https');

function scanAbsoluteForm(target: Target, start: number, end: number): number {
  const buffer = target.buffer;
  const schemeEnd = start + (((buffer[start + 4] as number) | 32) === 0x73 ? 5 : 4);
  if (end < schemeEnd + 3) return hasLineEnd(buffer, start, end) ? fail(target, 'malformed request target') : 0;
  target.secure = schemeEnd - start === 5;
  const known = isWord(buffer, start, target.secure ? HTTPS : HTTP);
  if (!known || buffer[schemeEnd] !== COLON || buffer[schemeEnd + 1] !== SLASH || buffer[schemeEnd + 2] !== SLASH) {
    return fail(target, 'malformed request target');
  }
  let authority = schemeEnd + 3;
  let i = authority;
  for (; i < end; i++) {
    const byte = buffer[i] as number;
    if (byte === SLASH || byte === QUESTION || byte === SP) break;
    if (byte < 33 || byte > 126) return fail(target, 'malformed request target');
    if (byte !== AT) continue;
    if (target.userInfo) return fail(target, 'malformed request target');
    target.userInfo = true;
    authority = i + 1;
  }
  if (i >= end) return 0;
  if (!isAuthority(buffer, authority, i)) return fail(target, 'malformed request target');
  target.form = FORM.absolute;
  target.authorityStart = authority;
  target.authorityEnd = i;
  const stop = scanPath(target, i, end);
  if (buffer[i] !== SLASH) target.plainPath = false;
  return stop;
}

function hasLineEnd(buffer: Buffer, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if ((buffer[i] as number) <= SP) return true;
  return false;
}
