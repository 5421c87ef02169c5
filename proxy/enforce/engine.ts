// What the parts of a data thread share.

import type { Counters } from '../counters.ts';
import type { RequestHead } from '../http1/request.ts';
import type { ResponseHead } from '../http1/response.ts';
import type { Limits } from '../limits.ts';
import type { Recorder } from '../records/recorder.ts';
import type { RuleBook } from '../rules/book.ts';
import type { Judgement } from '../rules/verdict.ts';
import type { ExchangePool } from './exchange.ts';
import type { SocketSource } from './origin.ts';
import type { Leg, Pair } from './pair.ts';

export interface Engine {
  readonly limits: Limits;
  readonly counters: Counters;
  readonly source: SocketSource;
  readonly book: RuleBook;
  readonly recorder: Recorder;
  readonly exchanges: ExchangePool;
  /** Descriptor of the epoll instance. */
  readonly epoll: number;
  /** Every leg with a socket, by descriptor. */
  readonly legs: (Leg | undefined)[];
  /** Every pair that is not closed. */
  readonly pairs: Pair[];
  /** Number of pairs by client address; see admission.ts. */
  readonly perSource: Map<string, number>;
  /** Legs with more to do than one turn allowed; `queued` says which. */
  readonly ready: Leg[];
  /** What every read goes to, unless the connection holds the beginning of it. */
  readonly buffer: Buffer;
  readonly bufferAddress: number;
  /** The bytes being dealt with, and where they are in memory. */
  bytes: Buffer;
  bytesAddress: number;
  /** Start of what in `bytes` is cleared to pass and not sent yet: one send serves as many messages as possible. */
  from: number;
  /** Heads under way: one at a time is enough for a thread. */
  readonly request: RequestHead;
  readonly response: ResponseHead;
  readonly judgement: Judgement;
  /** Bytes of all connections that wait in memory. */
  waitingBytes: number;
  generation: number;
  /** Seconds since the thread started, from 1. */
  tick: number;
  draining: boolean;
}

/** Has `leg` taken up again as soon as the events at hand are dealt with. */
export function requeue(engine: Engine, leg: Leg): void {
  if (leg.queued || leg.fd < 0) return;
  leg.queued = true;
  engine.ready.push(leg);
}

/** Stops pausing `leg` for `reason`, a PAUSE bit. */
export function resume(engine: Engine, leg: Leg, reason: number): void {
  if ((leg.paused & reason) === 0) return;
  leg.paused &= ~reason;
  if (leg.paused === 0 && (leg.readable || leg.input !== undefined)) requeue(engine, leg);
}
