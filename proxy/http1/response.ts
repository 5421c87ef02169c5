// Response heads (RFC 9112 section 4 and 6.3).

import { CLASS, CR, DIGIT, FIELD, LF, SP } from './bytes.ts';
import { createFields, type Fields, fieldValue, resetFields, scanFields } from './fields.ts';
import { METHOD } from './methods.ts';
import { CODING, CONNECTION } from './notes.ts';
import { SCAN } from './request.ts';

/** How a response body ends. */
export const ENDS = { none: 0, length: 1, chunked: 2, close: 3 } as const;

/** Offsets are into `buffer` and hold until the next scan. */
export interface ResponseHead {
  readonly fields: Fields;
  readonly start: number;
  readonly end: number;
  readonly status: number;
  readonly http10: boolean;
  readonly ends: number; // ENDS
  readonly bodyLength: number; // for ENDS.length
  /** The server will close after it. */
  readonly last: boolean;
  /** What is wrong. */
  readonly problem: string;
  header(name: string): string | undefined;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** An empty head for responses of at most `maxFields` fields. */
export function createResponseHead(maxFields: number): ResponseHead {
  const fields = createFields(maxFields);
  return {
    fields,
    start: 0,
    end: 0,
    status: 0,
    http10: false,
    ends: 0,
    bodyLength: 0,
    last: false,
    problem: '',
    header: (name) => fieldValue(fields, name),
  };
}

const MAX_LEADING_LINES = 4;
const VERSION = Buffer.from('HTTP/1.');

/**
 * Scans the head of a response to a request with METHOD `method` in `buffer[start..end)`; buffer[end] must be 0.
 * Returns a SCAN outcome. `head.start` skips empty lines before the response.
 */
export function scanResponse(
  head: ResponseHead,
  method: number,
  { buffer, start, end }: { readonly buffer: Buffer; readonly start: number; readonly end: number },
): number {
  const h = head as Writable<ResponseHead>;
  resetFields(h.fields, buffer);
  let i = start;
  h.start = i;
  while (buffer[i] === CR) {
    if (i + 1 >= end) return SCAN.incomplete;
    if (buffer[i + 1] !== LF || i - start >= 2 * MAX_LEADING_LINES) return refuse(h, 'malformed status line');
    i += 2;
    h.start = i;
  }
  for (let k = 0; k < VERSION.length; k++) {
    if (i + k >= end) return SCAN.incomplete;
    if (buffer[i + k] !== VERSION[k]) return refuse(h, 'malformed status line');
  }
  if (end - i < 13) return SCAN.incomplete; // "HTTP/1.1 200" and what follows it
  const minor = (buffer[i + 7] as number) - 48;
  if ((minor !== 0 && minor !== 1) || buffer[i + 8] !== SP) return refuse(h, 'malformed status line');
  h.http10 = minor === 0;
  let status = 0;
  for (let k = 9; k < 12; k++) {
    const byte = buffer[i + k] as number;
    if (((CLASS[byte] as number) & DIGIT) === 0) return refuse(h, 'malformed status line');
    status = status * 10 + (byte - 48);
  }
  h.status = status;
  i += 12;
  let byte = buffer[i] as number;
  if (status < 100 || (byte !== SP && byte !== CR)) return refuse(h, 'malformed status line');
  while (((CLASS[byte] as number) & FIELD) !== 0) byte = buffer[++i] as number;
  if (i + 1 >= end && (i >= end || byte === CR)) return SCAN.incomplete;
  if (byte !== CR || buffer[i + 1] !== LF) return refuse(h, 'malformed status line');
  const after = scanFields(h.fields, i + 2, end);
  if (after <= 0) {
    if (after < 0) h.problem = h.fields.problem ?? '';
    return after;
  }
  h.end = after;
  return conclude(h, method);
}

function refuse(h: Writable<ResponseHead>, problem: string): -1 {
  h.problem = problem;
  return SCAN.refused;
}

/** RFC 9112 section 6.3, with what it leaves open refused. */
function conclude(h: Writable<ResponseHead>, method: number): number {
  const { codings, contentLength, connection } = h.fields;
  const { status } = h;
  h.last =
    (connection & CONNECTION.close) !== 0 || (h.http10 && (connection & CONNECTION.keepAlive) === 0) || status === 101;
  h.bodyLength = Math.max(contentLength, 0);
  const bodiless = status < 200 || status === 204 || status === 304 || method === METHOD.head;
  if (codings !== 0 && status !== 101) {
    if (contentLength >= 0) return refuse(h, 'Content-Length with Transfer-Encoding');
    if (status < 200 || status === 204) return refuse(h, 'Transfer-Encoding in a response without a body');
    if (h.http10) return refuse(h, 'Transfer-Encoding in HTTP/1.0');
    if ((codings & CODING.malformed) !== 0) return refuse(h, 'malformed Transfer-Encoding');
  }
  if (bodiless || (method === METHOD.connect && status < 300)) h.ends = ENDS.none;
  else if (codings !== 0) h.ends = (codings & CODING.chunkedLast) !== 0 ? ENDS.chunked : ENDS.close;
  else h.ends = contentLength >= 0 ? ENDS.length : ENDS.close;
  return SCAN.complete;
}
