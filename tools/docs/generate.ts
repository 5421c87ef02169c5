// The generated pages of docs/ that come from TypeScript: errors and metrics.

import { METRICS_PORT, PROXY_METRICS_PORT } from '#agent/layout.ts';
import { createAgentMetrics } from '#agent/metrics/metrics.ts';
import type { MetricsProviders } from '#agent/metrics/providers.ts';
import { createTables } from '#agent/tables.ts';
import { createCounterMemory, openCounterReader } from '#proxy/counters.ts';
import { createMetrics } from '#proxy/metrics.ts';
import { createSpanPipeline } from '#tracing/pipeline.ts';
import { renderErrors } from './errors.ts';
import { renderMetrics } from './metrics.ts';
import { registeredBy } from './registered.ts';

/** The pages as they should be: path below the checkout -> text. */
export async function generateDocs(): Promise<ReadonlyMap<string, string>> {
  const metrics = renderMetrics([
    {
      program: 'Agent',
      endpoint: `\`http://127.0.0.1:${METRICS_PORT}/metrics\` in the node's namespace, and \`weir metrics\`.`,
      metrics: await agentMetrics(),
    },
    {
      program: 'Proxy worker',
      endpoint: `\`http://127.0.0.1:${PROXY_METRICS_PORT}+n/metrics\` in the node's namespace for worker slot n.`,
      metrics: await proxyMetrics(),
    },
  ]);
  return new Map([
    ['docs/errors.md', renderErrors()],
    ['docs/metrics.md', metrics],
  ]);
}

function agentMetrics(): ReturnType<typeof registeredBy> {
  const providers = {} as MetricsProviders; // asked only when somebody scrapes
  return registeredBy(() => createAgentMetrics({ tables: createTables(), providers, version: '' }));
}

async function proxyMetrics(): ReturnType<typeof registeredBy> {
  const counters = openCounterReader(createCounterMemory());
  const zipkin = new URL('http://127.0.0.1:9/');
  const spans = createSpanPipeline({ backends: { zipkin, otlpGrpc: undefined, otlpHttp: undefined } });
  const budget = { perSecond: 0, cpuSeconds: 0 };
  try {
    return await registeredBy(() => createMetrics({ counters, unsent: () => 0, spans, budget, ready: () => false }));
  } finally {
    await spans.close();
  }
}
