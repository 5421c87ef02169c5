// How connections switch, end and fail, through a data thread between real sockets.

import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { portOf, startClient, startProxy, startServer } from '../testing/harness.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const get = (path: string, fields = ''): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`;
const WEBSOCKET = 'Connection: Upgrade\r\nUpgrade: websocket\r\n';
const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';

/** A server that shows each socket, with what it received in `received`. */
async function startShowing() {
  const sockets: Socket[] = [];
  const show = { received: '', ended: 0, closed: 0 };
  const server = await startServer((socket) => {
    sockets.push(socket);
    socket.on('data', (data) => {
      show.received += data.toString('latin1');
    });
    socket.on('end', () => show.ended++);
    socket.on('close', () => show.closed++);
  });
  return { server, sockets, show };
}

async function until(condition: () => boolean): Promise<void> {
  const late = AbortSignal.timeout(5_000);
  while (!condition()) {
    assert.equal(late.aborted, false, String(condition));
    await sleep(1);
  }
}

test('an upgrade opens a tunnel once the server switches; what came early is held until then', async () => {
  const { server, sockets, show } = await startShowing();
  await using proxy = await startProxy({ server: portOf(server), rules: [{ path: '/ok' }] });
  await using _ = server;
  using client = await startClient(proxy.port);
  client.send(`${get('/ok', WEBSOCKET)}=hello`);
  await until(() => show.received !== '');
  await sleep(20);
  assert.equal(show.received, get('/ok', WEBSOCKET));
  sockets[0]?.write(`${SWITCH}=hi`);
  await client.until((text) => text === `${SWITCH}=hi`);
  await until(() => show.received.endsWith('=hello'));
  client.send('=anything');
  await until(() => show.received.endsWith('anything'));
  client.socket.end();
  await until(() => show.ended === 1);
  sockets[0]?.end('bye');
  await client.ended();
  assert.ok(client.received.endsWith('bye'));
  assert.equal(proxy.records()[0]?.status, 101);
});

test('after an upgrade that the server declines, what came early is judged like any request', async () => {
  const { server, sockets, show } = await startShowing();
  await using proxy = await startProxy({ server: portOf(server), rules: [{ path: '/ok' }] });
  await using _ = server;
  using client = await startClient(proxy.port);
  client.send(get('/ok', WEBSOCKET) + get('/no') + get('/ok'));
  await until(() => show.received !== '');
  sockets[0]?.write(OK);
  await client.until(/Access denied\r\n$/);
  await until(() => show.received === get('/ok', WEBSOCKET) + get('/ok'));
});

for (const { name, request, answer } of [
  { name: 'nobody asked for', request: get('/ok'), answer: SWITCH },
  {
    name: 'to a protocol that nobody asked for',
    request: get('/ok', WEBSOCKET),
    answer: SWITCH.replace('websocket', 'h2c'),
  },
]) {
  test(`a switch ${name} lets nothing of the client pass`, async () => {
    const { server, sockets, show } = await startShowing();
    await using proxy = await startProxy({ server: portOf(server), rules: [{ path: '/ok' }] });
    await using _ = server;
    using client = await startClient(proxy.port);
    client.send(request);
    await until(() => show.received !== '');
    sockets[0]?.write(answer);
    await client.until((text) => text === answer);
    client.send(get('/secret'));
    await sleep(30);
    assert.equal(show.received, request);
  });
}

test('CONNECT opens a tunnel only if a rule allows it', async () => {
  const { server, sockets, show } = await startShowing();
  await using proxy = await startProxy({ server: portOf(server), rules: [{ method: 'GET' }] });
  await using _ = server;
  const request = 'CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n';
  using denied = await startClient(proxy.port);
  denied.send(request);
  await denied.until(/^HTTP\/1.1 403 /);
  await proxy.rules([{ method: 'CONNECT', host: 'a:80' }]);
  using client = await startClient(proxy.port);
  client.send(`${request}early`);
  await until(() => show.received === request);
  sockets[0]?.write('HTTP/1.1 200 OK\r\n\r\n');
  await until(() => show.received === `${request}early`);
});

test('the client half-closes and still gets its responses', async () => {
  const { server, sockets, show } = await startShowing();
  await using proxy = await startProxy({ server: portOf(server) });
  await using _ = server;
  using client = await startClient(proxy.port);
  client.socket.end(get('/1') + get('/2'));
  await until(() => show.ended === 1);
  sockets[0]?.write(OK);
  await sleep(10);
  sockets[0]?.write(OK);
  await client.ended();
  assert.equal(client.received, OK + OK);
});

test('a client that leaves in the middle of a body has its request cut, not completed', async () => {
  const { server, show } = await startShowing();
  await using proxy = await startProxy({ server: portOf(server) });
  await using _ = server;
  using client = await startClient(proxy.port);
  client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf');
  await until(() => show.received.endsWith('half'));
  client.socket.end();
  await until(() => show.closed === 1);
  assert.equal(show.ended, 0); // a reset
});

