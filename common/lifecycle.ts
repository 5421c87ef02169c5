// Start and stop order of a program, in one list: what was started last is stopped first.

export interface Lifecycle {
  /** Registers how to stop something that has just been started. */
  add(name: string, stop: () => void | Promise<void>): void;
  /** Stops everything in reverse order; each part has `timeoutMs`. Failures are given to `onError` and do not stop the rest. */
  stop(onError: (name: string, error: unknown) => void, timeoutMs?: number): Promise<void>;
}

/** An empty lifecycle list. */
export function createLifecycle(): Lifecycle {
  const parts: { name: string; stop: () => void | Promise<void> }[] = [];
  return {
    add: (name, stop) => void parts.push({ name, stop }),
    async stop(onError, timeoutMs = 5_000) {
      for (let part = parts.pop(); part; part = parts.pop()) {
        const { name, stop } = part;
        const late = AbortSignal.timeout(timeoutMs);
        try {
          await Promise.race([
            stop(),
            new Promise((_, reject) => {
              late.onabort = () => reject(new Error(`Cannot stop ${name}: not done after ${timeoutMs} ms`));
            }),
          ]);
        } catch (error) {
          onError(name, error);
        } finally {
          late.onabort = null;
        }
      }
    },
  };
}
