// The client's bytes: heads are judged, what is allowed goes on as it came, what is not is answered here.

import { COUNT } from '../counters.ts';
import { beginBody, readBody } from '../http1/body.ts';
import { METHOD } from '../http1/methods.ts';
import { denial, failure, failureStatus, type Refusal } from '../http1/refusal.ts';
import { SCAN, scanRequest } from '../http1/request.ts';
import { ENDS } from '../http1/response.ts';
import { requestedProtocols, UPGRADE, withoutUpgrade } from '../http1/upgrade.ts';
import { RECORD_VERDICT } from '../records/reasons.ts';
import { VERDICT } from '../rules/verdict.ts';
import { closeLeg, destroy, endAfterOutput } from './close.ts';
import type { Engine } from './engine.ts';
import { openExchange, sendAnswers } from './exchanges.ts';
import { CUT, judgeRequest } from './judge.ts';
import { finish, sendOwn } from './output.ts';
import { PAIR, PAUSE, type Pair, REQUEST, RESPONSE } from './pair.ts';
import { forwardCleared, forwardOwn } from './upstream.ts';

/**
 * Deals with `engine.bytes[start..end)` from the client. Returns up to where. The rest must come again: with more bytes
 * if it is the beginning of a head (pair.down.partial), else once the leg is no longer paused.
 */
export function consumeRequests(engine: Engine, pair: Pair, start: number, end: number): number {
  engine.from = start;
  let at = start;
  while (at < end && pair.state === PAIR.open && !pair.broken) {
    switch (pair.request) {
      case REQUEST.head: {
        // Also in the middle of what one read brought: the rest is judged when its turn comes, by the policy of then.
        if (pair.inFlight >= engine.limits.maxPipelined) pair.down.paused |= PAUSE.pipelined;
        if (pair.down.output !== undefined) pair.down.paused |= PAUSE.answers;
        if (pair.down.paused !== 0) return stop(engine, pair, at);
        const next = onHead(engine, pair, at, end);
        if (next < 0) return -1 - next;
        at = next;
        break;
      }
      case REQUEST.body:
        at = onBody(engine, pair, at, end);
        break;
      case REQUEST.discard:
        at = engine.from = onDiscard(engine, pair, at, end);
        break;
      case REQUEST.tunnel:
        at = end;
        break;
      case REQUEST.undecided:
        pair.down.paused |= PAUSE.undecided;
        stop(engine, pair, at);
        if (pair.down.hungUp) finish(pair.up);
        return at;
      default: // REQUEST.ignored: read all the same, so that the client's end is seen
        stop(engine, pair, at);
        return end;
    }
  }
  if (pair.state === PAIR.open && !pair.broken) forwardCleared(engine, pair, at);
  return at;
}

function stop(engine: Engine, pair: Pair, at: number): number {
  forwardCleared(engine, pair, at);
  return at;
}

/** Returns the offset after the head, or -1 - offset to leave the rest for later. */
function onHead(engine: Engine, pair: Pair, at: number, end: number): number {
  const head = engine.request;
  const outcome = scanRequest(head, engine.bytes, at, end);
  if (outcome === SCAN.refused) return refuse(engine, pair, { at, end, reason: head.problem as Refusal });
  if (head.start !== at) {
    // Empty lines before a request are dropped (RFC 9112 section 2.2).
    forwardCleared(engine, pair, at);
    engine.from = head.start;
    pair.verbatim = false;
    if (outcome === SCAN.incomplete && head.start === end) return end;
  }
  const size = (outcome === SCAN.incomplete ? end : head.end) - head.start;
  if (size > engine.limits.maxHeadBytes) {
    const line = engine.bytes.indexOf(10, head.start);
    const reason = line < 0 || line >= end ? 'request line too long' : 'head too large';
    return refuse(engine, pair, { at: head.start, end, reason });
  }
  if (outcome === SCAN.incomplete) {
    pair.down.partial = true;
    return -1 - stop(engine, pair, head.start);
  }
  pair.headTick = 0;
  engine.counters.add(RECEIVED);
  const verdict = judgeRequest(engine, pair);
  if (verdict === VERDICT.allowed) return onAllowed(engine, pair);
  if (verdict === VERDICT.denied) return onDenied(engine, pair);
  if (verdict === CUT) {
    destroy(engine, pair, { reset: true });
    return -1 - end;
  }
  return refuse(engine, pair, { at: head.start, end, reason: 'path can be read in more than one way', complete: true });
}

const RECEIVED = COUNT['requests|received'];
const FORWARDED = COUNT['requests|forwarded'];
/** Of those that are forwarded. */
const AUDITED = COUNT['requests|audited'];

function onAllowed(engine: Engine, pair: Pair): number {
  const head = engine.request;
  const { audited } = engine.judgement;
  engine.counters.add(FORWARDED);
  if (audited) engine.counters.add(AUDITED);
  const exchange = openExchange(engine, pair, {
    head,
    verdict: audited ? RECORD_VERDICT.audited : RECORD_VERDICT.forwarded,
    reason: '',
    status: 0,
    answer: undefined,
    last: head.last,
  });
  exchange.requestBytes = head.end - head.start;
  exchange.expecting = head.expectContinue && head.bodyLength !== 0;
  pair.requestAfter = head.last ? REQUEST.ignored : REQUEST.head;
  if (head.upgrade === UPGRADE.strip) {
    engine.counters.add(COUNT['upgrades|stripped']);
    forwardCleared(engine, pair, head.start);
    forwardOwn(engine, pair, withoutUpgrade(head));
    engine.from = head.end;
    pair.verbatim = false;
  } else if (head.upgrade === UPGRADE.pass) {
    exchange.upgrade = requestedProtocols(head);
    pair.requestAfter = REQUEST.undecided;
  } else if (head.method === METHOD.connect) pair.requestAfter = REQUEST.undecided;
  beginRequestBody(pair, head.bodyLength, REQUEST.body);
  return head.end;
}

