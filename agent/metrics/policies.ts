// Counts changes of policy objects.

import type { Tables } from '../tables.ts';
import type { AgentMetrics } from './metrics.ts';

/** Counts what becomes of policy objects. */
export function followPolicies(tables: Tables, metrics: Pick<AgentMetrics, 'policyChanged'>): void {
  for (const _ of tables.inputs.policies.values()) metrics.policyChanged('success');
  tables.inputs.policies.subscribe(() => metrics.policyChanged('success'));
  tables.objects.subscribe(({ after }) => {
    if (after && !after.accepted) metrics.policyChanged('fail');
  });
}
