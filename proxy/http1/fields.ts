// The field section of a head (RFC 9112 section 5): one strict pass, which also gathers what framing and routing need.
//
// Scanners read `buffer[start..end)` and rely on buffer[end] being 0: no character class holds 0, so inner loops need
// no second bound. They never keep state between calls; an incomplete head is scanned again when its end has come.

import { CLASS, CR, FIELD, HTAB, isSpace, LF, SP, TOKEN } from './bytes.ts';
import { NOTABLE, note } from './notes.ts';
import type { Refusal } from './refusal.ts';

export interface Fields {
  buffer: Buffer;
  count: number;
  /** Four offsets for each field: name start and end, value start and end (without surrounding white space). */
  readonly spans: Int32Array;
  /** Why the last scan failed. */
  problem: Refusal | undefined;
  contentLength: number; // -1: none
  codings: number;
  connection: number;
  expect: number;
  hosts: number;
  hostField: number; // index of the first Host
  upgrades: number;
  upgradeField: number; // index of the first Upgrade
  /** A field is there that may carry a trace context. */
  mayTrace: boolean;
}

/** Room for `maxFields` fields. */
export function createFields(maxFields: number): Fields {
  return {
    buffer: Buffer.alloc(0),
    count: 0,
    spans: new Int32Array(4 * maxFields),
    problem: undefined,
    contentLength: -1,
    codings: 0,
    connection: 0,
    expect: 0,
    hosts: 0,
    hostField: -1,
    upgrades: 0,
    upgradeField: -1,
    mayTrace: false,
  };
}

/** Forgets the last head. */
export function resetFields(fields: Fields, buffer: Buffer): void {
  fields.buffer = buffer;
  fields.count = 0;
  fields.problem = undefined;
  fields.contentLength = -1;
  fields.codings = 0;
  fields.connection = 0;
  fields.expect = 0;
  fields.hosts = 0;
  fields.upgrades = 0;
  fields.mayTrace = false;
}

const COLON = 58;

/** Scans field lines from `start` to the empty line. Returns the offset after it, 0 if incomplete, -1 on a problem. */
export function scanFields(fields: Fields, start: number, end: number): number {
  const buffer = fields.buffer;
  const spans = fields.spans;
  let i = start;
  for (;;) {
    let byte = buffer[i] as number;
    if (byte === CR) {
      if (i + 1 >= end) return 0;
      return buffer[i + 1] === LF ? i + 2 : fail(fields, 'bare CR');
    }
    const nameStart = i;
    while (((CLASS[byte] as number) & TOKEN) !== 0) byte = buffer[++i] as number;
    if (byte !== COLON || i === nameStart) return i >= end ? 0 : fail(fields, nameProblem(byte, i === nameStart));
    const nameEnd = i;
    do byte = buffer[++i] as number;
    while (byte === SP || byte === HTAB);
    const valueStart = i;
    while (((CLASS[byte] as number) & FIELD) !== 0) byte = buffer[++i] as number;
    if (i + 1 >= end) {
      if (i >= end || byte === CR) return 0;
    }
    if (byte !== CR) return fail(fields, byte === LF ? 'line ended by a bare LF' : 'control character in field');
    if (buffer[i + 1] !== LF) return fail(fields, 'bare CR');
    let valueEnd = i;
    while (valueEnd > valueStart && isSpace(buffer[valueEnd - 1] as number)) valueEnd--;
    const at = 4 * fields.count;
    if (at === spans.length) return fail(fields, 'too many fields');
    spans[at] = nameStart;
    spans[at + 1] = nameEnd;
    spans[at + 2] = valueStart;
    spans[at + 3] = valueEnd;
    const length = nameEnd - nameStart;
    if (length <= 17 && NOTABLE[length] === 1 && !note(fields, nameStart, length)) return -1;
    fields.count++;
    i += 2;
  }
}

/** The value of a field by its lower-case name: all its lines joined with ",", or undefined. Bytes are read as UTF-8. */
export function fieldValue(fields: Fields, name: string): string | undefined {
  const { buffer, spans } = fields;
  let value: string | undefined;
  for (let at = 0; at < 4 * fields.count; at += 4) {
    const nameStart = spans[at] as number;
    if ((spans[at + 1] as number) - nameStart !== name.length || !isName(buffer, nameStart, name)) continue;
    const line = buffer.toString('utf8', spans[at + 2] as number, spans[at + 3] as number);
    value = value === undefined ? line : `${value},${line}`;
  }
  return value;
}

function isName(buffer: Uint8Array, start: number, lower: string): boolean {
  for (let i = 0; i < lower.length; i++) {
    const byte = buffer[start + i] as number;
    if ((byte >= 65 && byte <= 90 ? byte | 32 : byte) !== lower.charCodeAt(i)) return false;
  }
  return true;
}

function fail(fields: Fields, problem: Refusal): -1 {
  fields.problem = problem;
  return -1;
}

function nameProblem(byte: number, first: boolean): Refusal {
  if (byte === LF) return 'line ended by a bare LF';
  if (byte === CR) return 'bare CR';
  return first && isSpace(byte) ? 'folded field line' : 'malformed field name';
}
