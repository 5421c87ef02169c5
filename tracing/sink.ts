// What the pipeline needs of a backend.

import type { Result } from '#common/result.ts';

export type BackendName = 'zipkin' | 'otlp-grpc' | 'otlp-http';

/** Why a batch did not arrive: no answer in time, no connection, or an answer that says no. */
export interface SinkFailure {
  readonly reason: 'timeout' | 'unreachable' | 'rejected';
  /** The same batch may be sent again. */
  readonly retryable: boolean;
  readonly detail: string;
}

/** Spans in the form that a sink sends, as many as its length. */
export interface Batch {
  readonly length: number;
}

/** A connection to a backend. One `send` at a time; it always settles within SEND_TIMEOUT_MS. */
export interface Sink<B extends Batch> {
  send(batch: B): Promise<Result<void, SinkFailure>>;
  close(): Promise<void>;
}

/** Longest time for one batch; a backend that needs longer is too slow, its spans are dropped and counted. */
export const SEND_TIMEOUT_MS = 5_000;
