// What the scanner accepts, llhttp (under node:http) must understand in the same way. Mutations of requests, seeded.

import assert from 'node:assert/strict';
import { createServer, type IncomingMessage } from 'node:http';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import { createRandom, pick } from '../testing/random.ts';
import { beginBody, createBody, readBody } from './body.ts';
import { createRequestHead, SCAN, scanRequest } from './request.ts';
import { ENDS } from './response.ts';

interface Understood {
  readonly method: string;
  readonly url: string;
  readonly fields: readonly string[];
  readonly body: string;
}

/** Whole requests at the beginning of `text`, as the scanner and the body reader take them. */
function ours(text: string): { found: Understood[]; size: number } {
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
    if (head.last || head.upgrade !== 0 || head.method === 2) break;
    at = after;
  }
  return { found, size };
}

/** Requests that node:http sees in `text`. */
async function theirs(text: string): Promise<Pick<Understood, 'method' | 'url' | 'fields'>[]> {
  const found: Pick<Understood, 'method' | 'url' | 'fields'>[] = [];
  const take = (request: IncomingMessage): void => {
    found.push({ method: request.method ?? '', url: request.url ?? '', fields: request.rawHeaders });
  };
  const server = createServer({ requireHostHeader: false }, (request, response) => {
    request.resume().on('end', () => {
      take(request);
      response.end();
    });
  });
  server
    .on('connect', take)
    .on('upgrade', take)
    .on('clientError', () => {})
    .on('checkContinue', (request, response) => {
      server.emit('request', request, response);
    });
  const socket = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
  socket.on('error', () => {});
  server.emit('connection', socket);
  socket.push(Buffer.from(text, 'latin1'));
  for (let i = 0; i < 6; i++) await new Promise((resolve) => setImmediate(resolve));
  socket.destroy();
  return found;
}

const SEEDS = [
  'GET /a?b=c HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n',
  'POST /x HTTP/1.1\r\nHost: a.b:80\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: a\r\n\r\n',
  'POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n',
  'PUT http://a/x HTTP/1.1\r\nHost: a\r\nConnection: close, x\r\nContent-Length: 0\r\n\r\n',
  'GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n',
];
const PIECES = [
  '\r',
  '\n',
  '\r\n',
  ' ',
  '\t',
  ':',
  ',',
  ';',
  '0',
  '1',
  '\0',
  '\x7f',
  '\xff',
  'Host: b\r\n',
  'Content-Length: 3\r\n',
  'Transfer-Encoding: chunked\r\n',
  'chunked',
  'gzip, ',
  'X',
  '_',
  '-',
  '"',
  '%',
  '\r\n ',
];

function mutate(seed: string, random: (limit: number) => number): string {
  let text = seed;
  for (let i = random(3); i >= 0; i--) {
    const at = random(text.length + 1);
    const piece = pick(PIECES, random);
    const removed = random(3) === 0 ? random(4) : 0;
    text = text.slice(0, at) + (random(4) === 0 ? '' : piece) + text.slice(at + removed);
  }
  return text;
}

test('what is accepted is what llhttp sees', { timeout: 60_000 }, async () => {
  const random = createRandom(20_260_101);
  let accepted = 0;
  for (let i = 0; i < 3000; i++) {
    const text = mutate(SEEDS[i % SEEDS.length] ?? '', random);
    const { found: mine, size } = ours(text);
    if (mine.length === 0) continue;
    const seen = await theirs(text.slice(0, size));
    mine.forEach((request, k) => {
      accepted++;
      const { body: _, ...understood } = request;
      assert.deepEqual({ ...seen[k] }, understood, JSON.stringify(text));
    });
  }
  assert.ok(accepted > 500, `${accepted} accepted`);
});
