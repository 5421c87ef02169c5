// Spans through the real backends:
//
//   pipeline --Zipkin v2 JSON--> Zipkin server --its API--> test
//   pipeline --OTLP gRPC, HTTP--> OpenTelemetry Collector --OTLP/JSON--> test

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { contextCounters, readContext } from '#tracing/context.ts';
import { DEATHSTAR, exchange } from '#tracing/exchange.fixture.ts';
import { createIdSource } from '#tracing/ids.ts';
import { createSpanPipeline, readBackends } from '#tracing/pipeline.ts';
import { spanIds, spansOf } from '#tracing/span.ts';
import { MissingToolError } from '../servers/cache.ts';
import { type OtlpSpan, startOtlpCollector } from '../servers/otlp-collector.ts';
import { startZipkin, type ZipkinSpan } from '../servers/zipkin.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const CALLER_SPAN = '00f067aa0ba902b7';
const START_TIMEOUT_MS = 400_000; // the first time, a server is fetched or built

const headers: Readonly<Record<string, string>> = {
  traceparent: `00-${TRACE}-${CALLER_SPAN}-01`,
  tracestate: 'vendor=1',
};
const context = readContext((name) => headers[name], contextCounters());
const nowUs = Date.now() * 1_000; // Zipkin shows what is recent

/** An allowed request and a denied one of the same trace. */
const spans = [
  exchange({ startUnixUs: nowUs }),
  exchange({ startUnixUs: nowUs + 2_000, method: 'PUT', target: '/v1/exhaust-port', status: 403, verdict: 'DENIED' }),
].flatMap((request) => spansOf(spanIds(context, { client: true, server: true }, createIdSource()), request));

async function send(texts: { zipkin?: string; otlpGrpc?: string; otlpHttp?: string }): Promise<void> {
  const backends = readBackends({ zipkin: '', otlpGrpc: '', otlpHttp: '', ...texts });
  assert.ok(backends.ok);
  const pipeline = createSpanPipeline({ backends: backends.value, intervalMs: 10 });
  for (const span of spans) pipeline.record(span);
  await pipeline.close();
  for (const stats of pipeline.stats()) assert.equal(stats.exported, spans.length, stats.lastError ?? '');
}

/** Starts a server, or skips the test where it cannot be had; in continuous integration that is a failure. */
async function startOrSkip<T>(t: TestContext, start: () => Promise<T>): Promise<T | undefined> {
  try {
    return await start();
  } catch (error) {
    if (!(error instanceof MissingToolError) || process.env.CI) throw error;
    t.skip(error.message);
    return undefined;
  }
}

async function until<T>(read: () => Promise<T> | T, done: (value: T) => boolean): Promise<T> {
  for (const end = Date.now() + 15_000; ; ) {
    const value = await read();
    if (done(value) || Date.now() > end) return value;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

test('a real Zipkin shows the spans of a request', { timeout: START_TIMEOUT_MS }, async (t) => {
  const zipkin = await startOrSkip(t, startZipkin);
  if (!zipkin) return;
  try {
    await send({ zipkin: zipkin.url });
    const found = await until(
      () => zipkin.trace(TRACE),
      (all) => all.length === spans.length,
    );
    checkZipkin(found);
    assert.deepEqual(await zipkin.trace('1'.repeat(32)), []);
  } finally {
    await zipkin.stop();
  }
});

function checkZipkin(found: readonly ZipkinSpan[]): void {
  assert.equal(found.length, spans.length);
  for (const span of spans) {
    const shown = found.find(({ id }) => id === span.spanId);
    assert.ok(shown, `span ${span.spanId}`);
    assert.equal(shown.traceId, TRACE);
    assert.equal(shown.parentId, span.parentSpanId);
    assert.equal(shown.kind, span.kind);
    assert.equal(shown.name, span.exchange.method.toLowerCase());
    assert.equal(shown.timestamp, span.exchange.startUnixUs);
    assert.equal(shown.duration, 1_500);
    assert.equal(shown.localEndpoint?.serviceName, span.kind === 'CLIENT' ? 'tiefighter' : 'deathstar');
    assert.equal(shown.remoteEndpoint?.serviceName, span.kind === 'CLIENT' ? 'deathstar' : 'tiefighter');
    assert.equal(shown.tags?.['http.request.method'], span.exchange.method);
    assert.equal(shown.tags?.['http.response.status_code'], String(span.exchange.status));
    assert.equal(shown.tags?.['weir.verdict'], span.exchange.verdict);
    assert.equal(shown.tags?.['weir.policy'], 'default/rule1');
    assert.equal(shown.tags?.['k8s.namespace.name'], 'default');
    assert.equal(shown.tags?.error, span.kind === 'CLIENT' && span.exchange.status === 403 ? '403' : undefined);
  }
  const server = found.find((span) => span.kind === 'SERVER');
  assert.equal(server?.tags?.['k8s.pod.name'], DEATHSTAR.pod);
  assert.deepEqual(
    found.filter(({ parentId }) => parentId === CALLER_SPAN).map(({ kind }) => kind),
    ['CLIENT', 'CLIENT'],
  );
}

test('a real OpenTelemetry Collector gets the spans over gRPC and HTTP', { timeout: START_TIMEOUT_MS }, async (t) => {
  const collector = await startOrSkip(t, startOtlpCollector);
  if (!collector) return;
  try {
    for (const texts of [{ otlpGrpc: collector.grpcUrl }, { otlpHttp: collector.httpUrl }]) {
      const before = collector.spans.length;
      await send(texts);
      checkOtlp(collector.spans.slice(before));
    }
  } finally {
    await collector.stop();
  }
});

function checkOtlp(found: readonly OtlpSpan[]): void {
  assert.equal(found.length, spans.length);
  for (const span of spans) {
    const shown = found.find(({ spanId }) => spanId === span.spanId);
    assert.ok(shown, `span ${span.spanId}`);
    const client = span.kind === 'CLIENT';
    assert.equal(shown.traceId, TRACE);
    assert.equal(shown.parentSpanId, span.parentSpanId);
    assert.equal(shown.traceState, 'vendor=1');
    assert.equal(shown.kind, client ? 3 : 2);
    assert.equal(shown.startTimeUnixNano, `${span.exchange.startUnixUs}000`);
    assert.equal(BigInt(shown.endTimeUnixNano) - BigInt(shown.startTimeUnixNano), 1_500_250n);
    assert.equal(shown.statusCode, client && span.exchange.status === 403 ? 2 : 0);
    assert.equal(shown.resource['service.name'], client ? 'tiefighter' : 'deathstar');
    assert.equal(shown.resource['k8s.namespace.name'], 'default');
    assert.equal(shown.attributes['http.request.method'], span.exchange.method);
    assert.equal(shown.attributes['http.response.status_code'], String(span.exchange.status));
    assert.equal(shown.attributes['weir.verdict'], span.exchange.verdict);
    assert.equal(shown.attributes['client.address'], client ? undefined : '10.244.0.5');
  }
}
