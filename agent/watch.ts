// What the agent looks at now and then, because nobody tells.

import { LOSS_EVENT } from '#bpf/abi.ts';
import type { Datapath } from '#bpf/loader.ts';
import type { ProxyControl } from './control/control.ts';
import type { AgentMetrics } from './metrics/metrics.ts';
import type { Conntrack } from './sync/conntrack.ts';

const LOSSES_MS = 1_000;
const CONNTRACK_MS = 30_000;
const LATE_MS = 1_000;
/**
 * A worker that has not taken up an update for so long, attached or not, goes on with rules that are void: it is replaced.
 * Thousands of new expressions take seconds to compile.
 */
const MAX_LATE_ROUNDS = 15;

/** Tells `onLost` of flow events that the kernel could not hand over. Returns how to stop. */
export function watchLosses(datapath: Pick<Datapath, 'losses'>, onLost: (count: number) => void): () => void {
  let known = datapath.losses()[LOSS_EVENT] ?? 0n;
  const timer = setInterval(() => {
    const now = datapath.losses()[LOSS_EVENT] ?? 0n;
    if (now > known) onLost(Number(now - known));
    known = now;
  }, LOSSES_MS);
  return () => clearInterval(timer);
}

/** Deletes expired connections at intervals. Returns how to stop. */
export function watchConntrack(conntrack: Conntrack, metrics: Pick<AgentMetrics, 'conntrackCollected'>): () => void {
  let isRunning = false;
  const timer = setInterval(async () => {
    if (isRunning) return;
    isRunning = true;
    const begun = performance.now();
    let completed = true;
    await conntrack.collect().catch(() => {
      completed = false; // counted; the kernel treats what is expired as absent anyway
    });
    const { alive, deleted } = conntrack.stats();
    metrics.conntrackCollected({ completed, seconds: (performance.now() - begun) / 1_000, alive, deleted });
    isRunning = false;
  }, CONNTRACK_MS);
  return () => clearInterval(timer);
}

/** Calls `replace` for workers that do not acknowledge what they were told, or do not attach. Returns how to stop. */
export function watchLateWorkers(
  control: Pick<ProxyControl, 'workers'>,
  replace: (worker: { readonly slot: number; readonly pid: number }) => void,
): () => void {
  const rounds = new Map<number, number>(); // by pid
  const timer = setInterval(() => {
    const late = control.workers('running').filter((worker) => worker.late);
    for (const pid of rounds.keys()) if (!late.some((worker) => worker.pid === pid)) rounds.delete(pid);
    for (const worker of late) {
      const count = (rounds.get(worker.pid) ?? 0) + 1;
      rounds.set(worker.pid, count);
      if (count === MAX_LATE_ROUNDS) replace(worker);
    }
  }, LATE_MS);
  return () => clearInterval(timer);
}
