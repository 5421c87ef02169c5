// Connections of broken and cut-up messages in both directions, seeded: the thread survives them, nothing that is not
// allowed arrives, and nothing is left behind.

import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { portOf, startClient, startProxy, startServer } from '../testing/harness.ts';
import { createRandom, pick } from '../testing/random.ts';
import { readRequests } from '../testing/requests.ts';

const REQUESTS = [
  'GET /ok HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET /no HTTP/1.1\r\nHost: a\r\n\r\n',
  'HEAD /ok/x HTTP/1.1\r\nHost: a\r\n\r\n',
  'POST /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello',
  'POST /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
  'POST /no HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n',
  'POST /no HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\nExpect: 100-continue\r\n\r\n',
  'GET /ok HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nGET /no HTTP/1.1\r\n',
  'GET /ok/../no HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET /ok HTTP/1.0\r\n\r\n',
  'GET /ok HTTP/1.1\nHost: a\n\n',
  '\r\n\r\n',
];
const RESPONSES = [
  'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
  'HTTP/1.1 204 No Content\r\n\r\n',
  'HTTP/1.1 100 Continue\r\n\r\n',
  'HTTP/1.1 200 OK\r\n\r\nuntil the end',
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
  'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n',
  'HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello',
  'nonsense\r\n\r\n',
];
const CONNECTIONS = 400;
const AT_ONCE = 20;

test('survives broken messages in any pieces', { timeout: 60_000 }, async () => {
  const random = createRandom(7);
  /** What came on each connection of the server that did not switch to another protocol. */
  const reached = new Map<Socket, string>();
  const answer = (socket: Socket): void => {
    const text = pick(RESPONSES, random) + (random(4) === 0 ? pick(RESPONSES, random) : '');
    if (text.includes(' 101 ')) reached.delete(socket);
    const cut = random(text.length + 1);
    socket.write(text.slice(0, cut), 'latin1');
    setTimeout(() => socket.write(text.slice(cut), 'latin1'), random(3));
    const fate = random(16);
    if (fate < 2) setTimeout(() => socket.destroy(), random(5));
    else if (fate < 4) socket.end();
  };
  await using server = await startServer((socket) => {
    reached.set(socket, '');
    socket.on('data', (data) => {
      const before = reached.get(socket);
      if (before !== undefined) reached.set(socket, before + data.toString('latin1'));
      answer(socket);
    });
    socket.on('end', () => socket.end());
  });
  await using proxy = await startProxy({ server: portOf(server), rules: [{ path: '/ok.*' }] });

  const converse = async (): Promise<void> => {
    using client = await startClient(proxy.port);
    for (let i = random(6); i >= 0; i--) {
      let text = pick(REQUESTS, random);
      if (random(6) === 0)
        text = text.slice(0, random(text.length)) + String.fromCharCode(random(256)) + text.slice(random(text.length));
      const cut = random(text.length + 1);
      client.send(text.slice(0, cut));
      if (random(2) === 0) await sleep(random(3));
      client.send(text.slice(cut));
    }
    if (random(3) === 0) client.socket.end();
    await sleep(random(10));
  };
  for (let i = 0; i < CONNECTIONS; i += AT_ONCE) await Promise.all(Array.from({ length: AT_ONCE }, converse));

  const requests = [...reached.values()].flatMap((text) => readRequests(text).found);
  assert.ok(requests.length > 100, `${requests.length} requests reached the server`);
  assert.deepEqual(
    [...new Set(requests.map((request) => request.url))].filter((url) => !url.startsWith('/ok')),
    [],
  );
  using client = await startClient(proxy.port);
  client.send('GET /no HTTP/1.1\r\nHost: a\r\n\r\n');
  await client.until(/Access denied/);
  client[Symbol.dispose]();
  const late = AbortSignal.timeout(20_000);
  while (proxy.count('connections|accepted') > proxy.count('connections|closed') && !late.aborted) await sleep(50);
  assert.equal(proxy.count('connections|accepted') - proxy.count('connections|closed'), 0);
  await sleep(1100);
  assert.equal(proxy.count('gauge|waiting bytes'), 0);
});
