// Limits: each is met, counted, and does what it says.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ProxyUnderTest, portOf, startClient, startProxy, startServer } from '../testing/harness.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const get = (path: string, fields = ''): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`;
const answering = () => startServer((socket) => socket.on('data', () => socket.write(OK)));

async function answered(proxy: ProxyUnderTest, text: string): Promise<string> {
  using client = await startClient(proxy.port);
  client.send(text);
  await client.ended(8_000);
  return client.received;
}

test('heads', async () => {
  await using server = await answering();
  await using proxy = await startProxy({ server: portOf(server), limits: { maxHeadBytes: 5000, maxFields: 20 } });
  assert.match(await answered(proxy, get(`/${'x'.repeat(6000)}`)), /^HTTP\/1.1 431 /);
  assert.match(await answered(proxy, `GET /${'x'.repeat(200_000)}`), /^HTTP\/1.1 414 /);
  assert.match(await answered(proxy, get('/', `X: ${'y'.repeat(200_000)}`)), /^HTTP\/1.1 431 /);
  assert.equal(proxy.count('limit|head size'), 3);
  assert.match(await answered(proxy, get('/', 'X: y\r\n'.repeat(20))), /^HTTP\/1.1 431 /);
  assert.equal(proxy.count('limit|fields'), 1);
  using client = await startClient(proxy.port);
  client.send(get(`/${'x'.repeat(4700)}`, 'X: y\r\n'.repeat(19)));
  await client.until((text) => text === OK);
});

test('time for a head, also if it goes on coming', async () => {
  await using server = await answering();
  await using proxy = await startProxy({ server: portOf(server), limits: { headTimeoutMs: 1000 } });
  using client = await startClient(proxy.port);
  client.send('GET / HTTP/1.1\r\n');
  const drip = setInterval(() => client.send('X: y\r\n'), 200);
  try {
    await client.ended(8_000);
  } finally {
    clearInterval(drip);
  }
  assert.match(client.received, /^HTTP\/1.1 408 /);
  assert.equal(proxy.count('limit|head timeout'), 1);
});

test('time without a byte', async () => {
  await using server = await startServer(() => {});
  await using proxy = await startProxy({ server: portOf(server), limits: { idleTimeoutMs: 1000 } });
  using quiet = await startClient(proxy.port);
  assert.match(await answered(proxy, get('/')), /^HTTP\/1.1 504 /);
  await quiet.ended(8_000);
  assert.equal(quiet.received, '');
  assert.equal(proxy.count('limit|idle timeout'), 2);
});

test('time for the first head of a connection, also if it never begins', async () => {
  await using server = await answering();
  await using proxy = await startProxy({ server: portOf(server), limits: { headTimeoutMs: 1000 } });
  using used = await startClient(proxy.port);
  used.send(get('/'));
  using silent = await startClient(proxy.port);
  using empty = await startClient(proxy.port);
  empty.send('\r\n');
  await silent.ended(8_000);
  await empty.ended(8_000);
  assert.deepEqual([silent.received, empty.received], ['', ''], 'nobody asked: there is no answer');
  assert.equal(proxy.count('limit|head timeout'), 2);
  await sleep(2_500);
  used.send(get('/'));
  await used.until((text) => text === OK.repeat(2));
  assert.equal(proxy.count('limit|head timeout'), 2, 'between requests only the idle time counts');
});

test('connections of one source', async () => {
  await using server = await answering();
  await using proxy = await startProxy({ server: portOf(server), limits: { maxConnectionsPerSource: 2 } });
  using first = await startClient(proxy.port);
  using second = await startClient(proxy.port);
  for (const client of [first, second]) {
    client.send(get('/'));
    await client.until((text) => text === OK);
  }
  using third = await startClient(proxy.port);
  third.send(get('/'));
  await third.ended();
  assert.equal(third.received, '');
  assert.equal(proxy.count('limit|connections of a source'), 1);
  using other = await startClient(proxy.port, '127.0.0.2');
  other.send(get('/'));
  await other.until((text) => text === OK);
  first.socket.destroy();
  while (proxy.count('connections|closed') < 1) await sleep(1);
  using fourth = await startClient(proxy.port);
  fourth.send(get('/'));
  await fourth.until((text) => text === OK);
  assert.equal(proxy.count('limit|connections of a source'), 1);
});

test('connections', async () => {
  await using server = await answering();
  await using proxy = await startProxy({ server: portOf(server), limits: { maxConnections: 2 } });
  using first = await startClient(proxy.port);
  using second = await startClient(proxy.port);
  for (const client of [first, second]) {
    client.send(get('/'));
    await client.until((text) => text === OK);
  }
  using third = await startClient(proxy.port);
  third.send(get('/'));
  await third.ended();
  assert.equal(third.received, '');
  assert.equal(proxy.count('limit|connections'), 1);
});

