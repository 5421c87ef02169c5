// A token bucket: so many per second, and no more than a burst at once.

/** Returns whether one more is within budget at `nowMs`, and takes it. `nowMs` is of a clock that never goes back. */
export type Budget = (nowMs: number) => boolean;

export interface BudgetOptions {
  /** May change while the budget is in use. */
  readonly perSecond: number;
  readonly burst: number;
}

/** A full bucket. */
export function createBudget(options: BudgetOptions): Budget {
  const { burst } = options;
  let tokens = burst;
  let lastMs = Number.POSITIVE_INFINITY;
  return (nowMs) => {
    tokens = Math.min(burst, tokens + (Math.max(0, nowMs - lastMs) * options.perSecond) / 1000);
    lastMs = nowMs;
    if (tokens < 1) return false;
    tokens--;
    return true;
  };
}
