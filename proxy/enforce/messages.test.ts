// Messages of one connection, through a data thread between real sockets.

import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Client,
  type ProxyOptions,
  type ProxyUnderTest,
  portOf,
  startClient,
  startProxy,
  startServer,
} from '../testing/harness.ts';

interface Scene extends AsyncDisposable {
  readonly client: Client;
  readonly proxy: ProxyUnderTest;
  /** What the server has received, on all connections. */
  readonly reached: () => string;
}

/** A client whose requests `answer` answers: it gets the server's socket and all that was received on it so far. */
async function scene(
  answer: (socket: Socket, received: string) => void,
  options: Partial<ProxyOptions> = {},
): Promise<Scene> {
  let reached = '';
  const server = await startServer((socket) => {
    let received = '';
    socket.on('data', (data) => {
      received += data.toString('latin1');
      reached += data.toString('latin1');
      answer(socket, received);
    });
    socket.on('end', () => socket.end());
  });
  const proxy = await startProxy({
    server: portOf(server),
    rules: [{ method: 'GET|POST|HEAD', path: '/ok.*' }],
    ...options,
  });
  const client = await startClient(proxy.port);
  return {
    client,
    proxy,
    reached: () => reached,
    async [Symbol.asyncDispose]() {
      client[Symbol.dispose]();
      await proxy[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const DENIED = 'HTTP/1.1 403 Forbidden\r\ncontent-type: text/plain\r\ncontent-length: 15\r\n\r\nAccess denied\r\n';
const get = (path: string, fields = ''): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`;
const count = (text: string, part: string): number => text.split(part).length - 1;
/** Answers each whole request head with `text`. */
const each = (text: string) => {
  let answered = 0;
  return (socket: Socket, received: string): void => {
    for (const all = count(received, '\r\n\r\n'); answered < all; answered++) socket.write(text);
  };
};

test('allowed requests pass as they are, denied ones get 403, and the connection goes on', async () => {
  await using s = await scene(each(OK));
  for (let round = 0; round < 3; round++) {
    s.client.send(get('/ok', 'X: y\r\n'));
    await s.client.until((text) => count(text, OK) === round + 1);
    s.client.send(get('/no'));
    await s.client.until((text) => count(text, DENIED) === round + 1);
  }
  assert.equal(s.reached(), get('/ok', 'X: y\r\n').repeat(3));
});

test('no connection to the server is made for a denied request', async () => {
  await using s = await scene(each(OK));
  s.client.send(get('/no'));
  await s.client.until(/denied/);
  assert.equal(s.proxy.count('connections|upstream'), 0);
});

test('answers in a pipeline keep the order of the requests', async () => {
  const sockets: Socket[] = [];
  await using s = await scene((socket) => void sockets.push(socket));
  s.client.send(get('/ok/1') + get('/no/1') + get('/ok/2') + get('/no/2') + get('/no/3'));
  await s.client.until(() => s.reached() === get('/ok/1') + get('/ok/2'));
  await sleep(30);
  assert.equal(s.client.received, '');
  sockets[0]?.write(OK);
  await s.client.until((text) => text === OK + DENIED);
  sockets[0]?.write('HTTP/1.1 204 No Content\r\n\r\n');
  assert.equal(
    await s.client.until((text) => count(text, DENIED) === 3),
    `${OK}${DENIED}HTTP/1.1 204 No Content\r\n\r\n${DENIED}${DENIED}`,
  );
});

test('a head may come byte by byte', async () => {
  await using s = await scene(each(OK));
  for (const byte of get('/ok', 'X: y\r\n')) {
    s.client.send(byte);
    await sleep(1);
  }
  await s.client.until((text) => text === OK);
  assert.equal(s.reached(), get('/ok', 'X: y\r\n'));
});

test('bodies pass in both directions, chunked with trailers too', async () => {
  const body = '5\r\nhello\r\n0;x=y\r\nX-Sum: 1\r\n\r\n';
  const request = `POST /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${body}`;
  const response = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${body}`;
  let answered = 0;
  await using s = await scene((socket, received) => {
    if (answered === 0 && received.startsWith(request) && ++answered === 1) socket.write(response);
    if (answered === 1 && received === request + get('/ok') && ++answered === 2) socket.write(OK);
  });
  s.client.send(request.slice(0, -8));
  await sleep(5);
  s.client.send(request.slice(-8) + get('/ok'));
  await s.client.until((text) => text === response + OK);
});

test('the body of a denied request is thrown away', async () => {
  await using s = await scene(each(OK));
  const body = get('/ok/in/the/body');
  s.client.send(`POST /no HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, -3)}`);
  await sleep(5);
  s.client.send(body.slice(-3) + get('/ok'));
  await s.client.until((text) => text === DENIED + OK);
  assert.equal(s.reached(), get('/ok'));
});

test('a denied request with a body that is too large ends the connection', async () => {
  await using s = await scene(each(OK), { limits: { maxDiscardBytes: 1000 } });
  s.client.send('POST /no HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n');
  s.client.send(Buffer.alloc(100_000));
  await s.client.ended();
  assert.match(s.client.received, /^HTTP\/1.1 403 .*connection: close\r\n\r\nAccess denied\r\n$/s);
  assert.equal(s.client.end, 'end');
});

test('a final response in place of 100 Continue ends the connection: the next bytes have no certain meaning', async () => {
  const head = 'POST /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 21\r\nExpect: 100-continue\r\n';
  const refusal = 'HTTP/1.1 417 No\r\nContent-Length: 2\r\n\r\n';
  const switching = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n';
  const cases = [
    { name: 'no body sent', sent: `${head}\r\n`, answer: `${refusal}no` },
    { name: 'a part of the body sent', sent: `${head}\r\nGET /`, answer: `${refusal}no` },
    { name: 'the response is not complete', sent: `${head}\r\n`, answer: `${refusal}n` },
    {
      name: 'the server switches without the body',
      sent: `${head}Upgrade: x\r\nConnection: upgrade\r\n\r\n`,
      answer: switching,
    },
  ];
  for (const { name, sent, answer } of cases) {
    let said = false;
    let more = (): void => {};
    await using s = await scene((socket, received) => {
      if (!said && received === sent) socket.write(answer);
      said ||= received === sent;
      more = () => void socket.end('o');
    });
    s.client.send(sent);
    await s.client.until((text) => text === answer);
    s.client.send('GET /no HTTP/1.1\r\nHost: a\r\n\r\n');
    await sleep(50);
    more();
    await s.client.ended();
    assert.equal(s.reached(), sent, name);
    assert.ok(s.client.received.startsWith(answer), name);
  }
});

test('a final response to Expect: 100-continue after the body, or after 100, lets the connection go on', async () => {
  const head = 'POST /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n';
  await using s = await scene((socket, received) => {
    if (received === `${head}hello` || received.endsWith(`${head}he`) || received.endsWith('\r\n\r\n'))
      socket.write(OK);
    else if (received.endsWith(`${head}h`)) socket.write('HTTP/1.1 100 Continue\r\n\r\n');
  });
  s.client.send(`${head}hello`);
  await s.client.until((text) => text === OK);
  s.client.send(`${head}h`);
  await s.client.until(/100 Continue\r\n\r\n$/);
  s.client.send('e');
  await s.client.until((text) => count(text, OK) === 2);
  s.client.send(`llo${get('/ok')}`);
  await s.client.until((text) => count(text, OK) === 3);
});

test('Expect: 100-continue passes for an allowed request and ends a denied one', async () => {
  await using s = await scene((socket, received) => {
    if (received.endsWith('\r\n\r\n')) socket.write('HTTP/1.1 100 Continue\r\n\r\n');
    if (received.endsWith('body!')) socket.write(OK);
  });
  const fields = 'Host: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n';
  s.client.send(`POST /ok HTTP/1.1\r\n${fields}`);
  await s.client.until(/100 Continue\r\n\r\n$/);
  s.client.send('body!');
  await s.client.until((text) => text.endsWith(OK));
  s.client.send(`POST /no HTTP/1.1\r\n${fields}`);
  await s.client.ended();
  assert.match(s.client.received, /403 Forbidden.*connection: close/s);
});

test('responses without body are known by their request or status', async () => {
  const responses = [
    'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n',
    'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n',
    OK,
  ];
  let next = 0;
  await using s = await scene((socket) => void socket.write(responses[next++] ?? ''));
  s.client.send('HEAD /ok HTTP/1.1\r\nHost: a\r\n\r\n');
  await s.client.until((text) => text === responses[0]);
  s.client.send(get('/ok'));
  await s.client.until((text) => text === `${responses[0]}${responses[1]}`);
  s.client.send(`${get('/ok')}HEAD /no HTTP/1.1\r\nHost: a\r\n\r\n`);
  const denied = DENIED.replace('Access denied\r\n', '');
  await s.client.until((text) => text === `${responses.join('')}${denied}`);
});

test('a response without length ends with the connection', async () => {
  await using s = await scene((socket) => void socket.end('HTTP/1.1 200 OK\r\n\r\nall there is'));
  s.client.send(get('/ok'));
  await s.client.ended();
  assert.equal(s.client.received, 'HTTP/1.1 200 OK\r\n\r\nall there is');
  assert.equal(s.client.end, 'end');
});

test('nothing that follows a request with Connection: close is a request', async () => {
  await using s = await scene(each(OK));
  s.client.send(get('/ok', 'Connection: close\r\n') + get('/ok/2'));
  await s.client.ended();
  assert.equal(s.client.received, OK);
  assert.equal(s.reached(), get('/ok', 'Connection: close\r\n'));
});

test('a body with a broken chunk never reaches its end, and the connection ends', async () => {
  await using s = await scene(() => {});
  s.client.send('POST /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n');
  await s.client.ended();
  assert.match(s.client.received, /^HTTP\/1.1 400 .*malformed chunk\r\n$/s);
  assert.ok(!s.reached().includes('XX'));
  assert.equal(s.proxy.records().at(-1)?.reason, 'malformed chunk');
});

test('a refused request in a pipeline is answered after those before it', async () => {
  await using s = await scene(each(OK));
  s.client.send(`${get('/ok')}GET / HTTP/1.1\nHost: a\n\n${get('/ok')}`);
  await s.client.ended();
  assert.match(s.client.received, /ok.*HTTP\/1.1 400 Bad Request.*line ended by a bare LF\r\n$/s);
  assert.equal(s.reached(), get('/ok'));
});

test('a path with two readings and two verdicts is refused', async () => {
  await using s = await scene(each(OK));
  s.client.send(get('/ok/../secret'));
  await s.client.ended();
  assert.match(s.client.received, /^HTTP\/1.1 400 /);
  assert.equal(s.reached(), '');
});
