// What the end, or the failure, of one leg means for the other.

import { ENDS } from '../http1/response.ts';
import { RECORD_VERDICT } from '../records/reasons.ts';
import { destroy, endAfterOutput, LOST } from './close.ts';
import type { Engine } from './engine.ts';
import type { Exchange } from './exchange.ts';
import { FORWARDED } from './exchanges.ts';
import { finish } from './output.ts';
import { PAIR, type Pair, REQUEST, RESPONSE } from './pair.ts';
import { failUpstream } from './upstream.ts';

/** The client has sent its end. */
export function onClientEnd(engine: Engine, pair: Pair): void {
  pair.down.ended = true;
  if (pair.state !== PAIR.open) {
    if (pair.state === PAIR.lingering) destroy(engine, pair, { reset: false });
    return;
  }
  switch (pair.request) {
    case REQUEST.tunnel:
      finish(pair.up);
      if (pair.up.ended) endAfterOutput(engine, pair, { linger: false });
      return;
    case REQUEST.body:
      // The request will never be whole: the server must not take it for that.
      destroy(engine, pair, { reset: true });
      return;
    default:
      if (pair.inFlight === 0) endAfterOutput(engine, pair, { linger: false });
      // Responses may still come: the server learns that no further request will.
      else if (pair.up.fd >= 0) finish(pair.up);
  }
}

/** The server has sent its end. */
export function onServerEnd(engine: Engine, pair: Pair): void {
  pair.up.ended = true;
  if (pair.state !== PAIR.open) return;
  const { first } = pair;
  switch (pair.response) {
    case RESPONSE.tunnel:
      finish(pair.down);
      if (pair.down.ended) endAfterOutput(engine, pair, { linger: false });
      return;
    case RESPONSE.body:
      if (pair.responseBody.ends === ENDS.close) endWhole(engine, pair, first as Exchange);
      else {
        // Not whole: the client sees what the proxy saw, the end before its time.
        engine.recorder.end(first as Exchange, LOST);
        endAfterOutput(engine, pair, { linger: true });
      }
      return;
    case RESPONSE.drain:
      endWhole(engine, pair, first as Exchange);
      return;
    default:
      if (first === undefined) endAfterOutput(engine, pair, { linger: pair.down.readable });
      else onNoResponse(engine, pair, first);
  }
}

/** A response that ends with the connection is whole. */
function endWhole(engine: Engine, pair: Pair, first: Exchange): void {
  engine.recorder.end(first, FORWARDED);
  endAfterOutput(engine, pair, { linger: pair.requestBody.ends !== ENDS.none || pair.down.readable });
}

function onNoResponse(engine: Engine, pair: Pair, first: Exchange): void {
  if (!pair.connected) {
    failUpstream(engine, pair, 'connection refused or timed out');
    return;
  }
  if (!pair.answered || pair.up.input !== undefined) {
    failUpstream(engine, pair, 'connection closed before the response');
    return;
  }
  // A server may close a connection that it has served while the next request is on its way. Clients know that, and try
  // again where they see the connection closed; a 502 would take that from them.
  const reason = 'connection closed before the response';
  engine.recorder.end(first, { verdict: RECORD_VERDICT.error, status: 0, reason });
  endAfterOutput(engine, pair, { linger: true });
}

/** Reading from the client failed: it is gone. */
export function onClientError(engine: Engine, pair: Pair): void {
  destroy(engine, pair, { reset: true });
}

/** Reading from the server failed. */
export function onServerError(engine: Engine, pair: Pair): void {
  if (pair.state !== PAIR.open) return;
  if (!pair.connected) failUpstream(engine, pair, 'connection refused or timed out');
  else if (pair.answered) destroy(engine, pair, { reset: true });
  else failUpstream(engine, pair, 'connection closed before the response');
}
