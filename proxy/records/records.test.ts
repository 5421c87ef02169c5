// Records from the bytes of a request to the message for the agent and the spans.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { address, addressBytes, formatAddress } from '#common/ip.ts';
import { createIdSource } from '#tracing/ids.ts';
import { createCpuMeter } from '#tracing/meter.ts';
import type { SpanPipeline } from '#tracing/pipeline.ts';
import type { SpanRecord } from '#tracing/span.ts';
import { createWorkloads } from '../control/messages.ts';
import { createMetrics } from '../metrics.ts';
import { type ProxyOptions, portOf, startClient, startProxy, startServer } from '../testing/harness.ts';
import { startShipping } from './shipping.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';

async function proxied(requests: readonly string[], options: Partial<ProxyOptions> = {}) {
  const server = await startServer((socket) => socket.on('data', () => socket.write(OK)));
  const proxy = await startProxy({ server: portOf(server), rules: [{ path: '/ok.*', policy: 'ns/p' }], ...options });
  const client = await startClient(proxy.port);
  for (const request of requests) {
    const before = client.received.length;
    client.send(request);
    await client.until((text) => text.length > before);
  }
  await sleep(20);
  return {
    proxy,
    port: portOf(server),
    async [Symbol.asyncDispose]() {
      client[Symbol.dispose]();
      await proxy[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

test('a record says what was asked, by whom, and what became of it', async () => {
  const fields = `Host: a.b\r\ntraceparent: 00-${TRACE}-${PARENT}-00\r\n\r\n`;
  await using s = await proxied(
    [`GET /ok?x=y HTTP/1.1\r\n${fields}`, 'GET /no HTTP/1.1\r\nHost: a\r\n\r\n', 'GET /\r\n\r\n'],
    {
      samplingRatio: 1,
    },
  );
  const [allowed, denied, refused] = s.proxy.records();
  assert.ok(allowed && denied && refused);
  assert.deepEqual(
    [allowed.method, allowed.path, allowed.host, allowed.verdict, allowed.status, allowed.policies],
    ['GET', '/ok?x=y', 'a.b', 1, 200, ['ns/p']],
  );
  assert.equal(allowed.destinationPort, s.port);
  assert.equal(formatAddress(allowed.source), '127.0.0.1');
  assert.ok(allowed.latencyMs > 0 && allowed.durationMs >= allowed.latencyMs);
  assert.ok(Math.abs(allowed.timeMs - Date.now()) < 5_000);
  assert.equal(allowed.requestBytes, `GET /ok?x=y HTTP/1.1\r\n${fields}`.length);
  assert.equal(allowed.responseBytes, OK.length);
  assert.deepEqual([allowed.traceId, allowed.parentSpanId, allowed.sampled], [TRACE, PARENT, false]); // as the parent decided
  assert.deepEqual([denied.path, denied.verdict, denied.status, denied.sampled], ['/no', 2, 403, true]);
  assert.deepEqual([refused.path, refused.verdict, refused.status], ['', 3, 400]);
  assert.equal(refused.reason, 'malformed request target');
});

test('a long path is cut, and everything else kept', async () => {
  const path = `/ok${'x'.repeat(5000)}`;
  await using s = await proxied([`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`]);
  const [record] = s.proxy.records();
  assert.ok(record && record.path.length > 1500 && path.startsWith(record.path));
  assert.equal(record.host, 'a');
});

test('sampled requests become spans with their ids in the record; nothing is sent twice', async () => {
  await using s = await proxied(
    [`GET /ok HTTP/1.1\r\nHost: a\r\nb3: ${TRACE}-${PARENT}-1\r\n\r\n`, 'GET /ok HTTP/1.1\r\nHost: a\r\n\r\n'],
    {
      samplingRatio: 0,
    },
  );
  const spans: SpanRecord[] = [];
  const pipeline = {
    record: (span) => void spans.push(span),
    stats: () => [],
    close: async () => {},
  } satisfies SpanPipeline;
  const sent: Record<string, unknown>[] = [];
  const workloads = createWorkloads();
  const workload = {
    address: addressBytes(address('127.0.0.1')),
    identity: 300,
    namespace: 'ns',
    pod: 'p',
    workload: 'w',
    workloadKind: 'Pod',
  };
  workloads.apply({
    version: 1,
    full: true,
    rulesets: [],
    removedRulesets: [],
    workloads: [workload],
    removedWorkloads: [],
  });
  const shipping = startShipping({
    thread: s.proxy.thread,
    control: {
      sendRecords(records) {
        sent.push(...(records as Record<string, unknown>[]));
        return true;
      },
    },
    workloads,
    spans: { pipeline, ids: createIdSource(), meter: createCpuMeter() },
  });
  shipping.flush();
  shipping.flush();
  assert.equal(sent.length, 2);
  assert.deepEqual(
    spans.map((span) => [span.kind, span.traceId]),
    [
      ['CLIENT', TRACE],
      ['SERVER', TRACE],
    ],
  );
  assert.equal(spans[0]?.parentSpanId, PARENT);
  const ids = sent.map(({ traceId, spanId }) => [traceId, spanId].map((id) => (id as Buffer).toString('hex')));
  assert.deepEqual(ids, [
    [TRACE, spans[1]?.spanId],
    ['', ''],
  ]);
  shipping.close();
});

test('metrics are what Prometheus reads', async () => {
  await using s = await proxied(['GET /ok HTTP/1.1\r\nHost: a\r\n\r\n', 'GET /no HTTP/1.1\r\nHost: a\r\n\r\n']);
  const registry = createMetrics({
    counters: s.proxy.thread.counters,
    unsent: () => 3,
    spans: undefined,
    budget: undefined,
    ready: () => true,
  });
  const text = await registry.metrics();
  for (const line of [
    'cilium_policy_l7_total{rule="received",proxy_type="envoy"} 2',
    'cilium_policy_l7_total{rule="forwarded",proxy_type="envoy"} 1',
    'cilium_policy_l7_total{rule="denied",proxy_type="envoy"} 1',
    'cilium_policy_l7_total{rule="parse_errors",proxy_type="envoy"} 0',
    'cilium_proxy_upstream_reply_seconds_bucket{le="+Inf",error="",protocol_l7="http",scope="upstreamTime"} 1',
    'weir_proxy_records_total{outcome="unsent"} 3',
    'weir_proxy_limits_total{limit="head_size"} 0',
    'weir_proxy_ready 1',
  ]) {
    assert.ok(text.split('\n').includes(line), line);
  }
  const names = [...text.matchAll(/^# HELP (\S+)/gm)].map((match) => match[1]);
  assert.equal(new Set(names).size, names.length);
  const again = await registry.metrics();
  const stable = (metrics: string): string => metrics.replace(/^process_.*$/gm, '');
  assert.equal(stable(again), stable(text)); // reading does not count twice
});

test('metrics are clean for promtool', async (t) => {
  await using s = await proxied(['GET /ok HTTP/1.1\r\nHost: a\r\n\r\n']);
  const pipeline = {
    record: () => {},
    stats: () => [{ backend: 'zipkin', exported: 1, dropped: { queue: 2 } }],
    close: async () => {},
  };
  const registry = createMetrics({
    counters: s.proxy.thread.counters,
    unsent: () => 0,
    spans: pipeline as unknown as SpanPipeline,
    budget: { perSecond: 2_000, cpuSeconds: 1.5 },
    ready: () => true,
  });
  const text = await registry.metrics();
  assert.match(text, /^weir_proxy_spans_exported_total/m);
  assert.match(text, /^weir_proxy_spans_cpu_seconds_total 1.5$/m);
  assert.match(text, /^weir_proxy_spans_requests_per_second_limit 2000$/m);
  const lint = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
  if (lint.error) return t.skip(`promtool cannot be run: ${lint.error.message}`);
  assert.equal(`${lint.stdout}${lint.stderr}`, '');
  assert.equal(lint.status, 0);
});
