import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEATHSTAR, exchange } from './exchange.fixture.ts';
import type { SpanRecord } from './span.ts';
import { encodeZipkin } from './zipkin.ts';

const span = (changes: Partial<SpanRecord> = {}): SpanRecord => ({
  kind: 'SERVER',
  traceId: 'a'.repeat(32),
  spanId: 'b'.repeat(16),
  parentSpanId: 'c'.repeat(16),
  traceState: undefined,
  exchange: exchange(),
  ...changes,
});

test('encodeZipkin gives a SERVER span the service and address of the callee', () => {
  const [encoded] = JSON.parse(encodeZipkin([span()]));
  const { tags, ...rest } = encoded;
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

test('encodeZipkin gives a CLIENT span the service of the caller, no parent where there is none, and its error', () => {
  const denied = exchange({ status: 403, verdict: 'DENIED', durationUs: 0.2 });
  const [encoded] = JSON.parse(encodeZipkin([span({ kind: 'CLIENT', parentSpanId: undefined, exchange: denied })]));
  assert.equal(encoded.localEndpoint.serviceName, 'tiefighter');
  assert.equal(encoded.remoteEndpoint.serviceName, 'deathstar');
  assert.equal(encoded.duration, 1);
  assert.ok(!('parentId' in encoded));
  assert.equal(encoded.tags.error, '403');
  assert.equal(encoded.tags['error.type'], '403');
  assert.equal(encoded.tags['weir.verdict'], 'DENIED');
});

test('encodeZipkin escapes whatever a caller sends', () => {
  const nasty = `/"\\\u0000\u2028\ud800é`;
  const [first, second] = JSON.parse(
    encodeZipkin([span({ exchange: exchange({ target: nasty }) }), span({ spanId: 'd'.repeat(16) })]),
  );
  assert.equal(first.tags['url.path'], nasty);
  assert.equal(second.tags['url.path'], '/v1/request-landing');
});

test('encodeZipkin writes an IPv6 endpoint', () => {
  const party = { ...DEATHSTAR, address: 'fd00::9' };
  const [encoded] = JSON.parse(encodeZipkin([span({ exchange: exchange({ destination: party }) })]));
  assert.deepEqual(encoded.localEndpoint, { serviceName: 'deathstar', ipv6: 'fd00::9', port: 80 });
});
