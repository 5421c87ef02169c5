// What the node API and the metrics are told by the parts of the agent.

import type { Component, WorkerStatus } from '#api/node.ts';
import {
  LOSS_CONNTRACK,
  LOSS_DROP_EVENT,
  LOSS_EVENT,
  LOSS_FRAGMENT,
  LOSS_POLICY_COUNTER,
  LOSS_REVERSE,
  POLICY_INGRESS,
} from '#bpf/abi.ts';
import type { Datapath } from '#bpf/loader.ts';
import type { Realised } from './api/realised.ts';
import type { Compute } from './compute/compute.ts';
import type { ProxyControl } from './control/control.ts';
import type { KernelLoss, MetricsProviders } from './metrics/providers.ts';
import type { NodeWatch } from './node/watch-node.ts';
import type { Reconciler } from './reconcile.ts';
import type { DirectorySource } from './sources/directory.ts';
import type { NamesSource } from './sources/names.ts';
import type { Sync } from './sync/sync.ts';
import type { Workers } from './workers/workers.ts';

export interface Parts {
  readonly datapath: Pick<Datapath, 'counters' | 'losses' | 'maps'>;
  readonly sync: Pick<Sync, 'maps' | 'revision' | 'pending'>;
  readonly control: Pick<ProxyControl, 'workers'>;
  readonly compute: Pick<Compute, 'problems'>;
  readonly node: Pick<NodeWatch, 'problem'>;
  /** Parts that start later than the API and the metrics. */
  readonly late: {
    source?: Pick<DirectorySource, 'problem'>;
    names?: Pick<NamesSource, 'problem'>;
    reconciler?: Pick<Reconciler, 'problem'>;
    workers?: Pick<Workers, 'states'>;
    realised?: Pick<Realised, 'revisionOf'>;
  };
}

const LOSS_NAMES: readonly (readonly [number, KernelLoss['kind']])[] = [
  [LOSS_EVENT, 'flow_event'],
  [LOSS_DROP_EVENT, 'drop_event'],
  [LOSS_CONNTRACK, 'conntrack'],
  [LOSS_FRAGMENT, 'fragment'],
  [LOSS_REVERSE, 'reverse'],
  [LOSS_POLICY_COUNTER, 'policy_counter'],
];

/** State of each part, for `weir status`. */
export function components(parts: Parts): readonly Component[] {
  const { source, names, reconciler } = parts.late;
  const pending = Object.entries(parts.sync.pending()).filter(([, rows]) => rows.length > 0);
  const unmet = parts.compute.problems();
  return [
    component('source', source?.problem() ?? names?.problem(), source === undefined),
    component('compute', reconciler?.problem() ?? unmet.map((p) => `${p.object}: ${p.reason}`).join('; ')),
    component('sync', pending.map(([table, rows]) => `${rows.length} rows of ${table} are not in force`).join('; ')),
    component('node', parts.node.problem()),
    { name: 'kernel', state: 'ok', message: lossText(parts) },
  ];
}

/** What the programs could not write since they were loaded; events over their rate are left out on purpose. */
function lossText(parts: Pick<Parts, 'datapath'>): string {
  const lost = kernelLosses(parts).filter(({ kind, count }) => count > 0 && kind !== 'drop_event');
  return lost.length === 0
    ? ''
    : `lost for want of room: ${lost.map(({ kind, count }) => `${count} ${kind}`).join(', ')}`;
}

function kernelLosses({ datapath }: Pick<Parts, 'datapath'>): readonly KernelLoss[] {
  const losses = datapath.losses();
  return LOSS_NAMES.map(([index, kind]) => ({ kind, count: Number(losses[index] ?? 0n) }));
}

function component(name: string, problem: string | undefined, isStarting = false): Component {
  if (isStarting) return { name, state: 'starting', message: '' };
  return problem ? { name, state: 'degraded', message: problem } : { name, state: 'ok', message: '' };
}

/** Workers as supervision and the control channel see them together. */
export function workerStatuses(parts: Parts): readonly WorkerStatus[] {
  const attached = new Map(parts.control.workers().map((worker) => [worker.slot, worker]));
  return (parts.late.workers?.states() ?? []).map(({ slot, pid, restarts }) => {
    const worker = attached.get(slot);
    const isCurrent = worker !== undefined && worker.pid === pid;
    const state = isCurrent ? 'attached' : pid === 0 ? 'failed' : 'starting';
    return { slot, pid, state, version: worker?.acknowledged ?? 0, restarts };
  });
}

/** What metrics read when they are scraped. */
export function metricsProviders(parts: Parts): MetricsProviders {
  return {
    packetCounters: () =>
      parts.datapath.counters().map(({ reason, direction, packets, bytes }) => ({
        reason,
        direction: direction === POLICY_INGRESS ? 'ingress' : 'egress',
        packets: Number(packets),
        bytes: Number(bytes),
      })),
    kernelLosses: () => kernelLosses(parts),
    maps: () => parts.sync.maps(),
    policyRevision: () => parts.sync.revision(),
    workers: () => workerStatuses(parts),
  };
}
