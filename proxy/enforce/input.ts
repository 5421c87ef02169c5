// Reading: from a socket into the thread's one buffer, or behind the beginning of a head that is kept.

import { addressOf, ERRNO, errno, recvAt } from '#common/native/libc.ts';
import { COUNT } from '../counters.ts';
import { destroy, releaseInput } from './close.ts';
import { onClientEnd, onClientError, onServerEnd, onServerError } from './ends.ts';
import { type Engine, requeue } from './engine.ts';
import { type Leg, PAIR } from './pair.ts';
import { consumeRequests } from './requests.ts';
import { consumeResponses } from './responses.ts';

/** Reads in one turn of a leg; then the others have theirs. */
const MAX_ROUNDS = 4;
const DOWNSTREAM_BYTES = COUNT['bytes|downstream received'];
const UPSTREAM_BYTES = COUNT['bytes|upstream received'];

/** Goes on with a leg: with what it holds, then with what its socket has. */
export function pump(engine: Engine, leg: Leg): void {
  const { pair } = leg;
  if (pair.broken) {
    destroy(engine, pair, { reset: true });
    return;
  }
  if (leg.input !== undefined && !leg.partial && leg.paused === 0) {
    process(engine, leg, { buffer: leg.input, address: leg.inputAddress, start: leg.inputStart, end: leg.inputEnd });
  }
  for (let round = 0; leg.readable && leg.paused === 0 && leg.fd >= 0; round++) {
    if (round === MAX_ROUNDS) {
      requeue(engine, leg);
      return;
    }
    if (!receive(engine, leg)) return;
  }
}

/** One read. False: there was nothing more. */
function receive(engine: Engine, leg: Leg): boolean {
  const { pair } = leg;
  const own = leg.input;
  const buffer = own ?? engine.buffer;
  const address = own === undefined ? engine.bufferAddress : leg.inputAddress;
  const offset = own === undefined ? 0 : leg.inputEnd;
  const room = buffer.length - 1 - offset; // one byte stays for the scanner's 0
  if (!(room > 0 && offset >= 0)) throw new Error(`Cannot receive at ${offset}: the buffer has ${buffer.length} bytes`);
  const count = recvAt(leg.fd, address + offset, room, 0);
  if (count <= 0) {
    leg.readable = false;
    if (count === 0) (leg.upstream ? onServerEnd : onClientEnd)(engine, pair);
    else {
      const error = errno();
      if (error === ERRNO.EAGAIN || error === ERRNO.EINTR) leg.readable = error === ERRNO.EINTR;
      else (leg.upstream ? onServerError : onClientError)(engine, pair);
    }
    return false;
  }
  // A short read has emptied the socket, unless its end is known to follow.
  if (count < room && !leg.hungUp) leg.readable = false;
  engine.counters.add(leg.upstream ? UPSTREAM_BYTES : DOWNSTREAM_BYTES, count);
  if (pair.state !== PAIR.open) return true; // lingering: thrown away
  pair.activeTick = engine.tick;
  const start = own === undefined ? 0 : leg.inputStart;
  const end = offset + count;
  if (own !== undefined) leg.inputEnd = end;
  if (leg.partial && end - start <= engine.limits.maxHeadBytes && !endOfHead(leg, buffer, end)) {
    growInput(engine, leg);
    return true;
  }
  process(engine, leg, { buffer, address, start, end });
  return true;
}

/** Does a head that was incomplete have an end now? Looks at each byte once, however many reads a head takes. */
function endOfHead(leg: Leg, buffer: Buffer, end: number): boolean {
  let at = Math.max(leg.searched - 2, leg.inputStart);
  leg.searched = end;
  buffer[end] = 0;
  for (;;) {
    at = buffer.indexOf(10, at);
    if (at < 0 || at >= end) return false;
    // LF CR LF, or LF LF, which the scanner refuses.
    if (buffer[at + 1] === 10 || (buffer[at + 1] === 13 && buffer[at + 2] === 10)) return true;
    at++;
  }
}

interface Received {
  readonly buffer: Buffer;
  readonly address: number;
  readonly start: number;
  readonly end: number;
}

function process(engine: Engine, leg: Leg, { buffer, address, start, end }: Received): void {
  const { pair } = leg;
  leg.partial = false;
  engine.bytes = buffer;
  engine.bytesAddress = address;
  buffer[end] = 0;
  const at = leg.upstream ? consumeResponses(engine, pair, start, end) : consumeRequests(engine, pair, start, end);
  // Offsets become addresses for the kernel: a wrong one must end the process before it is used.
  if (!(at >= start && at <= end)) throw new Error(`Cannot go on at ${at}: received are ${start} to ${end}`);
  if (leg.fd < 0 || pair.state !== PAIR.open) return;
  if (at === end) {
    releaseInput(engine, leg);
    return;
  }
  if (leg.partial && pair.headTick === 0 && !leg.upstream) pair.headTick = engine.tick;
  keepInput(engine, leg, { buffer, address, start: at, end });
}

const PAGE = 4096; // bytes

/** Keeps what was received and cannot be dealt with yet. */
function keepInput(engine: Engine, leg: Leg, { buffer, start, end }: Received): void {
  if (leg.input === buffer) leg.inputStart = start;
  else holdInput(engine, leg, buffer.subarray(start, end));
  if (leg.input === undefined) return;
  leg.searched = leg.inputEnd;
  if (leg.partial) growInput(engine, leg);
}

/** Keeps a copy of `bytes` as the input of `leg`, which has none. Without room for them the connection is reset. */
export function holdInput(engine: Engine, leg: Leg, bytes: Uint8Array): void {
  if (!account(engine, leg, roomFor(bytes.length))) return;
  const room = Buffer.allocUnsafeSlow(roomFor(bytes.length));
  room.set(bytes);
  leg.input = room;
  leg.inputAddress = addressOf(room);
  leg.inputStart = 0;
  leg.inputEnd = bytes.length;
}

/** Makes sure that there is room to read on behind a partial head. */
function growInput(engine: Engine, leg: Leg): void {
  const { input } = leg;
  if (input === undefined || leg.inputEnd < input.length - PAGE / 4) return;
  const size = leg.inputEnd - leg.inputStart;
  const capacity = roomFor(2 * size);
  if (!account(engine, leg, capacity - input.length)) return;
  const room = Buffer.allocUnsafeSlow(capacity);
  input.copy(room, 0, leg.inputStart, leg.inputEnd);
  leg.input = room;
  leg.inputAddress = addressOf(room);
  leg.searched -= leg.inputStart;
  leg.inputStart = 0;
  leg.inputEnd = size;
}

function roomFor(size: number): number {
  return Math.ceil((size + PAGE / 2) / PAGE) * PAGE;
}

function account(engine: Engine, leg: Leg, bytes: number): boolean {
  if (engine.waitingBytes + bytes > engine.limits.maxWaitingBytes) {
    engine.counters.add(COUNT['limit|waiting bytes']);
    destroy(engine, leg.pair, { reset: true });
    return false;
  }
  engine.waitingBytes += bytes;
  return true;
}
