// The agent's one loop: whenever an input changes, compute steps and sync carries the result out; changes that come
// meanwhile go into the next round.

import type { Compute } from './compute/compute.ts';
import type { ApplyResult, Sync } from './sync/sync.ts';

export interface Reconciler {
  /** Something changed. */
  poke(): void;
  /** Resolves after a round that began after this call; rejects when `signal` aborts. */
  settled(signal?: AbortSignal): Promise<ApplyResult>;
  /** Why the last round failed; undefined: it did not. */
  problem(): string | undefined;
  /** Resolves when no round is under way, and lets none begin. */
  close(): Promise<void>;
}

interface Waiter {
  resolve(result: ApplyResult): void;
  reject(error: Error): void;
}

/** A round that threw is tried again after this long. */
const RETRY_MS = 1_000;

/**
 * `onRound` hears of each round: its result, or why it failed, and the seconds it took. `onIdle` is called when no further
 * round is wanted, and whoever waited for the last one has gone on.
 */
export function createReconciler(options: {
  readonly compute: Pick<Compute, 'step'>;
  readonly sync: Pick<Sync, 'apply'>;
  readonly onRound: (outcome: ApplyResult | Error, seconds: number) => void;
  readonly onIdle?: () => void;
}): Reconciler {
  let waiters: Waiter[] = [];
  let problem: string | undefined;
  let isWanted = false;
  let running: Promise<void> | undefined;
  let isClosed = false;
  let retry: NodeJS.Timeout | undefined;

  const round = async (): Promise<void> => {
    const mine = waiters;
    waiters = [];
    isWanted = false;
    const begun = performance.now();
    try {
      options.compute.step();
      const result = await options.sync.apply();
      problem = undefined;
      for (const waiter of mine) waiter.resolve(result);
      options.onRound(result, (performance.now() - begun) / 1_000);
    } catch (cause) {
      const error = cause as Error;
      problem = error.message;
      for (const waiter of mine) waiter.reject(error);
      options.onRound(error, (performance.now() - begun) / 1_000);
      retry ??= setTimeout(() => {
        retry = undefined;
        poke();
      }, RETRY_MS);
    }
  };
  const run = async (): Promise<void> => {
    // What one save or one pod changes comes in a burst of rows: all of it belongs to one round.
    await new Promise((resolve) => setImmediate(resolve));
    while (isWanted && !isClosed) await round();
    running = undefined;
    setImmediate(() => {
      if (!running && !isClosed) options.onIdle?.();
    });
  };
  const poke = (): void => {
    isWanted = true;
    if (!isClosed) running ??= run();
  };
  return {
    poke,
    settled(signal) {
      return new Promise((resolve, reject) => {
        const waiter: Waiter = { resolve, reject };
        signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
        waiters.push(waiter);
        poke();
      });
    },
    problem: () => problem,
    async close() {
      isClosed = true;
      clearTimeout(retry);
      await running;
      for (const waiter of waiters) waiter.reject(new Error('Cannot carry out a change: the agent is ending'));
    },
  };
}
