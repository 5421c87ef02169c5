// The server's bytes: framed strictly, so that the proxy's own answers can stand between them, and passed as they came.

import { COUNT } from '../counters.ts';
import { beginBody, readBody } from '../http1/body.ts';
import { METHOD } from '../http1/methods.ts';
import { SCAN } from '../http1/request.ts';
import { ENDS, scanResponse } from '../http1/response.ts';
import { answersUpgrade } from '../http1/upgrade.ts';
import { destroy, endAfterOutput } from './close.ts';
import { type Engine, resume } from './engine.ts';
import type { Exchange } from './exchange.ts';
import { FORWARDED, removeFirst, sendAnswers } from './exchanges.ts';
import { finish, forward } from './output.ts';
import { PAIR, PAUSE, type Pair, REQUEST, RESPONSE } from './pair.ts';
import { failUpstream } from './upstream.ts';

/** Deals with `engine.bytes[start..end)` from the server. Returns up to where; the rest must come again with more. */
export function consumeResponses(engine: Engine, pair: Pair, start: number, end: number): number {
  engine.from = start;
  let at = start;
  while (at < end && pair.state === PAIR.open && !pair.broken) {
    switch (pair.response) {
      case RESPONSE.head: {
        if (pair.first === undefined) return onUnasked(engine, pair, at, end);
        const next = onHead(engine, pair, { first: pair.first, at, end });
        if (next < 0) return -1 - next;
        at = next;
        break;
      }
      case RESPONSE.body:
        at = onBody(engine, pair, at, end);
        break;
      default: // RESPONSE.tunnel, RESPONSE.drain
        at = end;
    }
  }
  if (pair.state === PAIR.open && !pair.broken) passCleared(engine, pair, at);
  return at;
}

/** Sends what is cleared up to `at` to the client. */
function passCleared(engine: Engine, pair: Pair, at: number): void {
  forward(engine, pair.down, engine.from, at);
  engine.from = at;
}

/** Bytes that answer no request: they go nowhere, and the connection ends (RFC 9112 section 9.2). */
function onUnasked(engine: Engine, pair: Pair, at: number, end: number): number {
  passCleared(engine, pair, at);
  pair.verbatim = false;
  endAfterOutput(engine, pair, { linger: isSending(pair) });
  return end;
}

/** May the client have sent bytes, or be sending some, that nobody will read? */
function isSending(pair: Pair): boolean {
  return pair.requestBody.ends !== ENDS.none || pair.down.readable || pair.down.input !== undefined;
}

interface At {
  readonly first: Exchange;
  readonly at: number;
  readonly end: number;
}

/** Returns the offset after the head, or -1 - offset to leave the rest for later. */
function onHead(engine: Engine, pair: Pair, { first, at, end }: At): number {
  const head = engine.response;
  const { maxHeadBytes, maxInterim } = engine.limits;
  const outcome = scanResponse(head, first.method, { buffer: engine.bytes, start: at, end });
  if (outcome !== SCAN.refused && head.start !== at) {
    passCleared(engine, pair, at);
    engine.from = head.start;
    pair.verbatim = false;
    if (head.start === end) return end;
  }
  const tooLarge = (outcome === SCAN.incomplete ? end : head.end) - head.start > maxHeadBytes;
  if (outcome === SCAN.refused || tooLarge) {
    if (tooLarge) engine.counters.add(COUNT['limit|head size']);
    return fail(engine, pair, { at, end, reason: 'malformed response' });
  }
  if (outcome === SCAN.incomplete) {
    pair.up.partial = true;
    passCleared(engine, pair, head.start);
    return -1 - head.start;
  }
  first.responseBytes += head.end - head.start;
  if (head.status < 200 && head.status !== 101) {
    if (head.status === 100) first.expecting = false;
    if (++pair.interim <= maxInterim) return head.end;
    engine.counters.add(COUNT['limit|interim responses']);
    return fail(engine, pair, { at, end, reason: 'too many interim responses' });
  }
  onFinal(engine, pair, first);
  return head.end;
}

function fail(
  engine: Engine,
  pair: Pair,
  options: {
    readonly at: number;
    readonly end: number;
    readonly reason: 'malformed response' | 'too many interim responses';
  },
): number {
  passCleared(engine, pair, options.at);
  if (pair.state === PAIR.open && !pair.broken) failUpstream(engine, pair, options.reason);
  return -1 - options.end;
}

