import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  connectionAttributes,
  errorType,
  exchangeAttributes,
  identityAttributes,
  resourceAttributes,
  serviceName,
  spanName,
  splitHost,
  splitTarget,
} from './attributes.ts';
import { DEATHSTAR, exchange, TIEFIGHTER } from './exchange.fixture.ts';
import type { HttpExchange, Party, SpanKind } from './span.ts';

const STRANGER: Party = { address: 'fd00::7', identity: 2, namespace: '', pod: '', workload: '' };

test('exchangeAttributes follows the semantic conventions', () => {
  assert.deepEqual(Object.fromEntries(exchangeAttributes(exchange())), {
    'http.request.method': 'POST',
    'url.scheme': 'http',
    'url.path': '/v1/request-landing',
    'url.query': 'ship=7',
    'server.address': 'deathstar.default.svc.cluster.local',
    'server.port': 8080,
    'network.protocol.version': '1.1',
    'http.response.status_code': 200,
    'weir.verdict': 'FORWARDED',
    'weir.policy': 'default/rule1',
  });
});

test('exchangeAttributes falls back to the address, and hides a method that it does not know', () => {
  const odd = exchange({ method: 'BREW', host: '', target: '/pot', status: 0, policies: [], reason: 'connect_failed' });
  const attributes = Object.fromEntries(exchangeAttributes(odd));
  assert.equal(attributes['http.request.method'], '_OTHER');
  assert.equal(attributes['http.request.method_original'], 'BREW');
  assert.equal(attributes['server.address'], DEATHSTAR.address);
  assert.equal(attributes['server.port'], 80);
  assert.equal(attributes['weir.reason'], 'connect_failed');
  for (const absent of ['url.query', 'http.response.status_code', 'weir.policy']) assert.ok(!(absent in attributes));
  assert.equal(spanName(odd), 'HTTP');
});

test('exchangeAttributes bounds what a caller can put into a span', () => {
  const long = exchange({ target: `/${'p'.repeat(9_000)}?${'q'.repeat(9_000)}`, host: 'h'.repeat(9_000) });
  for (const [name, value] of [...exchangeAttributes(long), ...connectionAttributes('CLIENT', long)]) {
    assert.ok(String(value).length <= 2_048, name);
  }
});

test('connectionAttributes names the peer of each kind of span', () => {
  assert.deepEqual(Object.fromEntries(connectionAttributes('CLIENT', exchange())), {
    'url.full': 'http://deathstar.default.svc.cluster.local:8080/v1/request-landing?ship=7',
    'network.peer.address': '10.244.0.9',
    'network.peer.port': 80,
  });
  assert.deepEqual(Object.fromEntries(connectionAttributes('SERVER', exchange())), {
    'client.address': '10.244.0.5',
    'client.port': 40_001,
    'network.peer.address': '10.244.0.5',
    'network.peer.port': 40_001,
  });
});

const urls = [
  { name: 'has no Host header', changes: { host: '' }, url: 'http://10.244.0.9:80/v1/request-landing?ship=7' },
  {
    name: 'has no Host header and goes to IPv6',
    changes: { host: '', destination: STRANGER },
    url: 'http://[fd00::7]:80/v1/request-landing?ship=7',
  },
  { name: 'has the absolute form', changes: { target: 'http://other/x' }, url: 'http://other/x' },
];
for (const { name, changes, url } of urls) {
  test(`connectionAttributes gives the full URL when the request ${name}`, () => {
    assert.equal(Object.fromEntries(connectionAttributes('CLIENT', exchange(changes)))['url.full'], url);
  });
}

test('resourceAttributes, serviceName and identityAttributes say who the ends are', () => {
  assert.deepEqual(Object.fromEntries(resourceAttributes(DEATHSTAR)), {
    'service.namespace': 'default',
    'k8s.namespace.name': 'default',
    'k8s.pod.name': 'deathstar-6fb5694d48-5hmds',
    'weir.workload': 'deathstar',
  });
  assert.deepEqual(resourceAttributes(STRANGER), []);
  assert.deepEqual([DEATHSTAR, { ...DEATHSTAR, workload: '' }, STRANGER].map(serviceName), [
    'deathstar',
    'deathstar-6fb5694d48-5hmds',
    'fd00::7',
  ]);
  assert.deepEqual(Object.fromEntries(identityAttributes(TIEFIGHTER, STRANGER)), {
    'weir.source.identity': 261,
    'weir.source.workload': 'tiefighter',
    'weir.destination.identity': 2,
    'weir.destination.workload': 'fd00::7',
  });
});

const errors: readonly {
  readonly kind: SpanKind;
  readonly changes: Partial<HttpExchange>;
  readonly expected: string | undefined;
}[] = [
  { kind: 'SERVER', changes: { status: 200 }, expected: undefined },
  { kind: 'CLIENT', changes: { status: 399 }, expected: undefined },
  { kind: 'SERVER', changes: { status: 403, verdict: 'DENIED' }, expected: undefined },
  { kind: 'CLIENT', changes: { status: 403, verdict: 'DENIED' }, expected: '403' },
  { kind: 'SERVER', changes: { status: 502, verdict: 'ERROR', reason: 'connect_failed' }, expected: '502' },
  { kind: 'SERVER', changes: { status: 0, verdict: 'ERROR', reason: 'reset' }, expected: 'reset' },
  { kind: 'CLIENT', changes: { status: 0, verdict: 'REFUSED' }, expected: '_OTHER' },
  { kind: 'CLIENT', changes: { status: 0 }, expected: undefined },
];
for (const { kind, changes, expected } of errors) {
  test(`errorType of a ${kind} span is ${expected} for ${JSON.stringify(changes)}`, () => {
    assert.equal(errorType(kind, exchange(changes)), expected);
  });
}

const targets = [
  { target: '/', path: '/', query: undefined },
  { target: '/a/b', path: '/a/b', query: undefined },
  { target: '/a?', path: '/a', query: '' },
  { target: '/a?b?c', path: '/a', query: 'b?c' },
  { target: 'http://h/a?b', path: '/a', query: 'b' },
  { target: 'http://h', path: '/', query: undefined },
  { target: 'http://h?a/b', path: '/', query: 'a/b' },
  { target: '*', path: '*', query: undefined },
];
for (const { target, path, query } of targets) {
  test(`splitTarget of "${target}"`, () => assert.deepEqual(splitTarget(target), { path, query }));
}

const hosts = [
  { host: 'a.b', name: 'a.b', port: undefined },
  { host: 'a.b:81', name: 'a.b', port: 81 },
  { host: '[fd00::1]:81', name: 'fd00::1', port: 81 },
  { host: '[fd00::1]', name: 'fd00::1', port: undefined },
  { host: 'a:b', name: 'a:b', port: undefined },
];
for (const { host, name, port } of hosts) {
  test(`splitHost of "${host}"`, () => assert.deepEqual(splitHost(host), { name, port }));
}
