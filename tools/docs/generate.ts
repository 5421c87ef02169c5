// The generated pages of docs/ that come from TypeScript: errors and metrics.

import { METRICS_PORT, PROXY_METRICS_PORT } from '#agent/layout.ts';
import { createAgentMetrics } from '#agent/metrics/metrics.ts';
import type { MetricsProviders } from '#agent/metrics/providers.ts';
import { createTables } from '#agent/tables.ts';
import { renderErrors } from './errors.ts';
import { renderMetrics } from './metrics.ts';
import { registeredBy } from './registered.ts';

/** The pages as they should be: path below the checkout -> text. */
export function generateDocs(): ReadonlyMap<string, string> {
  const providers = {} as MetricsProviders; // asked only when somebody scrapes
  const agent = registeredBy(() => createAgentMetrics({ tables: createTables(), providers, version: '' }));
  const metrics = renderMetrics([
    {
      program: 'Agent',
      endpoint: `\`http://127.0.0.1:${METRICS_PORT}/metrics\` in the node's namespace, and \`weir metrics\`.`,
      metrics: agent,
    },
  ]);
  return new Map([
    ['docs/errors.md', renderErrors()],
    ['docs/metrics.md', metrics],
  ]);
}
