import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEATHSTAR, exchange } from './exchange.fixture.ts';
import type { SpanRecord } from './span.ts';
import { createZipkinBody } from './zipkin.ts';

const span = (changes: Partial<SpanRecord> = {}): SpanRecord => ({
  kind: 'SERVER',
  traceId: 'a'.repeat(32),
  spanId: 'b'.repeat(16),
  parentSpanId: 'c'.repeat(16),
  traceState: undefined,
  exchange: exchange(),
  ...changes,
});

function encoded(spans: readonly SpanRecord[]): string {
  const body = createZipkinBody(256);
  for (const each of spans) body.add(each);
  return body.body().toString();
}

test('createZipkinBody gives a SERVER span the service and address of the callee', () => {
  const [only] = JSON.parse(encoded([span()]));
  const { tags, ...rest } = only;
  assert.deepEqual(rest, {
    traceId: 'a'.repeat(32),
    parentId: 'c'.repeat(16),
    id: 'b'.repeat(16),
    kind: 'SERVER',
    name: 'POST',
    timestamp: 1_700_000_000_123_457,
    duration: 1_500,
    localEndpoint: { serviceName: 'deathstar', ipv4: '10.244.0.9', port: 80 },
    remoteEndpoint: { serviceName: 'tiefighter', ipv4: '10.244.0.5', port: 40_001 },
  });
  assert.equal(tags['http.response.status_code'], '200');
  assert.equal(tags['k8s.pod.name'], DEATHSTAR.pod);
  assert.equal(tags['weir.source.identity'], '261');
  assert.ok(!('error' in tags));
});

test('createZipkinBody gives a CLIENT span the service of the caller, no parent where there is none, and its error', () => {
  const denied = exchange({ status: 403, verdict: 'DENIED', durationUs: 0.2 });
  const [only] = JSON.parse(encoded([span({ kind: 'CLIENT', parentSpanId: undefined, exchange: denied })]));
  assert.equal(only.localEndpoint.serviceName, 'tiefighter');
  assert.equal(only.remoteEndpoint.serviceName, 'deathstar');
  assert.equal(only.duration, 1);
  assert.ok(!('parentId' in only));
  assert.equal(only.tags.error, '403');
  assert.equal(only.tags['error.type'], '403');
  assert.equal(only.tags['weir.verdict'], 'DENIED');
});

test('createZipkinBody escapes whatever a caller sends', () => {
  const nasty = `/"\\\u0000\u2028\ud800é`;
  const [first, second] = JSON.parse(
    encoded([span({ exchange: exchange({ target: nasty }) }), span({ spanId: 'd'.repeat(16) })]),
  );
  assert.equal(first.tags['url.path'], nasty);
  assert.equal(second.tags['url.path'], '/v1/request-landing');
});

test('createZipkinBody writes an IPv6 endpoint', () => {
  const party = { ...DEATHSTAR, address: 'fd00::9' };
  const [only] = JSON.parse(encoded([span({ exchange: exchange({ destination: party }) })]));
  assert.deepEqual(only.localEndpoint, { serviceName: 'deathstar', ipv6: 'fd00::9', port: 80 });
});

test('createZipkinBody makes room for spans that are larger than usual', () => {
  const target = `/${'é€'.repeat(1_000)}`;
  const spans = Array.from({ length: 20 }, () => span({ exchange: exchange({ target }) }));
  const targets = JSON.parse(encoded(spans)).map((made: { tags: Record<string, string> }) => made.tags['url.path']);
  assert.deepEqual(targets, Array(20).fill(target));
  assert.equal(encoded([]), '[]');
});
