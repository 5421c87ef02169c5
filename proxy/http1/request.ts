// Request heads (RFC 9112 sections 2 to 6): one strict pass. What it accepts, every server reads alike.

import { isAuthority } from './authority.ts';
import { CLASS, CR, LF, SP, sameBytes, TOKEN } from './bytes.ts';
import { createFields, type Fields, fieldValue, resetFields, scanFields } from './fields.ts';
import { METHOD, methodKind } from './methods.ts';
import { CODING, CONNECTION, EXPECT } from './notes.ts';
import type { Refusal } from './refusal.ts';
import { FORM, scanTarget, type Target } from './target.ts';
import { UPGRADE, upgradeKind } from './upgrade.ts';

/** Outcomes of a scan. */
export const SCAN = { complete: 1, incomplete: 0, refused: -1 } as const;

/** Offsets are into `buffer` and hold until the next scan. One head is scanned at a time: a thread needs one of these. */
export interface RequestHead extends Target {
  readonly fields: Fields;
  readonly start: number;
  /** After the empty line. */
  readonly end: number;
  readonly methodStart: number;
  readonly methodEnd: number;
  /** The Host field; the authority if HTTP/1.0 has none. Both 0: none at all. */
  readonly hostStart: number;
  readonly hostEnd: number;
  readonly http10: boolean;
  /** Body length in bytes; -1: chunked. */
  readonly bodyLength: number;
  /** No further request may follow on the connection. */
  readonly last: boolean;
  readonly upgrade: number; // UPGRADE
  readonly expectContinue: boolean;
  /** Value of a header by its lower-case name. */
  header(name: string): string | undefined;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** An empty head for requests of at most `maxFields` fields. */
export function createRequestHead(maxFields: number): RequestHead {
  const fields = createFields(maxFields);
  return {
    fields,
    buffer: fields.buffer,
    start: 0,
    end: 0,
    method: 0,
    methodStart: 0,
    methodEnd: 0,
    form: 0,
    pathStart: 0,
    pathEnd: 0,
    plainPath: true,
    authorityStart: 0,
    authorityEnd: 0,
    userInfo: false,
    secure: false,
    hostStart: 0,
    hostEnd: 0,
    http10: false,
    bodyLength: 0,
    last: false,
    upgrade: 0,
    expectContinue: false,
    problem: undefined,
    header: (name) => fieldValue(fields, name),
  };
}

const MAX_METHOD = 32; // bytes
const MAX_LEADING_LINES = 4; // empty lines before a request (RFC 9112 section 2.2)

/**
 * Scans the head of a request in `buffer[start..end)`; buffer[end] must be 0. On SCAN.complete every field of `head` is
 * valid and `head.end` is where the body starts; on SCAN.refused `head.problem` says why. `head.start` skips empty lines
 * before the request.
 */
export function scanRequest(head: RequestHead, buffer: Buffer, start: number, end: number): number {
  const h = head as Writable<RequestHead>;
  h.buffer = buffer;
  resetFields(h.fields, buffer);
  let i = start;
  let outcome = 0;
  h.start = i;
  while (buffer[i] === CR) {
    if (i + 1 >= end) return SCAN.incomplete;
    if (buffer[i + 1] !== LF) return refuse(h, 'bare CR');
    i += 2;
    h.start = i;
    if (i - start > 2 * MAX_LEADING_LINES) return refuse(h, 'malformed request line');
  }
  h.methodStart = i;
  if (i >= end) return SCAN.incomplete;
  let byte = buffer[i] as number;
  while (((CLASS[byte] as number) & TOKEN) !== 0) byte = buffer[++i] as number;
  h.methodEnd = i;
  if (i >= end && i - h.methodStart <= MAX_METHOD) return SCAN.incomplete;
  if (byte !== SP || i === h.methodStart) return refuse(h, 'malformed request line');
  h.method = methodKind(buffer, h.methodStart, i);
  if (h.method < 0) return refuse(h, 'method not supported');
  outcome = scanTarget(h, i + 1, end);
  if (outcome <= 0) return outcome;
  i = outcome + 1;
  outcome = scanVersion(h, i, end);
  if (outcome <= 0) return outcome;
  outcome = scanFields(h.fields, outcome, end);
  if (outcome <= 0) {
    h.problem = h.fields.problem;
    return outcome;
  }
  h.end = outcome;
  return conclude(h);
}

function refuse(h: Writable<RequestHead>, reason: Refusal): -1 {
  h.problem = reason;
  return SCAN.refused;
}

/** "HTTP/1.0" or "HTTP/1.1" and CRLF. Returns the offset after it. */
function scanVersion(h: Writable<RequestHead>, start: number, end: number): number {
  const { buffer } = h;
  for (let k = 0; k < VERSION.length; k++) {
    if (start + k >= end) return SCAN.incomplete;
    if (buffer[start + k] !== VERSION[k]) return refuse(h, 'malformed request line');
  }
  if (start + 10 > end) return hasBareEnd(buffer, start, end) ? refuse(h, 'malformed request line') : SCAN.incomplete;
  const major = (buffer[start + 5] as number) - 48;
  const minor = (buffer[start + 7] as number) - 48;
  if (major < 0 || major > 9 || buffer[start + 6] !== 46 || minor < 0 || minor > 9) {
    return refuse(h, 'malformed request line');
  }
  if (buffer[start + 8] !== CR || buffer[start + 9] !== LF) {
    return refuse(h, buffer[start + 8] === LF ? 'line ended by a bare LF' : 'malformed request line');
  }
  if (major !== 1 || minor > 1) return refuse(h, 'HTTP version not supported');
  h.http10 = minor === 0;
  return start + 10;
}
const VERSION = Buffer.from('HTTP/');

function hasBareEnd(buffer: Buffer, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (buffer[i] === LF) return true;
  return false;
}

/** What the fields together mean. */
function conclude(h: Writable<RequestHead>): number {
  const fields = h.fields;
  const problem = hostProblem(h) ?? framingProblem(h);
  if (problem !== undefined) return refuse(h, problem);
  const { connection } = fields;
  h.last = h.http10
    ? (connection & (CONNECTION.keepAlive | CONNECTION.close)) !== CONNECTION.keepAlive
    : (connection & CONNECTION.close) !== 0;
  h.expectContinue = fields.expect === EXPECT.continue && !h.http10;
  h.upgrade = UPGRADE.none;
  if (fields.upgrades > 0) {
    const kind = upgradeKind(fields);
    if (kind < 0) return refuse(h, 'upgrade not acceptable');
    // Without "Connection: upgrade", and in HTTP/1.0, the field asks for nothing.
    const asked = (connection & CONNECTION.upgrade) !== 0 && !h.http10;
    h.upgrade = kind === UPGRADE.strip || asked ? kind : UPGRADE.none;
  }
  return SCAN.complete;
}

function hostProblem(h: Writable<RequestHead>): Refusal | undefined {
  const { fields, buffer, authorityStart, authorityEnd } = h;
  if (fields.hosts === 0) {
    h.hostStart = authorityStart;
    h.hostEnd = authorityEnd;
    if (!h.http10) return 'missing Host';
    return h.userInfo ? 'malformed request target' : undefined;
  }
  if (fields.hosts > 1) return 'repeated Host';
  const at = 4 * fields.hostField;
  const start = fields.spans[at + 2] as number;
  const end = fields.spans[at + 3] as number;
  h.hostStart = start;
  h.hostEnd = end;
  // White space after the value is legal, but some servers keep it as part of the name.
  if (buffer[end] !== CR || !isAuthority(buffer, start, end)) return 'malformed Host';
  // "user@host" may hide which host is meant; it passes only where Host says it again.
  const same = !h.userInfo || sameBytes(buffer, [authorityStart, authorityEnd, start, end]);
  return same ? undefined : 'malformed request target';
}

function framingProblem(h: Writable<RequestHead>): Refusal | undefined {
  const { codings, contentLength, connection, expect } = h.fields;
  if ((connection & CONNECTION.malformed) !== 0) return 'malformed Connection';
  if ((connection & CONNECTION.framing) !== 0) return 'Connection names a framing field';
  if ((expect & EXPECT.other) !== 0) return 'expectation not supported';
  h.bodyLength = Math.max(contentLength, 0);
  if (codings !== 0) {
    if (contentLength >= 0) return 'Content-Length with Transfer-Encoding';
    if (h.http10) return 'Transfer-Encoding in HTTP/1.0';
    if ((codings & (CODING.malformed | CODING.chunkedBefore)) !== 0) return 'malformed Transfer-Encoding';
    if ((codings & CODING.unknown) !== 0) return 'transfer coding not supported';
    if ((codings & CODING.chunkedLast) === 0) return 'malformed Transfer-Encoding';
    h.bodyLength = -1;
  }
  if (h.method === METHOD.connect && (h.http10 || codings !== 0 || contentLength >= 0)) {
    return h.http10 ? 'HTTP version not supported' : 'CONNECT with content';
  }
  return undefined;
}

/** Does the request name an authority of its own, beside Host? */
export function hasOwnAuthority(head: RequestHead): boolean {
  return head.form === FORM.absolute || head.form === FORM.authority;
}
