// What happens by the clock: once a second every connection is looked at.

import { COUNT } from '../counters.ts';
import { destroy } from './close.ts';
import type { Engine } from './engine.ts';
import { isQuiet, PAIR, type Pair, RESPONSE } from './pair.ts';
import { refuseLate } from './requests.ts';
import { failUpstream } from './upstream.ts';

/** How long a client may take to close after it was told that the connection ends, seconds. */
const LINGER_S = 2;
/** How long a client may take none of its last answer, seconds. */
const CLOSING_S = 60;

/** Ends what has waited too long. A limit is kept to the second. */
export function sweep(engine: Engine): void {
  const { pairs, limits } = engine;
  const idle = Math.ceil(limits.idleTimeoutMs / 1000);
  const head = Math.ceil(limits.headTimeoutMs / 1000);
  const connect = Math.ceil(limits.connectTimeoutMs / 1000);
  // Backwards: a pair that ends is replaced by the last one, which has been looked at.
  for (let i = pairs.length - 1; i >= 0; i--) {
    const pair = pairs[i] as Pair;
    const quietFor = engine.tick - pair.activeTick;
    if (pair.state !== PAIR.open) {
      if (quietFor > (pair.state === PAIR.lingering ? LINGER_S : CLOSING_S)) destroy(engine, pair, { reset: true });
    } else if (!pair.connected && pair.up.fd >= 0 && engine.tick - pair.connectTick > connect) {
      engine.counters.add(COUNT['limit|connect timeout']);
      failUpstream(engine, pair, 'connection refused or timed out');
    } else if (pair.headTick !== 0 && engine.tick - pair.headTick > head) onLateHead(engine, pair);
    else if (quietFor > idle) onIdle(engine, pair);
    else if (engine.draining && isQuiet(pair)) destroy(engine, pair, { reset: false });
  }
}

function onLateHead(engine: Engine, pair: Pair): void {
  engine.counters.add(COUNT['limit|head timeout']);
  // A client that has asked for nothing might take an answer for one to its next request.
  if (pair.down.input === undefined) destroy(engine, pair, { reset: false });
  else refuseLate(engine, pair);
}

function onIdle(engine: Engine, pair: Pair): void {
  engine.counters.add(COUNT['limit|idle timeout']);
  if (pair.first !== undefined && pair.response === RESPONSE.head) failUpstream(engine, pair, 'no response in time');
  else destroy(engine, pair, { reset: pair.response === RESPONSE.body });
}