function beginRequestBody(pair: Pair, length: number, state: number): void {
  if (length === 0) {
    pair.request = pair.requestAfter;
    return;
  }
  beginBody(pair.requestBody, length < 0 ? ENDS.chunked : ENDS.length, Math.max(length, 0));
  pair.request = state;
}

function onDenied(engine: Engine, pair: Pair): number {
  const head = engine.request;
  const { maxDiscardBytes } = engine.limits;
  engine.counters.add(COUNT['requests|denied']);
  forwardCleared(engine, pair, head.start);
  engine.from = head.end;
  pair.verbatim = false;
  const tooLong = head.bodyLength > maxDiscardBytes;
  if (tooLong) engine.counters.add(COUNT['limit|body of a denied request']);
  // With "Expect: 100-continue" nobody can tell whether the body will come.
  const last = head.last || tooLong || (head.expectContinue && head.bodyLength !== 0);
  openExchange(engine, pair, {
    head,
    verdict: RECORD_VERDICT.denied,
    reason: '',
    status: 403,
    answer: denial({ head: head.method === METHOD.head, close: last }),
    last,
  });
  pair.requestAfter = last ? REQUEST.ignored : REQUEST.head;
  pair.discardable = maxDiscardBytes;
  if (last) pair.request = REQUEST.ignored;
  else beginRequestBody(pair, head.bodyLength, REQUEST.discard);
  sendAnswers(engine, pair);
  return head.end;
}

interface Refused {
  readonly at: number;
  readonly end: number;
  readonly reason: Refusal;
  /** The head was understood; the record says what it asked for. */
  readonly complete?: boolean;
}

/** Answers a request that is not acceptable, after the answers before it; the connection ends. */
function refuse(engine: Engine, pair: Pair, { at, end, reason, complete = false }: Refused): number {
  forwardCleared(engine, pair, at);
  engine.from = end;
  if (pair.state !== PAIR.open) return -1 - end;
  if (!complete) {
    engine.judgement.egressPolicies = engine.judgement.ingressPolicies = 0;
    engine.counters.add(RECEIVED);
  }
  engine.counters.add(COUNT['requests|refused']);
  if (reason === 'too many fields') engine.counters.add(COUNT['limit|fields']);
  if (reason === 'head too large' || reason === 'request line too long') engine.counters.add(COUNT['limit|head size']);
  openExchange(engine, pair, {
    head: complete ? engine.request : undefined,
    verdict: RECORD_VERDICT.refused,
    reason,
    status: failureStatus(reason),
    answer: failure(reason),
    last: true,
  });
  pair.verbatim = false;
  pair.headTick = 0;
  pair.request = REQUEST.ignored;
  sendAnswers(engine, pair);
  return -1 - end;
}

/** Refuses a head that does not come to its end in time. */
export function refuseLate(engine: Engine, pair: Pair): void {
  engine.from = 0;
  refuse(engine, pair, { at: 0, end: 0, reason: 'head not complete in time' });
}

function onBody(engine: Engine, pair: Pair, at: number, end: number): number {
  const body = pair.requestBody;
  const next = readBody(body, { buffer: engine.bytes, start: at, end });
  if (pair.newest !== undefined) pair.newest.requestBytes += next - at;
  if (body.ends === ENDS.none) pair.request = pair.requestAfter;
  else if (body.problem !== undefined && next < end) {
    forwardCleared(engine, pair, next);
    abortBody(engine, pair, body.problem);
    return end;
  }
  return next;
}

/** Cuts a request whose body is broken: the server must never take it for complete. */
function abortBody(engine: Engine, pair: Pair, reason: Refusal): void {
  if (pair.state !== PAIR.open) return;
  engine.counters.add(COUNT['requests|refused']);
  const { first } = pair;
  closeLeg(engine, pair.up, { reset: true });
  if (first === undefined || first !== pair.newest || pair.response !== RESPONSE.head) {
    destroy(engine, pair, { reset: true });
    return;
  }
  const verdict = RECORD_VERDICT.refused;
  engine.recorder.end(first, { verdict, status: failureStatus(reason), reason });
  sendOwn(engine, pair.down, failure(reason));
  endAfterOutput(engine, pair, { linger: true });
}

/** Throws the body of a denied request away. */
function onDiscard(engine: Engine, pair: Pair, at: number, end: number): number {
  const body = pair.requestBody;
  const next = readBody(body, { buffer: engine.bytes, start: at, end });
  pair.discardable -= next - at;
  if (body.ends === ENDS.none) {
    pair.request = pair.requestAfter;
    return next;
  }
  if (next === end && pair.discardable > 0) return next;
  // The 403 may be on its way or wait for its turn: nothing more is read, and the connection ends after it.
  if (pair.discardable <= 0) engine.counters.add(COUNT['limit|body of a denied request']);
  pair.request = REQUEST.ignored;
  if (pair.newest === undefined) endAfterOutput(engine, pair, { linger: true });
  else pair.newest.last = true;
  return end;
}
