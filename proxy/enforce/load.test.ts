// Many connections, slow peers, and what they may cost.

import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, portOf, startClient, startProxy, startServer } from '../testing/harness.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const MIB = 1 << 20;
const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

/** Answers GET /small at once, GET /large with `largeBytes`, and takes any body, slowly if the path says so. */
function startMixed(largeBytes: number) {
  return startServer((socket) => {
    socket.on('data', (data) => {
      const text = data.toString('latin1');
      if (text.startsWith('GET /small')) socket.write(OK);
      else if (text.startsWith('GET /large')) sendLarge(socket, largeBytes);
      else if (text.startsWith('POST /slow')) socket.pause();
    });
  });
}

function sendLarge(socket: Socket, bytes: number): void {
  socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${bytes}\r\n\r\n`);
  const piece = Buffer.alloc(256 * 1024);
  let left = bytes;
  const push = (): void => {
    while (left > 0) {
      const size = Math.min(piece.length, left);
      left -= size;
      if (!socket.write(piece.subarray(0, size))) {
        socket.once('drain', push);
        return;
      }
    }
  };
  push();
}

/** Longest of `count` small requests, one after the other, in ms. */
async function slowestOf(count: number, client: Client): Promise<number> {
  let slowest = 0;
  for (let i = 1; i <= count; i++) {
    const start = performance.now();
    client.send(get('/small'));
    await client.until((text) => text.length === i * OK.length);
    slowest = Math.max(slowest, performance.now() - start);
  }
  return slowest;
}

test('slow readers and slow takers do not stall others, and hold bounded memory', async () => {
  const server = await startMixed(64 * MIB);
  await using proxy = await startProxy({ server: portOf(server) });
  const slow: Client[] = [];
  try {
    for (let i = 0; i < 20; i++) {
      const reader = await startClient(proxy.port);
      reader.socket.pause();
      reader.send(get('/large'));
      const sender = await startClient(proxy.port);
      sender.send(`POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: ${64 * MIB}\r\n\r\n`);
      for (let k = 0; k < 64; k++) sender.send(Buffer.alloc(256 * 1024));
      slow.push(reader, sender);
    }
    await sleep(1500);
    const waiting = proxy.count('gauge|waiting bytes');
    assert.ok(waiting > 0 && waiting <= 40 * 72 * 1024, `${waiting} bytes wait`);
    using quick = await startClient(proxy.port);
    const slowest = await slowestOf(100, quick);
    assert.ok(slowest < 2_000, `${slowest} ms`);
    assert.equal(proxy.count('limit|waiting bytes'), 0);
  } finally {
    for (const client of slow) client[Symbol.dispose]();
    await server[Symbol.asyncDispose]();
  }
  await sleep(1500);
  assert.equal(proxy.count('gauge|waiting bytes'), 0);
  assert.equal(proxy.count('gauge|connections'), 0);
});

test('a slow reader gets every byte', async () => {
  const size = 32 * MIB;
  await using server = await startMixed(size);
  await using proxy = await startProxy({ server: portOf(server) });
  using client = await startClient(proxy.port);
  let received = 0;
  client.socket.removeAllListeners('data');
  client.socket.on('data', (data) => {
    received += data.length;
    client.socket.pause();
    setTimeout(() => client.socket.resume(), 1);
  });
  client.send(get('/large'));
  const late = AbortSignal.timeout(20_000);
  const expected = `HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`.length + size;
  while (received < expected && !late.aborted) await sleep(5);
  assert.equal(received, expected);
});

test('memory that runs out ends the connections that need it, and is counted', async () => {
  await using server = await startMixed(64 * MIB);
  await using proxy = await startProxy({ server: portOf(server), limits: { maxWaitingBytes: 256 * 1024 } });
  const slow: Client[] = [];
  try {
    for (let i = 0; i < 10; i++) {
      const reader = await startClient(proxy.port);
      reader.socket.pause();
      reader.send(get('/large'));
      slow.push(reader);
    }
    await sleep(1500);
    assert.ok(proxy.count('limit|waiting bytes') > 0);
    assert.ok(proxy.count('gauge|waiting bytes') <= 256 * 1024);
    using quick = await startClient(proxy.port);
    await slowestOf(3, quick);
  } finally {
    for (const client of slow) client[Symbol.dispose]();
  }
});

test('2,000 connections at once', async () => {
  await using server = await startMixed(0);
  await using proxy = await startProxy({ server: portOf(server), rules: [{ path: '/small' }] });
  const clients: Client[] = [];
  try {
    for (let i = 0; i < 2000; i += 100)
      clients.push(...(await Promise.all(Array.from({ length: 100 }, () => startClient(proxy.port)))));
    for (let round = 1; round <= 3; round++) {
      for (const client of clients) client.send(get('/small'));
      for (const client of clients) await client.until((text) => text.length === round * OK.length, 20_000);
    }
    for (const client of clients) client.send(get('/denied'));
    for (const client of clients) await client.until(/Access denied\r\n$/, 20_000);
    assert.equal(proxy.count('requests|forwarded'), 6000);
    assert.equal(proxy.count('requests|denied'), 2000);
    await sleep(1100);
    assert.equal(proxy.count('gauge|connections'), 2000);
    assert.equal(proxy.count('gauge|waiting bytes'), 0);
  } finally {
    for (const client of clients) client[Symbol.dispose]();
  }
});

test('draining finishes what is in flight and nothing else', async () => {
  const sockets: Socket[] = [];
  await using server = await startServer((socket) => socket.on('data', () => sockets.push(socket)));
  const proxy = await startProxy({ server: portOf(server) });
  using busy = await startClient(proxy.port);
  using idle = await startClient(proxy.port);
  busy.send(get('/'));
  while (sockets.length === 0) await sleep(1);
  await sleep(20);
  proxy.thread.send({ kind: 'drain' });
  await idle.ended();
  await sleep(50);
  assert.equal(busy.end, 'none');
  sockets[0]?.write(OK);
  await busy.ended();
  assert.equal(busy.received, OK);
  busy.socket.end();
  assert.equal(await proxy.thread.ended, 0);
});
