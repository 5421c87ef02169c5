// Waiting until workers have an update in force, whether they are attached by now or still have to come.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Absence } from './absence.ts';
import type { Worker } from './worker.ts';

export interface Uptake {
  /**
   * Slots whose workers, attached or not at the call, do not have the version in force once the time is over. A worker that
   * was missed before has had its time already: not every update waits for it.
   */
  lateFor(version: number): Promise<readonly number[]>;
}

/** How often one looks whether a worker has attached. */
const ABSENT_POLL_MS = 20;

/** For the workers in `workers`, by slot, and those that are away. */
export function createUptake(options: {
  readonly workers: ReadonlyMap<number, Worker>;
  readonly absence: Absence;
  readonly timeoutMs: number;
}): Uptake {
  const { workers, absence, timeoutMs } = options;
  /** Whether the worker has taken up `version` before the time since `begun` is over, or is no more. */
  const takesUp = async (
    { slot, pid }: { readonly slot: number; readonly pid: number },
    version: number,
    begun: number,
  ): Promise<boolean> => {
    const attached = (): Worker | undefined => (workers.get(slot)?.state.pid === pid ? workers.get(slot) : undefined);
    for (;;) {
      const leftMs = Math.max(begun + timeoutMs - performance.now(), 0);
      if (await attached()?.acknowledges(version, leftMs)) return true;
      const absent = absence.list().find((worker) => worker.pid === pid);
      if (!absent && !attached()) return true;
      const since = absent ? Math.min(absent.since, begun) : begun;
      if (performance.now() >= since + timeoutMs) return false;
      await sleep(ABSENT_POLL_MS);
    }
  };
  return {
    async lateFor(version) {
      const begun = performance.now();
      const attached = [...workers.values()].map(({ state: { slot, pid } }) => ({ slot, pid }));
      const late = await Promise.all(
        [...attached, ...absence.list()].map(async (worker) =>
          (await takesUp(worker, version, begun)) ? [] : [worker.slot],
        ),
      );
      return [...new Set(late.flat())].sort((a, b) => a - b);
    },
  };
}
