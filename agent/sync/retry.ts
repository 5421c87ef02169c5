// One retry at a time, ever later, until something succeeds.

import { setTimeout as sleep } from 'node:timers/promises';

export interface Retry {
  /** Runs `run` after a while, unless something waits already. */
  later(run: () => Promise<unknown>): void;
  /** Something succeeded: the next wait is short again. */
  reset(): void;
}

const RETRY_FIRST_MS = 200;
const RETRY_MAX_MS = 30_000;

/** Retries until `signal` is aborted. */
export function createRetry(signal: AbortSignal): Retry {
  let waiting = false;
  let failures = 0;
  const wait = async (run: () => Promise<unknown>): Promise<void> => {
    waiting = true;
    const delay = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** failures++) * (0.75 + Math.random() / 2);
    try {
      await sleep(delay, undefined, { signal, ref: false });
    } catch {
      return; // closed
    } finally {
      waiting = false;
    }
    await run();
  };
  return {
    later(run) {
      if (!waiting && !signal.aborted) void wait(run);
    },
    reset() {
      failures = 0;
    },
  };
}
