// The CPU time that spans take on the thread that makes and sends them, measured.

/** CPU time since the meter was made, microseconds. */
export interface CpuUse {
  /** All of the thread. */
  readonly threadUs: number;
  /** While it worked for spans. */
  readonly spansUs: number;
  /** While it worked for something else that is measured, too. */
  readonly othersUs: number;
}

export interface CpuMeter {
  read(): CpuUse;
  /** From now on the thread works for spans, until `end` was called as often. */
  begin(): void;
  end(): void;
  /** Runs what is not for spans, also while they are being sent. */
  without(work: () => void): void;
}

/** CPU time of this thread, microseconds; a call takes one. */
const threadCpuUs = (): number => {
  const { user, system } = process.threadCpuUsage();
  return user + system;
};

/** A meter at zero. Between `begin` and `end` everything counts that the thread does: a library sends in many small steps. */
export function createCpuMeter(nowUs: () => number = threadCpuUs): CpuMeter {
  const beganUs = nowUs();
  let spansUs = 0;
  let othersUs = 0;
  let lastUs = beganUs;
  let begun = 0;
  const turn = (): number => {
    const now = nowUs();
    const sinceUs = now - lastUs;
    if (begun > 0) spansUs += sinceUs;
    lastUs = now;
    return sinceUs;
  };
  return {
    read() {
      turn();
      return { threadUs: lastUs - beganUs, spansUs, othersUs };
    },
    begin() {
      turn();
      begun++;
    },
    end() {
      turn();
      begun--;
    },
    without(work) {
      turn();
      const ofSpans = begun;
      begun = 0;
      try {
        work();
      } finally {
        othersUs += turn();
        begun = ofSpans;
      }
    },
  };
}

/**
 * What spans took from `before` to `now`, microseconds: the time that was measured, and of what belongs to nobody (the garbage
 * collector, the event loop) a part in proportion. Rather too much: records that are on their way to the agent are nobody's.
 */
export function spansCpuUs(before: CpuUse, now: CpuUse): number {
  const spans = now.spansUs - before.spansUs;
  const others = now.othersUs - before.othersUs;
  return spans === 0 ? 0 : ((now.threadUs - before.threadUs) * spans) / (spans + others);
}
