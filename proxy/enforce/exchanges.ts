// The queue of exchanges of a pair: responses leave in the order of the requests, also those the proxy gives itself.

import type { RequestHead } from '../http1/request.ts';
import type { Reason } from '../records/reasons.ts';
import { endAfterOutput } from './close.ts';
import { type Engine, resume } from './engine.ts';
import type { Exchange } from './exchange.ts';
import { sendOwn } from './output.ts';
import { PAUSE, type Pair } from './pair.ts';

export interface Opening {
  /** undefined: the request was never understood. */
  readonly head: RequestHead | undefined;
  readonly verdict: number; // RECORD_VERDICT
  readonly reason: Reason;
  readonly status: number; // of `answer`
  /** The proxy's own answer; undefined: the request goes to the server. */
  readonly answer: Buffer | undefined;
  /** The connection ends after the response. */
  readonly last: boolean;
}

/** Adds an exchange at the end of the queue. */
export function openExchange(engine: Engine, pair: Pair, opening: Opening): Exchange {
  const { head, verdict, answer } = opening;
  const { egressPolicies, ingressPolicies } = engine.judgement;
  const exchange = engine.exchanges.take();
  exchange.method = head?.method ?? 0;
  exchange.answer = answer;
  exchange.last = opening.last;
  exchange.upgrade = '';
  exchange.expecting = false;
  exchange.startedMs = performance.now();
  exchange.requestBytes = 0;
  exchange.responseBytes = 0;
  exchange.slot = engine.recorder.begin({
    origin: pair.origin,
    head,
    verdict,
    egressPolicies,
    ingressPolicies,
    nowMs: exchange.startedMs,
  });
  if (pair.newest === undefined) pair.first = exchange;
  else pair.newest.next = exchange;
  pair.newest = exchange;
  pair.inFlight++;
  if (answer !== undefined) {
    exchange.responseBytes = answer.length;
    engine.recorder.end(exchange, { verdict, status: opening.status, reason: opening.reason });
  }
  return exchange;
}

/** Sends the proxy's own answers that are next in order. */
export function sendAnswers(engine: Engine, pair: Pair): void {
  for (let first = pair.first; first?.answer !== undefined; first = pair.first) {
    sendOwn(engine, pair.down, first.answer);
    const { last } = first;
    removeFirst(engine, pair);
    if (last) {
      endAfterOutput(engine, pair, { linger: true });
      return;
    }
  }
}

/** Removes the exchange whose response is complete. */
export function removeFirst(engine: Engine, pair: Pair): void {
  const first = pair.first as Exchange;
  pair.first = first.next;
  if (pair.first === undefined) pair.newest = undefined;
  pair.inFlight--;
  engine.exchanges.give(first);
  if (pair.inFlight < engine.limits.maxPipelined) resume(engine, pair.down, PAUSE.pipelined);
}

/** The record of a response that went through. */
export const FORWARDED = { verdict: 0, status: 0, reason: '' } as const;
