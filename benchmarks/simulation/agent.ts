// The agent's own parts around tables that nobody else writes: programs and maps in a bpffs, compute, sync, the channel
// to a worker, flows and metrics. What a node and its pods would need besides is loaded, for its memory, but not started.

import { join } from 'node:path';
import { createRealised } from '#agent/api/realised.ts';
import { createCompute } from '#agent/compute/compute.ts';
import { createProxyControl } from '#agent/control/control.ts';
import { createFlowPipeline } from '#agent/flows/pipeline.ts';
import { collectWhileIdle } from '#agent/idle-collection.ts';
import { nodeLayout } from '#agent/layout.ts';
import { createAgentMetrics } from '#agent/metrics/metrics.ts';
import { metricsProviders, type Parts } from '#agent/providers.ts';
import { createReconciler, type Reconciler } from '#agent/reconcile.ts';
import { nodeConfig } from '#agent/steering.ts';
import { conntrackTable, createConntrack } from '#agent/sync/conntrack.ts';
import { createSync, type Sync } from '#agent/sync/sync.ts';
import { createTables, type Tables } from '#agent/tables.ts';
import { type Datapath, openDatapath } from '#bpf/loader.ts';
import '#agent/api/server.ts';
import '#agent/cni/plugin.ts';
import '#agent/cni/server.ts';
import '#agent/dns/server.ts';
import '#agent/metrics/server.ts';
import '#agent/runtime/runtime.ts';

export interface SimulatedAgent {
  readonly tables: Tables;
  readonly datapath: Datapath;
  readonly reconciler: Reconciler;
  readonly sync: Sync;
  readonly compute: ReturnType<typeof createCompute>;
  /** Workers that are attached. */
  workers(): number;
  close(): Promise<void>;
}

/** Starts the parts. `directory` gets the state file and the workers' socket; `bpffs` is mounted. */
export async function startAgent(directory: string, bpffs: string): Promise<SimulatedAgent> {
  const tables = createTables();
  const datapath = openDatapath({ bpffs });
  const control = await createProxyControl({
    path: socketIn(directory),
    desired: tables.desired,
    onRecords: () => {},
  });
  const layout = nodeLayout('bench', '/none');
  const compute = createCompute(tables, { layout, statePath: join(directory, 'numbers.json') });
  const conntrack = createConntrack(conntrackTable(datapath), () => Math.floor(process.uptime()));
  const sync = createSync({
    tables,
    maps: datapath.maps,
    proxies: control,
    conntrack,
    config: nodeConfig(1, { audit: false }),
  });
  const node = { problem: () => undefined }; // it has no namespace
  const parts: Parts = { datapath, sync, control, compute, node, late: {} };
  const metrics = createAgentMetrics({ tables, providers: metricsProviders(parts), version: 'bench' });
  const pipeline = createFlowPipeline({ node: 'bench', tables, sink: metrics.flows });
  const ring = datapath.events((events) => {
    for (const event of events) pipeline.kernelEvent(event);
  });
  const realised = createRealised(tables.inputs.policies);
  const step = (): boolean => {
    realised.begin();
    return compute.step();
  };
  const reconciler = createReconciler({
    compute: { step },
    sync,
    onRound(outcome, seconds) {
      if (outcome instanceof Error) throw outcome;
      realised.end(outcome);
      metrics.policyImplemented('file', seconds);
    },
    onIdle: collectWhileIdle,
  });
  return {
    tables,
    datapath,
    reconciler,
    sync,
    compute,
    workers: () => control.workers().length,
    async close() {
      await reconciler.close();
      realised.close();
      ring[Symbol.dispose]();
      pipeline.close();
      sync.close();
      compute.close();
      await control.close();
      datapath.close();
    },
  };
}

/** Where workers find the agent. */
export function socketIn(directory: string): string {
  return join(directory, 'proxy.sock');
}
