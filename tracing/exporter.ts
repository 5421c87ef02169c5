// One backend's bounded queue and the loop that empties it in batches.

import { setTimeout as sleep } from 'node:timers/promises';
import { err, type Result } from '#common/result.ts';
import type { CpuMeter } from './meter.ts';
import type { SpanQueue } from './queue.ts';
import type { BackendName, Batch, Sink, SinkFailure } from './sink.ts';
import type { SpanRecord } from './span.ts';

/** Why a span did not reach a backend. */
export type SpanDropReason = 'queue_full' | 'shutdown' | SinkFailure['reason'];

export interface BackendStats {
  readonly backend: BackendName;
  readonly exported: number;
  readonly dropped: Readonly<Record<SpanDropReason, number>>;
  /** Spans waiting now, and the most that may wait. */
  readonly queue: number;
  readonly queueLimit: number;
  /** What went wrong last; undefined while nothing did. */
  readonly lastError: string | undefined;
}

export interface ExporterOptions<B extends Batch> {
  readonly backend: BackendName;
  /** Connects; called once, when there is something to send. */
  readonly open: () => Promise<Sink<B>>;
  readonly queue: SpanQueue<B>;
  readonly batchSize: number;
  /** Counts what sending takes. */
  readonly meter: CpuMeter;
  /** Longest time a span waits for its batch to fill. */
  readonly intervalMs: number;
}

export interface Exporter {
  /** Takes a span or counts it as dropped; returns at once. */
  record(span: SpanRecord): void;
  stats(): BackendStats;
  /** Sends what waits for at most `timeoutMs`, counts the rest as dropped. */
  close(timeoutMs: number): Promise<void>;
}

/** Attempts for one batch, the first included; between them 0.25 s and 0.5 s, each with up to half as much again. */
const ATTEMPTS = 3;
const BACKOFF_MS = 250;

/** The queue and loop of one backend. */
export function createExporter<B extends Batch>(options: ExporterOptions<B>): Exporter {
  const { backend, queue, batchSize, intervalMs } = options;
  const closing = new AbortController();
  const delivery = createDelivery(options, closing.signal);
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;

  async function run(least: number): Promise<void> {
    while (queue.size >= least) {
      const batch = queue.take();
      if (batch !== undefined) await delivery.deliver(batch);
    }
  }

  /** Sends everything, or full batches only. */
  function start(what: 'all' | 'full batches'): void {
    clearTimeout(timer);
    timer = undefined;
    running ??= run(what === 'all' ? 1 : batchSize).finally(() => {
      running = undefined;
      wake();
    });
  }

  function wake(): void {
    if (running || closing.signal.aborted) return;
    if (queue.size >= batchSize) start('full batches');
    else if (queue.size > 0) timer ??= setTimeout(start, intervalMs, 'all').unref();
  }

  return {
    record(span) {
      if (closing.signal.aborted) delivery.dropped.shutdown++;
      else if (!queue.push(span)) delivery.dropped.queue_full++;
      // Sending is not for this call, nor is waking for each span.
      else if (queue.size === 1 || queue.size === batchSize) setImmediate(wake);
    },
    stats: () => ({
      backend,
      exported: delivery.exported,
      dropped: { ...delivery.dropped },
      queue: queue.size,
      queueLimit: queue.limit,
      lastError: delivery.lastError,
    }),
    async close(timeoutMs) {
      clearTimeout(timer);
      closing.abort();
      const late = new AbortController();
      const rest = (async () => {
        await running;
        await run(1);
      })();
      await Promise.race([rest, sleep(timeoutMs, undefined, { signal: late.signal }).catch(() => {})]);
      late.abort();
      delivery.dropped.shutdown += discard(queue);
      await delivery.close();
    },
  };
}

/** Throws away what waits, and says how many spans that were. */
function discard(queue: SpanQueue<Batch>): number {
  const { size } = queue;
  while (queue.take() !== undefined);
  return size;
}

interface Delivery<B extends Batch> {
  /** Sends a batch, again if that may help, and counts its fate. Never rejects. */
  deliver(batch: B): Promise<void>;
  close(): Promise<void>;
  readonly exported: number;
  readonly dropped: Record<SpanDropReason, number>;
  readonly lastError: string | undefined;
}

function createDelivery<B extends Batch>(
  { open, queue, meter }: ExporterOptions<B>,
  closing: AbortSignal,
): Delivery<B> {
  const dropped = { queue_full: 0, shutdown: 0, timeout: 0, unreachable: 0, rejected: 0 };
  let sink: Sink<B> | undefined;
  let exported = 0;
  let lastError: string | undefined;

  async function send(batch: B): Promise<Result<void, SinkFailure>> {
    try {
      sink ??= await open();
      meter.begin();
      try {
        return await sink.send(batch);
      } finally {
        meter.end();
      }
    } catch (cause) {
      // A defect of an exporter library must not end a process that serves requests.
      return err({ reason: 'rejected', retryable: false, detail: `Cannot send spans: ${(cause as Error).message}` });
    }
  }

  return {
    async deliver(batch) {
      for (let attempt = 1; ; attempt++) {
        const sent = await send(batch);
        if (sent.ok) {
          exported += batch.length;
          queue.release(batch);
          return;
        }
        lastError = sent.error.detail;
        if (!sent.error.retryable || attempt === ATTEMPTS || closing.aborted) {
          dropped[sent.error.reason] += batch.length;
          return;
        }
        const pauseMs = BACKOFF_MS * 2 ** (attempt - 1) * (1 + Math.random() / 2);
        await sleep(pauseMs, undefined, { ref: false, signal: closing }).catch(() => {}); // closing: try at once
      }
    },
    close: async () => sink?.close(),
    get exported() {
      return exported;
    },
    dropped,
    get lastError() {
      return lastError;
    },
  };
}
