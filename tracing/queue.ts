// What waits for a backend: a bounded queue in the form that its sink sends.

import { createRing } from './ring.ts';
import type { Batch } from './sink.ts';
import type { SpanRecord } from './span.ts';
import { createZipkinBody, type ZipkinBody } from './zipkin.ts';

export interface SpanQueue<B extends Batch> {
  /** Spans that wait. */
  readonly size: number;
  readonly limit: number;
  /** False: full, nothing was taken. */
  push(span: SpanRecord): boolean;
  /** Removes the oldest spans, as many as a batch holds; undefined: there are none. */
  take(): B | undefined;
  /** The batch has arrived; what it was made of may be used again. */
  release(batch: B): void;
}

export interface QueueOptions {
  /** Spans. */
  readonly limit: number;
  readonly batchSize: number;
}

/** A queue of records, for a library that encodes them. */
export function createRecordQueue({ limit, batchSize }: QueueOptions): SpanQueue<readonly SpanRecord[]> {
  const ring = createRing<SpanRecord>(limit);
  return {
    get size() {
      return ring.size;
    },
    limit,
    push: ring.push,
    take: () => (ring.size > 0 ? ring.take(batchSize) : undefined),
    release() {},
  };
}

/** Most bytes that wait, and room of a body to begin with. */
const MAX_WAITING_BYTES = 16 * 2 ** 20;
const ROOM_BYTES = 64 * 1024;
/** Larger bodies are not kept: 512 spans that are four times as large as usual. */
const MAX_KEPT_BYTES = 2 * 2 ** 20;

/**
 * A queue of bodies that are written as the spans come. A record that waited would be moved by the garbage collector, in the
 * same processor's time; bytes are not, and those of a body are used again, so that they stay in its cache.
 */
export function createZipkinQueue({ limit, batchSize }: QueueOptions): SpanQueue<ZipkinBody> {
  const waiting: ZipkinBody[] = []; // all full but the last
  const free: ZipkinBody[] = [];
  let size = 0;
  let fullBytes = 0; // of all but the last
  const open = (): ZipkinBody => {
    const last = waiting.at(-1);
    if (last !== undefined && last.length < batchSize) return last;
    if (last !== undefined) fullBytes += last.sizeBytes;
    // A server may answer before it has read everything, but it cannot answer the request after that: with two that have
    // arrived nothing of the first is on its way any more.
    const next = free.length > 1 ? (free.shift() as ZipkinBody) : createZipkinBody(ROOM_BYTES);
    next.clear();
    waiting.push(next);
    return next;
  };
  return {
    get size() {
      return size;
    },
    limit,
    push(span) {
      if (size === limit || fullBytes + (waiting.at(-1)?.sizeBytes ?? 0) >= MAX_WAITING_BYTES) return false;
      open().add(span);
      size++;
      return true;
    },
    take() {
      const oldest = waiting.shift();
      if (oldest === undefined) return undefined;
      size -= oldest.length;
      if (waiting.length > 0) fullBytes -= oldest.sizeBytes;
      return oldest;
    },
    release(body) {
      if (free.length < 2 && body.roomBytes <= MAX_KEPT_BYTES) free.push(body);
    },
  };
}
