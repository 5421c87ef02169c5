// Sending, and keeping what a socket does not take yet. While bytes wait for one leg, the other is not read from: what
// waits is bounded by what one read, plus the answers to its requests, can bring.

import { addressOf, ERRNO, errno, MSG, SHUT, sendAt, send as sendBuffer, shutdown } from '#common/native/libc.ts';
import { COUNT } from '../counters.ts';
import { type Engine, requeue, resume } from './engine.ts';
import { type Leg, PAUSE, type Pair } from './pair.ts';

const PAGE = 4096; // bytes; room for waiting bytes comes in whole pages

/**
 * Sends `engine.bytes[from..to)` on `leg`. Four plain numbers instead of an object: this runs twice for each request.
 * Failures show in leg.finished (upstream) and pair.broken (downstream).
 */
export function forward(engine: Engine, leg: Leg, from: number, to: number): void {
  if (from === to || leg.finished) return;
  // Offsets become addresses for the kernel: a wrong one must end the process before foreign memory is sent.
  if (!(from >= 0 && from < to && to < engine.bytes.length)) throw new Error(`Cannot send bytes ${from} to ${to}`);
  if (leg.output !== undefined) {
    keep(engine, leg, engine.bytes.subarray(from, to));
    return;
  }
  const sent = sendAt(leg.fd, engine.bytesAddress + from, to - from, MSG.NOSIGNAL);
  if (sent === to - from) {
    if (leg.upstream) leg.pair.connected = true;
    return;
  }
  if (sent < 0 && failed(engine, leg)) return;
  keep(engine, leg, engine.bytes.subarray(from + Math.max(sent, 0), to));
}

/** Sends bytes of the proxy's own. */
export function sendOwn(engine: Engine, leg: Leg, bytes: Buffer): void {
  if (leg.finished) return;
  if (leg.output !== undefined) {
    keep(engine, leg, bytes);
    return;
  }
  const sent = sendBuffer(leg.fd, bytes, bytes.length, MSG.NOSIGNAL);
  if (sent === bytes.length) return;
  if (sent < 0 && failed(engine, leg)) return;
  keep(engine, leg, bytes.subarray(Math.max(sent, 0)));
}

/** Sends what waits for `leg`. Returns true when nothing is left. */
export function flush(engine: Engine, leg: Leg): boolean {
  if (leg.output === undefined) return true;
  const size = leg.outputEnd - leg.outputStart;
  const sent = sendAt(leg.fd, leg.outputAddress + leg.outputStart, size, MSG.NOSIGNAL);
  if (sent < 0) {
    if (failed(engine, leg)) releaseOutput(engine, leg);
    return leg.finished;
  }
  if (leg.upstream) leg.pair.connected = true;
  leg.outputStart += sent;
  if (sent < size) return false;
  releaseOutput(engine, leg);
  return true;
}

/** Sends the end of the stream once everything before it is sent. */
export function finish(leg: Leg): void {
  leg.finishing = true;
  if (leg.output !== undefined || leg.finished || leg.fd < 0) return;
  leg.finished = true;
  shutdown(leg.fd, SHUT.WRITE);
}

/** Gives up what waits for `leg`, and lets the other leg be read again. */
export function releaseOutput(engine: Engine, leg: Leg): void {
  if (leg.output === undefined) return;
  engine.waitingBytes -= leg.output.length;
  leg.output = undefined;
  resume(engine, otherLeg(leg), PAUSE.backpressure);
  resume(engine, leg, PAUSE.answers);
}

/** The leg on the other side. */
export function otherLeg(leg: Leg): Leg {
  return leg.upstream ? leg.pair.down : leg.pair.up;
}

/** Marks a pair to be closed with a reset. */
export function breakPair(engine: Engine, pair: Pair): void {
  pair.broken = true;
  requeue(engine, pair.down);
}

/** Sees to a send that failed. False: the socket is merely full. */
function failed(engine: Engine, leg: Leg): boolean {
  const error = errno();
  if (error === ERRNO.EAGAIN || error === ERRNO.EINTR) return false;
  leg.finished = true;
  if (leg.upstream) {
    // The server may have answered before it closed: what it sent is still there to read.
    leg.readable = leg.hungUp = true;
    requeue(engine, leg);
  } else breakPair(engine, leg.pair);
  return true;
}

function keep(engine: Engine, leg: Leg, bytes: Uint8Array): void {
  const waiting = leg.output === undefined ? 0 : leg.outputEnd - leg.outputStart;
  if (leg.output === undefined || leg.outputEnd + bytes.length > leg.output.length) {
    const capacity = Math.ceil((waiting + bytes.length) / PAGE) * PAGE;
    const grown = engine.waitingBytes - (leg.output?.length ?? 0) + capacity;
    if (grown > engine.limits.maxWaitingBytes) {
      engine.counters.add(COUNT['limit|waiting bytes']);
      breakPair(engine, leg.pair);
      return;
    }
    engine.waitingBytes = grown;
    const room = Buffer.allocUnsafeSlow(capacity);
    leg.output?.copy(room, 0, leg.outputStart, leg.outputEnd);
    leg.output = room;
    leg.outputAddress = addressOf(room);
    leg.outputStart = 0;
    leg.outputEnd = waiting;
  }
  leg.output.set(bytes, leg.outputEnd);
  leg.outputEnd += bytes.length;
  otherLeg(leg).paused |= PAUSE.backpressure;
}
