// The main thread's hold on the data thread.

import { Worker } from 'node:worker_threads';
import { EVENTFD, eventfd, write } from '#common/native/libc.ts';
import { type CounterReader, createCounterMemory, openCounterReader } from './counters.ts';
import type { Limits } from './limits.ts';
import type { DataThreadOptions, Order, Report, SourceOrder } from './orders.ts';
import { createSlabMemory, openSlabReader, type SlabReader } from './records/slab.ts';

export interface DataThread {
  readonly counters: CounterReader;
  readonly slab: SlabReader;
  /** Gives an order; it is taken up at once. */
  send(order: Order): void;
  /** Has a 'records' report sent when the next record is written. Records may be there already: read once more after it. */
  armBell(): void;
  /** Resolves with the exit code when the thread has ended. Rejects if it failed. */
  readonly ended: Promise<number>;
}

export interface DataThreadStart {
  readonly source: SourceOrder;
  readonly limits: Limits;
  readonly samplingRatio: number | undefined;
  onReport(report: Report): void;
}

/** Young generation of the data thread, MiB: it makes little garbage, and a small one stays in the processor's cache. */
const YOUNG_GENERATION_MB = 4;
/** Without rules. They come on top twice: while a change is compiled, those before it are there too. */
const OLD_GENERATION_MB = 256;

const SCRIPT = new URL('./data-thread.ts', import.meta.url);

/** Loads the data thread's modules in a thread that ends at once. */
export function warmDataThread(): void {
  new Worker(SCRIPT, { workerData: undefined });
}

/** Starts the data thread. It takes no connection before the first rules. */
export function startDataThread(start: DataThreadStart): DataThread {
  const wake = eventfd(0, EVENTFD.NONBLOCK | EVENTFD.CLOEXEC);
  const counters = createCounterMemory();
  const slab = createSlabMemory();
  const bell = new SharedArrayBuffer(4);
  const workerData: DataThreadOptions = {
    source: start.source,
    limits: start.limits,
    counters,
    slab,
    bell,
    wake,
    samplingRatio: start.samplingRatio,
  };
  const worker = new Worker(SCRIPT, {
    workerData,
    name: 'data',
    resourceLimits: {
      maxYoungGenerationSizeMb: YOUNG_GENERATION_MB,
      maxOldGenerationSizeMb: OLD_GENERATION_MB + Math.ceil((2 * start.limits.maxRuleBytes) / 2 ** 20),
    },
  });
  worker.on('message', start.onReport);
  const one = Buffer.alloc(8);
  one.writeBigUInt64LE(1n);
  const bellWord = new Int32Array(bell);
  return {
    counters: openCounterReader(counters),
    slab: openSlabReader(slab),
    send(order) {
      worker.postMessage(order);
      write(wake, one, one.length);
    },
    armBell: () => void Atomics.store(bellWord, 0, 1),
    ended: new Promise((resolve, reject) => {
      worker.once('exit', resolve);
      worker.once('error', reject);
    }),
  };
}
