// How connections end: at once, or after the client got what waits for it.

import { close, int32, SO, SOL, setsockopt } from '#common/native/libc.ts';
import { RECORD_VERDICT } from '../records/reasons.ts';
import { leave } from './admission.ts';
import { type Engine, requeue } from './engine.ts';
import type { Exchange } from './exchange.ts';
import { finish } from './output.ts';
import { type Leg, PAIR, PAUSE, type Pair } from './pair.ts';

/** struct linger: on, for 0 seconds: close() then sends a reset. */
const RESET = Buffer.concat([int32(1), int32(0)]);

/** Closes both sockets at once. `reset`: the peers see a reset, never an end that could be taken for a complete message. */
export function destroy(engine: Engine, pair: Pair, { reset }: { readonly reset: boolean }): void {
  if (pair.state === PAIR.closed) return;
  pair.state = PAIR.closed;
  for (let exchange = pair.first; exchange !== undefined; ) {
    const next: Exchange | undefined = exchange.next;
    engine.recorder.end(exchange, LOST);
    engine.exchanges.give(exchange);
    exchange = next;
  }
  pair.first = pair.newest = undefined;
  pair.inFlight = 0;
  closeLeg(engine, pair.up, { reset });
  closeLeg(engine, pair.down, { reset });
  leave(engine, pair);
}

/** The record of an exchange whose connection was cut. */
export const LOST = { verdict: RECORD_VERDICT.error, status: 0, reason: 'connection lost' } as const;

/**
 * Ends the connection: the server's side now, the client's after what waits for it. `linger`: the client may still be
 * sending; its bytes are thrown away until it closes too, or a reset would destroy the answer on its way.
 */
export function endAfterOutput(engine: Engine, pair: Pair, { linger }: { readonly linger: boolean }): void {
  if (pair.state !== PAIR.open) return;
  pair.state = PAIR.closing;
  pair.linger = linger;
  pair.down.paused |= PAUSE.done;
  closeLeg(engine, pair.up, { reset: false });
  if (pair.down.output === undefined) finishDown(engine, pair);
}

/** The client has got everything: sends the end, and closes unless the pair lingers. */
export function finishDown(engine: Engine, pair: Pair): void {
  const { down } = pair;
  if (!pair.linger || down.ended || down.finished) {
    destroy(engine, pair, { reset: false });
    return;
  }
  pair.state = PAIR.lingering;
  pair.activeTick = engine.tick;
  finish(down);
  releaseInput(engine, down);
  down.paused = 0;
  if (down.readable) requeue(engine, down);
}

/** Closes one socket and forgets what waits on it. */
export function closeLeg(engine: Engine, leg: Leg, { reset }: { readonly reset: boolean }): void {
  releaseInput(engine, leg);
  if (leg.output !== undefined) {
    engine.waitingBytes -= leg.output.length;
    leg.output = undefined;
  }
  if (leg.fd < 0) return;
  if (reset) setsockopt(leg.fd, SOL.SOCKET, SO.LINGER, RESET, RESET.length);
  engine.legs[leg.fd] = undefined;
  close(leg.fd);
  leg.fd = -1;
  leg.finished = true;
}

/** Gives up received bytes that were not dealt with. */
export function releaseInput(engine: Engine, leg: Leg): void {
  if (leg.input === undefined) return;
  engine.waitingBytes -= leg.input.length;
  leg.input = undefined;
  leg.partial = false;
}
