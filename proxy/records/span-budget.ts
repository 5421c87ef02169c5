// How many sampled requests a second become spans: as many as a share of the time is enough for, at what they cost here.

import { type CpuMeter, spansCpuUs } from '#tracing/meter.ts';

/**
 * Share of one processor, and so of what a loaded worker has, that spans may take on the main thread, where they are made,
 * encoded and sent. The data thread is not in it: it only fills a slot of memory, as it does for a record.
 */
export const SPAN_SHARE = 0.04;
/** So many become spans whatever they cost: who asks for less never misses one. */
export const ASSURED_PER_SECOND = 1_000;
/** With fewer the share of what is not theirs, like waking up, would be too large to say what one costs. */
const MIN_REQUESTS = 200;

/** What happened since the last look. */
export interface SpanUse {
  readonly cpuUs: number;
  /** Requests that became spans. */
  readonly requests: number;
}

/** Budget of a worker that has not measured yet. */
export function assuredPerSecond(limit: number): number {
  return Math.min(ASSURED_PER_SECOND, limit);
}

/** The budget after `use`, from the one before; never above `limit`. */
export function spansPerSecond(before: number, use: SpanUse, limit: number): number {
  if (use.requests < MIN_REQUESTS) return before;
  const affordable = Math.floor((SPAN_SHARE * 1e6 * use.requests) / Math.max(1, use.cpuUs));
  return Math.min(limit, Math.max(ASSURED_PER_SECOND, affordable));
}

export interface SpanBudget {
  /** To be called once a second: looks at what spans took since the last call. */
  look(): void;
  /** Sampled requests a second that become spans. */
  readonly perSecond: number;
  /** CPU time that spans took up to the last look, seconds. */
  readonly cpuSeconds: number;
}

export interface SpanBudgetOptions {
  readonly meter: Pick<CpuMeter, 'read'>;
  /** Requests that became spans, ever. */
  readonly sampled: () => number;
  readonly limit: number;
  /** Puts another budget in force. */
  readonly apply: (perSecond: number) => void;
}

/** The budget of a worker that begins. */
export function createSpanBudget({ meter, sampled, limit, apply }: SpanBudgetOptions): SpanBudget {
  let perSecond = assuredPerSecond(limit);
  let use = meter.read();
  let requests = sampled();
  let cpuSeconds = 0;
  return {
    look() {
      const [before, requestsBefore] = [use, requests];
      use = meter.read();
      requests = sampled();
      const cpuUs = spansCpuUs(before, use);
      cpuSeconds += cpuUs / 1e6;
      const next = spansPerSecond(perSecond, { cpuUs, requests: requests - requestsBefore }, limit);
      if (next === perSecond) return;
      perSecond = next;
      apply(next);
    },
    get perSecond() {
      return perSecond;
    },
    get cpuSeconds() {
      return cpuSeconds;
    },
  };
}
