// The server's leg: opened at the first request that may pass, and what the client is told when it fails.

import { EPOLL, EPOLL_EVENT, epollCtl } from '#common/native/libc.ts';
import { COUNT } from '../counters.ts';
import { failure, failureStatus, type UpstreamFailure } from '../http1/refusal.ts';
import { RECORD_VERDICT } from '../records/reasons.ts';
import { closeLeg, destroy, endAfterOutput } from './close.ts';
import type { Engine } from './engine.ts';
import { forward, sendOwn } from './output.ts';
import { type Leg, type Pair, RESPONSE } from './pair.ts';

const event = new Uint8Array(EPOLL_EVENT.size);
const eventView = new DataView(event.buffer);
/** Edge-triggered: each change is told once, and never has to be switched off and on again. */
const EVENTS = (EPOLL.IN | EPOLL.OUT | EPOLL.RDHUP | EPOLL.ET) >>> 0;

/** Has epoll tell of everything that happens to `leg`. */
export function register(engine: Engine, leg: Leg): void {
  engine.generation = (engine.generation + 1) | 0;
  leg.generation = engine.generation;
  engine.legs[leg.fd] = leg;
  eventView.setUint32(0, EVENTS, true);
  eventView.setInt32(EPOLL_EVENT.data, leg.fd, true);
  eventView.setInt32(EPOLL_EVENT.data + 4, leg.generation, true);
  if (epollCtl(engine.epoll, EPOLL.ADD, leg.fd, event) < 0) throw new Error('Cannot watch socket: epoll refused it');
}

/** Sends what is cleared up to `at` to the server; connects to it first where that has not been done. */
export function forwardCleared(engine: Engine, pair: Pair, at: number): void {
  const { from } = engine;
  engine.from = at;
  if (from === at || !ensureUpstream(engine, pair)) return;
  forward(engine, pair.up, from, at);
}

/** Like forwardCleared, for bytes of the proxy's own in place of the client's. */
export function forwardOwn(engine: Engine, pair: Pair, bytes: Buffer): void {
  if (ensureUpstream(engine, pair)) sendOwn(engine, pair.up, bytes);
}

function ensureUpstream(engine: Engine, pair: Pair): boolean {
  if (pair.up.fd >= 0) return true;
  const fd = engine.source.connect(pair.origin);
  if (fd < 0) {
    failUpstream(engine, pair, 'connection refused or timed out');
    return false;
  }
  pair.up.fd = fd;
  pair.connectTick = engine.tick;
  engine.counters.add(COUNT['connections|upstream']);
  register(engine, pair.up);
  return true;
}

/** Ends a connection whose server failed: with an answer where the client can still take one, else with a reset. */
export function failUpstream(engine: Engine, pair: Pair, reason: UpstreamFailure): void {
  const { first } = pair;
  closeLeg(engine, pair.up, { reset: true });
  if (first === undefined || pair.response !== RESPONSE.head) {
    destroy(engine, pair, { reset: true });
    return;
  }
  engine.counters.add(COUNT['requests|failed']);
  const answer = failure(reason);
  first.responseBytes += answer.length;
  engine.recorder.end(first, { verdict: RECORD_VERDICT.error, status: failureStatus(reason), reason });
  sendOwn(engine, pair.down, answer);
  endAfterOutput(engine, pair, { linger: true });
}
