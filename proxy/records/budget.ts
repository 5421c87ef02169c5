// A token bucket: so many per second, and no more than a burst at once.

/** Returns whether one more is within budget, and takes it. `nowMs`: a clock in ms that never goes back. */
export function createBudget(options: {
  readonly perSecond: number;
  readonly burst: number;
  readonly nowMs: () => number;
}): () => boolean {
  const { perSecond, burst, nowMs } = options;
  let tokens = burst;
  let lastMs = nowMs();
  return () => {
    const now = nowMs();
    tokens = Math.min(burst, tokens + ((now - lastMs) * perSecond) / 1000);
    lastMs = now;
    if (tokens < 1) return false;
    tokens--;
    return true;
  };
}
