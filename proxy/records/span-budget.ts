// How many sampled requests a second become spans: as many as a share of the time is enough for, at what they cost here.

import { readFileSync } from 'node:fs';
import { type CpuMeter, spansCpuUs } from '#tracing/meter.ts';

/**
 * Share of the worker's CPU time that spans may take on its main thread, where they are made, encoded and sent. The data
 * thread is not measured for them: it only fills a slot of memory, as it does for a record.
 */
export const WORKER_SHARE = 0.04;
/** Share of the time that the machine's processors have nothing to do that spans may take, too: it is missed by nobody. */
export const IDLE_SHARE = 0.1;
/** So many become spans whatever they cost: who asks for less never misses one. */
export const ASSURED_PER_SECOND = 1_000;
/** With fewer the share of what is not theirs, like waking up, would be too large to say what one costs. */
const MIN_REQUESTS = 200;

/** Clocks that only go on. */
export interface Times {
  readonly nowUs: number;
  /** CPU time of all threads of the worker. */
  readonly workerUs: number;
  /** Idle time of all processors of the machine. */
  readonly idleUs: number;
}

/** What happened since the last look; times in microseconds. */
export interface SpanUse extends Times {
  /** CPU time that spans took. */
  readonly spansUs: number;
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
  const shareUs = WORKER_SHARE * use.workerUs + IDLE_SHARE * use.idleUs;
  const requests = shareUs / Math.max(0.1, use.spansUs / use.requests);
  const affordable = Math.floor((requests * 1e6) / Math.max(1, use.nowUs));
  return Math.min(limit, Math.max(ASSURED_PER_SECOND, affordable));
}

/** The clocks of this process and its machine. */
export function readTimes(): Times {
  const { user, system } = process.cpuUsage();
  const idleSeconds = Number(readFileSync('/proc/uptime', 'latin1').split(' ')[1]); // proc_uptime(5), of all processors
  return { nowUs: performance.now() * 1e3, workerUs: user + system, idleUs: idleSeconds * 1e6 };
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
  readonly times: () => Times;
  /** Requests that became spans, ever. */
  readonly sampled: () => number;
  readonly limit: number;
  /** Puts another budget in force. */
  readonly apply: (perSecond: number) => void;
}

/** The budget of a worker that begins. */
export function createSpanBudget({ meter, times, sampled, limit, apply }: SpanBudgetOptions): SpanBudget {
  const read = () => ({ cpu: meter.read(), times: times(), sampled: sampled() });
  let perSecond = assuredPerSecond(limit);
  let last = read();
  let cpuSeconds = 0;
  return {
    look() {
      const before = last;
      last = read();
      const use: SpanUse = {
        nowUs: last.times.nowUs - before.times.nowUs,
        workerUs: last.times.workerUs - before.times.workerUs,
        idleUs: last.times.idleUs - before.times.idleUs,
        spansUs: spansCpuUs(before.cpu, last.cpu),
        requests: last.sampled - before.sampled,
      };
      cpuSeconds += use.spansUs / 1e6;
      const next = spansPerSecond(perSecond, use, limit);
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
