// Numbers that the data thread counts and the main thread shows: doubles in shared memory, one writer.

/** Every counter, with the sentence that /metrics shows for it. Label values are part of the name, after "|". */
export const COUNTERS = [
  'requests|received',
  'requests|forwarded',
  'requests|audited',
  'requests|denied',
  'requests|refused',
  'requests|failed',
  'connections|accepted',
  'connections|closed',
  'connections|not steered',
  'connections|upstream',
  'limit|head size',
  'limit|fields',
  'limit|connections',
  'limit|connections of a source',
  'limit|head timeout',
  'limit|idle timeout',
  'limit|connect timeout',
  'limit|body of a denied request',
  'limit|interim responses',
  'limit|waiting bytes',
  'limit|rule bytes',
  'records|written',
  'records|dropped allowed',
  'records|dropped denied',
  'records|dropped no slot',
  'spans|over budget',
  'spans|no slot',
  'bytes|downstream received',
  'bytes|upstream received',
  'revisions|looked up',
  'upgrades|opened',
  'upgrades|stripped',
  'gauge|waiting bytes',
  'gauge|rule bytes',
  'gauge|connections',
] as const;

export type CounterName = (typeof COUNTERS)[number];

/** Upper bounds of the histogram of upstream reply times, seconds. */
export const REPLY_BUCKETS_S = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export interface Counters {
  /** Adds `by` (default 1). */
  add(index: number, by?: number): void;
  /** Sets a gauge. */
  set(index: number, value: number): void;
  /** Takes in one upstream reply time. */
  reply(seconds: number): void;
}

export interface CounterReader {
  get(name: CounterName): number;
  /** Not cumulative: one count for each bound, then those above; then the sum in seconds. */
  replies(): { readonly counts: readonly number[]; readonly sumSeconds: number };
}

/** Index of each counter. */
export const COUNT = Object.fromEntries(COUNTERS.map((name, i) => [name, i])) as Record<CounterName, number>;

const REPLY_AT = COUNTERS.length;
const SUM_AT = REPLY_AT + REPLY_BUCKETS_S.length + 1;

/** Shared memory for all counters. */
export function createCounterMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(8 * (SUM_AT + 1));
}

/** The writer's side. */
export function openCounters(memory: SharedArrayBuffer): Counters {
  const values = new Float64Array(memory);
  return {
    add(index, by = 1) {
      values[index] = (values[index] as number) + by;
    },
    set(index, value) {
      values[index] = value;
    },
    reply(seconds) {
      let bucket = 0;
      while (bucket < REPLY_BUCKETS_S.length && seconds > (REPLY_BUCKETS_S[bucket] as number)) bucket++;
      values[REPLY_AT + bucket] = (values[REPLY_AT + bucket] as number) + 1;
      values[SUM_AT] = (values[SUM_AT] as number) + seconds;
    },
  };
}

/** The reader's side. */
export function openCounterReader(memory: SharedArrayBuffer): CounterReader {
  const values = new Float64Array(memory);
  return {
    get: (name) => values[COUNT[name]] as number,
    replies: () => ({ counts: [...values.slice(REPLY_AT, SUM_AT)], sumSeconds: values[SUM_AT] as number }),
  };
}
