// Waking a loop: a flag that is raised by whatever happens, and waited for with or without a limit.

import { setTimeout as sleep } from 'node:timers/promises';

export interface Events {
  raise(): void;
  /** Resolves at the next raise() (also one since the last wait), after `timeoutMs`, or when closed. */
  next(timeoutMs?: number): Promise<void>;
  until(holds: () => boolean, timeoutMs: number): Promise<void>;
  close(): void;
  readonly isClosed: boolean;
}

/** A lowered flag. */
export function createEvents(): Events {
  let pending = false;
  let wake: (() => void) | undefined;
  let isClosed = false;
  const raise = (): void => {
    pending = true;
    wake?.();
  };
  const next = async (timeoutMs?: number): Promise<void> => {
    if (!pending && !isClosed) {
      const cancel = new AbortController();
      const woken = new Promise<void>((resolve) => {
        wake = resolve;
      });
      const late = timeoutMs === undefined ? [] : [sleep(timeoutMs, undefined, { signal: cancel.signal, ref: false })];
      await Promise.race([woken, ...late.map((promise) => promise.catch(() => {}))]);
      cancel.abort();
      wake = undefined;
    }
    pending = false;
  };
  return {
    raise,
    next,
    async until(holds, timeoutMs) {
      const deadline = performance.now() + timeoutMs;
      while (!holds() && !isClosed && performance.now() < deadline) await next(deadline - performance.now());
    },
    close() {
      isClosed = true;
      raise();
    },
    get isClosed() {
      return isClosed;
    },
  };
}
