// Connections that others have made and used, taken over by a data thread with the bytes that were already read.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { address } from '#common/ip.ts';
import * as libc from '#common/native/libc.ts';
import { listenAt } from '../sockets/plain.ts';
import {
  type Client,
  DESTINATION_IDENTITY,
  type ProxyOptions,
  type ProxyUnderTest,
  portOf,
  RULESET,
  SOURCE_IDENTITY,
  startClient,
  startProxy,
  startServer,
} from '../testing/harness.ts';

const LOCALHOST = address('127.0.0.1');
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const DENIED = /^HTTP\/1\.1 403 .*Access denied\r\n$/s;
const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

interface Live extends AsyncDisposable {
  readonly proxy: ProxyUnderTest;
  readonly client: Client;
  /** All that the server got. */
  readonly reached: () => string;
  /** Whether the server's side has ended. */
  readonly left: () => boolean;
  adopt(read: { readonly fromClient?: string; readonly fromServer?: string }): void;
}

/** A client and a server joined by two sockets of this process, and a proxy that knows neither. */
async function startLive(options: Partial<ProxyOptions> = {}): Promise<Live> {
  let reached = '';
  let left = false;
  const server = await startServer((socket) => {
    socket.on('data', (data) => {
      reached += data.toString('latin1');
      if (reached.endsWith('\r\n\r\n')) socket.write(OK);
    });
    socket.on('close', () => {
      left = true;
    });
    socket.on('end', () => socket.end());
  });
  const proxy = await startProxy({ server: 1, rules: [{ path: '/ok' }], ...options });
  const { fd: listener, port } = listenAt({ address: LOCALHOST, port: 0 });
  const client = await startClient(port);
  const down = libc.accept4(listener, null, null, libc.SOCK.NONBLOCK | libc.SOCK.CLOEXEC);
  const sockaddr = new Uint8Array(libc.SOCKADDR_SIZE);
  const length = libc.encodeSockaddr(LOCALHOST, portOf(server), sockaddr);
  const up = libc.socket(libc.AF.INET, libc.SOCK.STREAM | libc.SOCK.NONBLOCK | libc.SOCK.CLOEXEC, 0);
  libc.connect(up, sockaddr, length);
  return {
    proxy,
    client,
    reached: () => reached,
    left: () => left,
    adopt({ fromClient = '', fromServer = '' }) {
      const origin = {
        source: LOCALHOST,
        sourcePort: 40_000,
        destination: LOCALHOST,
        destinationPort: portOf(server),
        sourceIdentity: SOURCE_IDENTITY,
        destinationIdentity: DESTINATION_IDENTITY,
        egressRuleset: 0,
        ingressRuleset: RULESET,
        denied: false,
        audited: false,
        revision: 1,
      };
      const bytes = { fromClient: Buffer.from(fromClient), fromServer: Buffer.from(fromServer) };
      proxy.thread.send({ kind: 'adopt', pair: { origin, down, up, ...bytes } });
    },
    async [Symbol.asyncDispose]() {
      client[Symbol.dispose]();
      libc.close(listener);
      await proxy[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

test('a live pair is judged from its next request on, over the sockets that it has', async () => {
  await using live = await startLive();
  live.adopt({});
  live.client.send(get('/ok'));
  await live.client.until((text) => text === OK);
  live.client.send(get('/no'));
  await live.client.until((text) => DENIED.test(text.slice(OK.length)));
  live.client.send(get('/ok'));
  await live.client.until((text) => text.endsWith(OK) && text.length > 2 * OK.length);
  assert.equal(live.reached(), get('/ok') + get('/ok'));
});

for (const { name, early, late } of [
  { name: 'a whole request', early: get('/ok'), late: '' },
  { name: 'the beginning of a head', early: get('/ok').slice(0, 9), late: get('/ok').slice(9) },
  {
    name: 'two requests and a half',
    early: get('/ok') + get('/no') + get('/ok').slice(0, 20),
    late: get('/ok').slice(20),
  },
]) {
  test(`${name} that was already read is judged with what follows`, async () => {
    await using live = await startLive();
    live.adopt({ fromClient: early });
    live.client.send(late);
    await live.client.until((text) => text.endsWith(OK));
    assert.ok(!live.reached().includes('/no'));
    assert.equal(live.proxy.count('requests|received'), (early + late).split('GET').length - 1);
  });
}

test('a request that was already read and that no rule allows is denied', async () => {
  await using live = await startLive();
  live.adopt({ fromClient: get('/no') });
  await live.client.until(DENIED);
  assert.equal(live.reached(), '');
});

test('what the server sent before a request was judged answers none, and ends the connection', async () => {
  await using live = await startLive();
  live.adopt({ fromClient: get('/ok'), fromServer: OK });
  await live.client.ended();
  assert.equal(live.client.received, '');
  assert.equal(live.reached(), '');
});

for (const { name, limits } of [
  { name: 'connections', limits: { maxConnections: 0 } },
  { name: 'connections of a source', limits: { maxConnectionsPerSource: 0 } },
  { name: 'waiting bytes', limits: { maxWaitingBytes: 100 } },
] as const) {
  test(`without room for ${name} a live pair is reset, and counted`, async () => {
    await using live = await startLive({ limits });
    live.adopt({ fromClient: get('/ok') });
    await live.client.ended();
    assert.equal(live.client.end, 'reset');
    assert.equal(live.proxy.count(`limit|${name}`), 1);
    assert.equal(live.reached(), '');
  });
}
