// Taking over a connection that already lives: both sockets are connected, and what was read from them comes along.

import { close, int32, SO, SOL, setsockopt } from '#common/native/libc.ts';
import { COUNT } from '../counters.ts';
import { enter, hasRoom, hasRoomFor } from './admission.ts';
import { type Engine, requeue } from './engine.ts';
import { holdInput } from './input.ts';
import type { Origin } from './origin.ts';
import { createPair, type Leg } from './pair.ts';
import { register } from './upstream.ts';

/** A connection between two messages. Its sockets are connected and non-blocking, and belong to whoever takes it over. */
export interface LivePair {
  readonly origin: Origin;
  /** Descriptors of the client's and the server's socket. */
  readonly down: number;
  readonly up: number;
  /** What was read from each and passed on to nobody: the beginning of the next message, or nothing. */
  readonly fromClient: Uint8Array;
  readonly fromServer: Uint8Array;
}

const RESET = Buffer.concat([int32(1), int32(0)]); // struct linger

/** Enforces on `live` from its next request on. False: there is no room for it, and both sockets were reset. */
export function adopt(engine: Engine, live: LivePair): boolean {
  if (engine.draining || !hasRoom(engine) || !hasRoomFor(engine, live.origin)) {
    for (const fd of [live.down, live.up]) {
      setsockopt(fd, SOL.SOCKET, SO.LINGER, RESET, RESET.length);
      close(fd);
    }
    return false;
  }
  const pair = createPair(live.origin, live.down, engine.tick);
  pair.up.fd = live.up;
  pair.connected = true;
  enter(engine, pair);
  engine.counters.add(COUNT['connections|upstream']);
  // The server's first: what it sent before any request was judged answers none of them.
  for (const [leg, bytes] of [
    [pair.up, live.fromServer],
    [pair.down, live.fromClient],
  ] as const) {
    take(engine, leg, bytes);
  }
  return true;
}

function take(engine: Engine, leg: Leg, bytes: Uint8Array): void {
  if (leg.fd < 0) return; // the pair is gone: no memory for the other leg's bytes
  register(engine, leg);
  if (bytes.length > 0) holdInput(engine, leg, bytes);
  leg.readable = true;
  requeue(engine, leg);
}
