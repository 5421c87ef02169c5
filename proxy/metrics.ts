// Metrics of a worker, at /metrics on the node's loopback. Names that Cilium has are as there.

import { createServer, type Server } from 'node:http';
import { Counter, Gauge, Registry } from 'prom-client';
import type { SpanPipeline } from '#tracing/pipeline.ts';
import { COUNTERS, type CounterName, type CounterReader, REPLY_BUCKETS_S } from './counters.ts';
import type { SpanBudget } from './records/span-budget.ts';

export interface MetricsSources {
  readonly counters: CounterReader;
  /** Records that the agent did not take. */
  unsent(): number;
  /** undefined: no spans. */
  readonly spans: SpanPipeline | undefined;
  readonly budget: Pick<SpanBudget, 'perSecond' | 'cpuSeconds'> | undefined;
  /** 1 while the control stream has brought rules. */
  ready(): boolean;
}

type Labels = Readonly<Record<string, string>>;
type AddCounter = (name: string, help: string, read: () => readonly (readonly [Labels, number])[]) => void;

/** A registry that reads `sources` when it is scraped. */
export function createMetrics(sources: MetricsSources): Registry {
  const registry = new Registry();
  const { counters } = sources;
  const counter = (name: string, help: string, read: () => readonly (readonly [Labels, number])[]): void => {
    const labelNames = Object.keys(read()[0]?.[0] ?? {});
    new Counter({
      name,
      help,
      labelNames,
      registers: [registry],
      collect() {
        this.reset();
        for (const [labels, value] of read()) this.inc(labels, value);
      },
    });
  };
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  };
  /** Every counter "family|value" as one series of label `label`. */
  const family = (prefix: string, label: string): readonly (readonly [Labels, number])[] =>
    COUNTERS.filter((name) => name.startsWith(`${prefix}|`)).map((name) => [
      { [label]: name.slice(prefix.length + 1).replaceAll(' ', '_') },
      counters.get(name as CounterName),
    ]);

  counter(
    'cilium_policy_l7_total',
    'HTTP requests by what the proxy did with them; proxy_type is what Cilium has for HTTP',
    () => l7(counters),
  );
  counter(
    'weir_proxy_requests_total',
    'HTTP requests by what became of them; audited: of the forwarded, those that policy denies',
    () => family('requests', 'outcome'),
  );
  counter('weir_proxy_connections_total', 'Connections by event', () => family('connections', 'event'));
  counter('weir_proxy_limits_total', 'Times that a limit was met', () => family('limit', 'limit'));
  counter('weir_proxy_received_bytes_total', 'Bytes received by side', () =>
    (['downstream', 'upstream'] as const).map((side) => [{ side }, counters.get(`bytes|${side} received`)]),
  );
  counter('weir_proxy_upgrades_total', 'Upgrades by what became of them', () => family('upgrades', 'outcome'));
  counter('weir_proxy_records_total', 'Access records by what became of them', () => [
    ...family('records', 'outcome'),
    [{ outcome: 'unsent' }, sources.unsent()],
  ]);
  counter('weir_proxy_policy_lookups_total', 'Connections looked up again after a policy change', () => [
    [{}, counters.get('revisions|looked up')],
  ]);
  counter('weir_proxy_spans_skipped_total', 'Sampled requests that became no spans, by reason', () =>
    family('spans', 'reason'),
  );
  if (sources.spans !== undefined) addSpanMetrics(counter, sources.spans);
  if (sources.budget !== undefined) addBudgetMetrics({ counter, gauge }, sources.budget);
  gauge('weir_proxy_connections', 'Client connections now', () => counters.get('gauge|connections'));
  gauge('weir_proxy_waiting_bytes', 'Bytes that wait in memory for a peer to take them', () =>
    counters.get('gauge|waiting bytes'),
  );
  gauge('weir_proxy_rule_bytes', 'Bytes that the compiled rules in force may come to hold', () =>
    counters.get('gauge|rule bytes'),
  );
  gauge('weir_proxy_ready', 'Whether rules are in force and connections are accepted', () => Number(sources.ready()));
  gauge('process_resident_memory_bytes', 'Resident memory size in bytes', () => process.memoryUsage.rss());
  registry.registerMetric(replyHistogram(counters) as unknown as Counter);
  return registry;
}

/** The words of Cilium for what the proxy did with requests. Its HTTP proxy is Envoy: dashboards ask for that type. */
function l7(counters: CounterReader): readonly (readonly [Labels, number])[] {
  const rules = { received: 'received', forwarded: 'forwarded', denied: 'denied', parse_errors: 'refused' } as const;
  return Object.entries(rules).map(([rule, name]) => [{ rule, proxy_type: 'envoy' }, counters.get(`requests|${name}`)]);
}

function addSpanMetrics(counter: AddCounter, pipeline: SpanPipeline): void {
  counter('weir_proxy_spans_exported_total', 'Spans that a backend took', () =>
    pipeline.stats().map(({ backend, exported }) => [{ backend }, exported]),
  );
  counter('weir_proxy_spans_dropped_total', 'Spans that did not reach a backend, by reason', () =>
    pipeline
      .stats()
      .flatMap(({ backend, dropped }) =>
        Object.entries(dropped).map(([reason, n]) => [{ backend, reason }, n] as const),
      ),
  );
}

function addBudgetMetrics(
  { counter, gauge }: { counter: AddCounter; gauge: (name: string, help: string, read: () => number) => void },
  budget: NonNullable<MetricsSources['budget']>,
): void {
  counter('weir_proxy_spans_cpu_seconds_total', 'CPU time for making, encoding and sending spans', () => [
    [{}, budget.cpuSeconds],
  ]);
  gauge(
    'weir_proxy_spans_requests_per_second_limit',
    'Sampled requests per second that become spans, as many as there is time for',
    () => budget.perSecond,
  );
}

/** prom-client has no histogram that is filled from outside; this is what a registry asks of a metric. */
function replyHistogram(counters: CounterReader): object {
  const name = 'cilium_proxy_upstream_reply_seconds';
  const help = 'Seconds waited for upstream server to reply to a request';
  const labels = { error: '', protocol_l7: 'http', scope: 'upstreamTime' };
  return {
    name,
    help,
    get() {
      const { counts, sumSeconds } = counters.replies();
      let total = 0;
      const values: object[] = counts.map((count, i) => {
        total += count;
        const le = REPLY_BUCKETS_S[i] ?? '+Inf';
        return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: total };
      });
      values.push({ metricName: `${name}_sum`, labels, value: sumSeconds });
      values.push({ metricName: `${name}_count`, labels, value: total });
      return Promise.resolve({ name, help, type: 'histogram', values, aggregator: 'sum' });
    },
    reset() {},
  };
}

const RETRY_MS = 2_000;

/** Serves `registry` at http://127.0.0.1:port/metrics. A port that is taken (by a worker that drains) is tried again. */
export function serveMetrics(registry: Registry, port: number): Server {
  const server = createServer((request, response) => {
    if (request.url !== '/metrics') {
      response.writeHead(404).end();
      return;
    }
    registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
      () => response.writeHead(500).end(),
    );
  });
  const listen = (): void => void server.listen(port, '127.0.0.1');
  server.on('error', () => setTimeout(listen, RETRY_MS).unref());
  listen();
  return server;
}
