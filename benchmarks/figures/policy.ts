// How long a changed policy file takes to be enforced.

import { join } from 'node:path';
import type { Bench } from '../bench.ts';
import { PROBE_PORT } from '../origin.ts';
import type { WeirNode } from '../peers/weir.ts';
import { type FigureResult, limitGoal } from '../result.ts';
import { inNetns, output } from '../shell.ts';
import { percentile } from '../statistics.ts';

const PROBE = join(import.meta.dirname, '../load/policy-probe.ts');

/** Changes the policy of port 8080 there and back while a client asks without pause over one connection. */
export async function measurePolicy(bench: Bench, node: WeirNode): Promise<FigureResult> {
  const { policyChanges } = bench.options;
  bench.progress(`changing a policy file ${policyChanges} times`);
  const job = {
    address: node.server,
    port: PROBE_PORT,
    file: join(node.directory, 'policy-probe.yaml'),
    // Beside the folder: a half-written file must not be in it.
    draft: join(bench.directory('draft'), 'policy.yaml'),
    changes: policyChanges,
  };
  const text = await output(inNetns(node.client, [process.execPath, PROBE, JSON.stringify(job)]), {
    signal: bench.signal,
    timeoutMs: 30_000 + policyChanges * 1_000,
  });
  const { allowToDeny, denyToAllow } = JSON.parse(text) as Record<'allowToDeny' | 'denyToAllow', number[]>;
  const all = [...allowToDeny, ...denyToAllow];
  const goal = limitGoal({
    text: 'policy file saved → enforced, p99',
    target: 50,
    value: percentile(all, 0.99),
    unit: 'ms',
    values: [],
  });
  return {
    name: 'policy',
    title: 'Policy file saved → enforced on an open connection',
    unit: 'ms',
    series: [
      { name: 'allow → deny', values: allowToDeny },
      { name: 'deny → allow', values: denyToAllow },
    ],
    goals: [goal],
    notes: ['From the return of rename() to the first answer under the new policy; every answer after it was checked.'],
  };
}
