// Workers that run and are not attached: in their back-off after the agent's restart, cut off, or never to come again.
// They go on with the rules they have.

import { type ProcessId, processId } from '../node/process.ts';

/** A worker process that supervision, this agent's or an earlier one's, has put on a slot. */
export interface SupervisedWorker {
  readonly slot: number;
  readonly process: ProcessId;
}

export interface AbsentWorker {
  readonly slot: number;
  readonly pid: number;
  /** When it was first missed; ms of performance.now(). */
  readonly since: number;
  /** It has been away for too long for one that may have rules, or for one that starts. */
  readonly late: boolean;
}

export interface Absence {
  /** Those that are away now. */
  list(): readonly AbsentWorker[];
  /** A worker has attached: from now on it has rules. */
  attached(pid: number): void;
}

/** A worker that starts has no rules, so it denies; it is not late before this, or a slow machine would never have one. */
const START_TIMEOUT_MS = 30_000;

/** Looks at the workers that `supervised` says run; `isAttached` tells which of them are there. */
export function createAbsence(options: {
  readonly supervised: () => readonly SupervisedWorker[];
  readonly isAttached: (slot: number, pid: number) => boolean;
  readonly timeoutMs: number;
}): Absence {
  const { supervised, isAttached, timeoutMs } = options;
  const missedSince = new Map<number, number>(); // by pid; both hold no more than runs
  const known = new Set<number>();
  const ownStart = processId(process.pid)?.startTicks ?? 0;
  return {
    list() {
      const now = performance.now();
      const running = supervised();
      const pids = new Set(running.map((worker) => worker.process.pid));
      for (const pid of missedSince.keys()) if (!pids.has(pid)) missedSince.delete(pid);
      for (const pid of known) if (!pids.has(pid)) known.delete(pid);
      return running.flatMap(({ slot, process: { pid, startTicks } }) => {
        if (isAttached(slot, pid)) {
          missedSince.delete(pid);
          return [];
        }
        const since = missedSince.get(pid) ?? now;
        missedSince.set(pid, since);
        const mayHaveRules = known.has(pid) || startTicks <= ownStart;
        return [{ slot, pid, since, late: now - since >= (mayHaveRules ? timeoutMs : START_TIMEOUT_MS) }];
      });
    },
    attached: (pid) => void known.add(pid),
  };
}