test('requests in flight: the others wait, none is lost', async () => {
  const sockets: import('node:net').Socket[] = [];
  let received = '';
  await using server = await startServer((socket) => {
    sockets.push(socket);
    socket.on('data', (data) => {
      received += data.toString('latin1');
    });
  });
  await using proxy = await startProxy({ server: portOf(server), limits: { maxPipelined: 3 } });
  using client = await startClient(proxy.port);
  client.send(get('/').repeat(10));
  await sleep(50);
  assert.equal(received.length, 3 * get('/').length);
  for (let i = 0; i < 10; i++) {
    sockets[0]?.write(OK);
    await client.until((text) => text === OK.repeat(i + 1));
  }
});

test('interim responses', async () => {
  const interim = 'HTTP/1.1 100 Continue\r\n\r\n';
  await using server = await startServer((socket) => socket.on('data', () => socket.write(interim.repeat(10) + OK)));
  await using proxy = await startProxy({ server: portOf(server), limits: { maxInterim: 9 } });
  const text = await answered(proxy, get('/'));
  assert.match(text.replaceAll(interim, ''), /^HTTP\/1.1 502 .*too many interim responses/s);
  assert.equal(proxy.count('limit|interim responses'), 1);
});

test('records: the excess is counted, and denied ones have a budget of their own', async () => {
  await using server = await answering();
  const limits = { recordsPerSecond: 2, deniedRecordsPerSecond: 3 };
  await using proxy = await startProxy({ server: portOf(server), limits, rules: [{ path: '/ok' }] });
  using client = await startClient(proxy.port);
  const requests = (get('/ok') + get('/no')).repeat(10);
  client.send(requests);
  const dropped = () => proxy.count('records|dropped allowed') + proxy.count('records|dropped denied');
  const isOver = () => proxy.records().length + dropped() === proxy.count('requests|received');
  await sleep(300);
  for (const end = Date.now() + 3_000; !isOver() && Date.now() < end; ) await sleep(10); // a record comes after its answer
  assert.ok(isOver());
  const verdicts = proxy.records().map((record) => record.verdict);
  const allowed = verdicts.filter((verdict) => verdict === 1).length;
  assert.ok(allowed >= 1 && allowed <= 4, `${allowed} records of allowed requests`); // a second may have passed
  assert.ok(proxy.count('records|dropped denied') >= 4);
});

test('spans: the excess is counted', async () => {
  await using server = await answering();
  await using proxy = await startProxy({ server: portOf(server), limits: { sampledPerSecond: 2 }, samplingRatio: 1 });
  using client = await startClient(proxy.port);
  for (let i = 1; i <= 10; i++) {
    client.send(get('/'));
    await client.until((text) => text === OK.repeat(i));
  }
  await sleep(20);
  const sampled = proxy.records().filter((record) => record.sampled).length;
  assert.ok(sampled >= 1 && sampled <= 4, `${sampled} sampled`); // a second may have passed
  assert.equal(sampled + proxy.count('spans|over budget'), 10);
});

test('spans: as many as the main thread finds time for', async () => {
  await using server = await answering();
  await using proxy = await startProxy({ server: portOf(server), limits: { sampledPerSecond: 1 }, samplingRatio: 1 });
  using client = await startClient(proxy.port);
  const ask = async (perSecond: number): Promise<number> => {
    proxy.thread.send({ kind: 'sample at most', perSecond });
    await proxy.rules('all'); // orders are taken up one after the other
    const [before, skipped] = [client.received.length, proxy.count('spans|over budget')];
    for (let i = 1; i <= 10; i++) {
      client.send(get('/'));
      await client.until((text) => text.length === before + i * OK.length);
    }
    return proxy.count('spans|over budget') - skipped;
  };
  await ask(0); // takes the one that is there
  assert.equal(await ask(0), 10);
  assert.ok((await ask(1e9)) <= 1); // the first may come in the same instant
});

test('a client that takes no answers is not given more of them', async () => {
  await using server = await answering();
  await using proxy = await startProxy({ server: portOf(server), rules: [{ path: '/ok' }] });
  using client = await startClient(proxy.port);
  client.socket.pause();
  const requests = Buffer.from(get('/no').repeat(10_000));
  for (let i = 0; i < 100; i++) client.send(requests); // 32 MB, and their answers four times that
  await sleep(1500);
  const before = proxy.count('requests|denied');
  assert.ok(before < 900_000, `${before} answered`);
  assert.ok(proxy.count('gauge|waiting bytes') < 1 << 20, `${proxy.count('gauge|waiting bytes')} bytes wait`);
});