/** The head of the response proper. */
function onFinal(engine: Engine, pair: Pair, first: Exchange): void {
  const head = engine.response;
  const latencyMs = performance.now() - first.startedMs;
  engine.counters.reply(latencyMs / 1000);
  engine.recorder.answered(first, head.status, latencyMs);
  pair.answered = true;
  pair.interim = 0;
  // Without a 100 the server may take what comes next for the body or for a new request (RFC 9110 section 10.1.1): what the
  // client sends from here on goes nowhere.
  const bodyless = first.expecting && pair.newest === first && pair.request === REQUEST.body;
  if (bodyless) pair.request = REQUEST.ignored;
  pair.lastResponse = head.last || first.last || bodyless;
  if (head.status === 101) {
    onSwitch(engine, pair, first);
    return;
  }
  if (first.method === METHOD.connect && head.status < 300 && !bodyless) {
    openTunnel(engine, pair, first);
    return;
  }
  if (first.upgrade !== '' || first.method === METHOD.connect) goOnAfterRefusal(engine, pair);
  if (head.ends === ENDS.none) {
    completeAt(engine, pair, head.end);
    return;
  }
  beginBody(pair.responseBody, head.ends, head.bodyLength);
  if (pair.responseBody.ends === ENDS.none) completeAt(engine, pair, head.end);
  else pair.response = RESPONSE.body;
}

/** 101: a tunnel if the request asked for what the server switches to. Else nothing of the client's passes any more. */
function onSwitch(engine: Engine, pair: Pair, first: Exchange): void {
  if (
    pair.request !== REQUEST.ignored &&
    first.upgrade !== '' &&
    answersUpgrade(first.upgrade, engine.response.header('upgrade'))
  ) {
    openTunnel(engine, pair, first);
    return;
  }
  pair.response = RESPONSE.drain;
  pair.request = REQUEST.ignored;
  resume(engine, pair.down, PAUSE.undecided);
}

function openTunnel(engine: Engine, pair: Pair, first: Exchange): void {
  engine.counters.add(COUNT['upgrades|opened']);
  engine.recorder.end(first, FORWARDED);
  removeFirst(engine, pair);
  pair.response = RESPONSE.tunnel;
  decide(engine, pair, REQUEST.tunnel);
}

/** The server did not switch: what the client sent after the request are requests like any. */
function goOnAfterRefusal(engine: Engine, pair: Pair): void {
  decide(engine, pair, pair.lastResponse ? REQUEST.ignored : REQUEST.head);
}

function decide(engine: Engine, pair: Pair, request: number): void {
  if (pair.request === REQUEST.undecided) pair.request = request;
  else pair.requestAfter = request;
  if (pair.down.ended) finish(pair.up);
  resume(engine, pair.down, PAUSE.undecided);
}

function onBody(engine: Engine, pair: Pair, at: number, end: number): number {
  const body = pair.responseBody;
  const first = pair.first as Exchange; // a body is read for the first exchange only
  const next = readBody(body, { buffer: engine.bytes, start: at, end });
  first.responseBytes += next - at;
  if (body.ends === ENDS.none) {
    completeAt(engine, pair, next);
    return pair.state === PAIR.open ? next : end;
  }
  if (next < end) {
    // A broken chunk: the client must see that the response is not whole.
    passCleared(engine, pair, next);
    destroy(engine, pair, { reset: true });
    return end;
  }
  return next;
}

/** The response to the first request ends at `at`. */
function completeAt(engine: Engine, pair: Pair, at: number): void {
  engine.recorder.end(pair.first as Exchange, FORWARDED);
  removeFirst(engine, pair);
  pair.response = RESPONSE.head;
  const idle = pair.first === undefined && pair.request === REQUEST.head;
  if (pair.lastResponse || (idle && (pair.down.ended || engine.draining))) {
    passCleared(engine, pair, at);
    endAfterOutput(engine, pair, { linger: engine.draining || isSending(pair) });
  } else if (pair.first?.answer !== undefined) {
    passCleared(engine, pair, at);
    sendAnswers(engine, pair);
  }
}
