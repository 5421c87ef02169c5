// What the scanner accepts, llhttp (under node:http) must understand in the same way. Mutations of requests, seeded.

import assert from 'node:assert/strict';
import { createServer, type IncomingMessage } from 'node:http';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import { createRandom, pick } from '../testing/random.ts';
import { readRequests, type Understood } from '../testing/requests.ts';

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
    const { found: mine, size } = readRequests(text);
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
