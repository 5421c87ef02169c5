// Reads text as a sequence of requests, the way a data thread does.

import { beginBody, createBody, readBody } from '../http1/body.ts';
import { METHOD } from '../http1/methods.ts';
import { createRequestHead, SCAN, scanRequest } from '../http1/request.ts';
import { ENDS } from '../http1/response.ts';

/** A whole request. */
export interface Understood {
  readonly method: string;
  readonly url: string;
  readonly fields: readonly string[];
  readonly body: string;
}

/** Whole requests at the beginning of `text`, as the scanner and the body reader take them. */
export function readRequests(text: string): { found: Understood[]; size: number } {
  const found: Understood[] = [];
  let size = 0;
  const buffer = Buffer.from(`${text}\0`, 'latin1');
  const end = buffer.length - 1;
  const head = createRequestHead(64);
  const body = createBody();
  for (let at = 0; at < end; ) {
    if (scanRequest(head, buffer, at, end) !== SCAN.complete) break;
    const fields: string[] = [];
    for (let i = 0; i < 4 * head.fields.count; i += 4) {
      const [a, b, c, d] = head.fields.spans.subarray(i, i + 4) as unknown as [number, number, number, number];
      fields.push(buffer.toString('latin1', a, b), buffer.toString('latin1', c, d));
    }
    beginBody(body, head.bodyLength < 0 ? ENDS.chunked : ENDS.length, Math.max(head.bodyLength, 0));
    const after = readBody(body, { buffer, start: head.end, end });
    if (body.ends !== ENDS.none) break;
    found.push({
      method: buffer.toString('latin1', head.methodStart, head.methodEnd),
      url:
        buffer
          .toString('latin1', head.methodEnd + 1, head.fields.count > 0 ? head.fields.spans[0] : head.end)
          .split(' ')[0] ?? '',
      fields,
      body: buffer.toString('latin1', head.end, after),
    });
    size = after;
    // What follows is not a request, or not for sure.
    if (head.last || head.upgrade !== 0 || head.method === METHOD.connect) break;
    at = after;
  }
  return { found, size };
}