test('an early response is delivered while the body is still being sent', async () => {
  const { server, sockets, show } = await startShowing();
  await using proxy = await startProxy({ server: portOf(server) });
  await using _ = server;
  using client = await startClient(proxy.port);
  client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n');
  await until(() => show.received !== '');
  for (let i = 0; i < 10; i++) client.send(Buffer.alloc(100_000));
  const answer = 'HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n';
  sockets[0]?.write(answer, () => sockets[0]?.destroy());
  await client.ended();
  assert.equal(client.received, answer);
  assert.equal(client.end, 'end');
});

test('a server that refuses connections gives 503', async () => {
  const closed = await startServer(() => {});
  const port = portOf(closed);
  await closed[Symbol.asyncDispose]();
  await using proxy = await startProxy({ server: port });
  using client = await startClient(proxy.port);
  client.send(get('/'));
  await client.ended();
  assert.match(client.received, /^HTTP\/1.1 503 .*connection refused or timed out\r\n$/s);
  assert.equal(proxy.records()[0]?.verdict, 4);
  assert.equal(proxy.records()[0]?.status, 503);
});

test('a server that closes without a response gives 502', async () => {
  await using server = await startServer((socket) => socket.once('data', () => socket.end()));
  await using proxy = await startProxy({ server: portOf(server) });
  using client = await startClient(proxy.port);
  client.send(get('/'));
  await client.ended();
  assert.match(client.received, /^HTTP\/1.1 502 .*connection closed before the response\r\n$/s);
});

test('a server that closes a connection it has served ends the client connection, without an answer', async () => {
  const { server, sockets } = await startShowing();
  await using proxy = await startProxy({ server: portOf(server) });
  await using _ = server;
  using client = await startClient(proxy.port);
  client.send(get('/'));
  await until(() => sockets.length === 1);
  sockets[0]?.write(OK);
  await client.until((text) => text === OK);
  sockets[0]?.destroy();
  client.send(get('/'));
  await client.ended();
  assert.equal(client.received, OK);
});

test('a response that is not HTTP gives 502, and nothing of it passes', async () => {
  await using server = await startServer((socket) => socket.once('data', () => socket.write('SSH-2.0-x\r\n\r\n')));
  await using proxy = await startProxy({ server: portOf(server) });
  using client = await startClient(proxy.port);
  client.send(get('/'));
  await client.ended();
  assert.match(client.received, /^HTTP\/1.1 502 .*malformed response\r\n$/s);
});

test('bytes of the server that answer nothing end the connection and go nowhere', async () => {
  await using server = await startServer((socket) =>
    socket.once('data', () => socket.write(`${OK}HTTP/1.1 200 OK\r\n\r\n`)),
  );
  await using proxy = await startProxy({ server: portOf(server) });
  using client = await startClient(proxy.port);
  client.send(get('/'));
  await client.ended();
  assert.equal(client.received, OK);
});

test('rules that change hold for the next request of a connection; without rules nothing passes', async () => {
  const { server, sockets, show } = await startShowing();
  await using proxy = await startProxy({ server: portOf(server), rules: [{ path: '/ok' }] });
  await using _ = server;
  using client = await startClient(proxy.port);
  client.send(get('/ok'));
  await until(() => sockets.length === 1);
  sockets[0]?.write(OK);
  await client.until((text) => text === OK);
  await proxy.rules('none');
  client.send(get('/ok'));
  await client.until(/403 Forbidden/);
  await proxy.rules('all');
  client.send(get('/whatever'));
  await until(() => show.received === get('/ok') + get('/whatever'));
});

test('requests are answered under the rules in force while a change is compiled', async () => {
  await using server = await startServer((socket) => socket.on('data', () => socket.write(OK)));
  await using proxy = await startProxy({ server: portOf(server), rules: [{ path: '/ok' }] });
  using client = await startClient(proxy.port);
  const many = Array.from({ length: 3000 }, (_, i) => ({ path: `/new${i}/[0-9]+(/x.*)?` }));
  let inForce = false;
  const change = proxy.rules(many).then(() => {
    inForce = true;
  });
  let before = 0;
  for (let size = 0; !inForce; size = client.received.length) {
    client.send('GET /ok HTTP/1.1\r\nHost: a\r\n\r\n');
    await client.until((text) => text.length > size);
    if (client.received.endsWith(OK)) before++;
  }
  await change;
  assert.ok(before >= 5, `${before} requests`);
  const { length } = client.received;
  client.send('GET /ok HTTP/1.1\r\nHost: a\r\n\r\n');
  await client.until((text) => text.length > length);
  assert.match(client.received.slice(length), /^HTTP\/1.1 403 /);
});
