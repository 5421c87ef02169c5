// The event loop of a data thread: epoll, the legs that had to wait for their turn, and the clock.

import {
  accept4,
  callError,
  close,
  EPOLL,
  EPOLL_EVENT,
  ERRNO,
  epollCtl,
  epollWait,
  errno,
  int32,
  read,
  SOCK,
  SOCKADDR_SIZE,
} from '#common/native/libc.ts';
import { COUNT } from '../counters.ts';
import { enter, hasRoom, hasRoomFor } from './admission.ts';
import { destroy, finishDown } from './close.ts';
import type { Engine } from './engine.ts';
import { pump } from './input.ts';
import { finish, flush } from './output.ts';
import { createPair, isQuiet, type Leg, PAIR, PAUSE } from './pair.ts';
import { sweep } from './sweep.ts';
import { register } from './upstream.ts';

/** Events taken in one call. */
const MAX_EVENTS = 256;
/** Connections accepted in one turn. */
const MAX_ACCEPTS = 64;
const TICK_MS = 1000;
const INTS = EPOLL_EVENT.size / 4;
const FD_AT = EPOLL_EVENT.data / 4;

export interface Loop {
  /** Runs until stop() or, after drain(), until no connection is left. Blocks the thread. */
  run(): void;
  /** Starts taking connections. */
  listen(): void;
  /** Stops taking connections, ends those between messages, and runs on until the others are done. */
  drain(): void;
  stop(): void;
}

export interface LoopHooks {
  /** Descriptor that becomes readable when there are orders. */
  readonly orders: number;
  /** Orders may be there. */
  onOrders(): void;
  /** After the events of one wait. True: it wants another turn at once. */
  onTurn(): boolean;
  /** Once a second. */
  onTick(): void;
}

/** A loop on `engine`. */
export function createLoop(engine: Engine, hooks: LoopHooks): Loop {
  const events = Buffer.alloc(MAX_EVENTS * EPOLL_EVENT.size);
  const ints = new Int32Array(events.buffer, events.byteOffset, MAX_EVENTS * INTS);
  const { listener } = engine.source;
  const eventfdValue = Buffer.alloc(8);
  let running = true;
  let listening = false;
  let wanted = false;
  let nextTickMs = performance.now() + TICK_MS;

  const watch = (fd: number, operation: number): void => {
    const event = Buffer.alloc(EPOLL_EVENT.size);
    event.writeUInt32LE(EPOLL.IN, 0);
    event.writeInt32LE(fd, EPOLL_EVENT.data);
    if (epollCtl(engine.epoll, operation, fd, event) < 0) throw callError('watch descriptor');
  };
  const onEvent = (at: number): void => {
    const fd = ints[at + FD_AT] as number;
    const leg = engine.legs[fd];
    if (leg !== undefined) {
      if (leg.generation === ints[at + FD_AT + 1]) onLegEvent(engine, leg, ints[at] as number);
    } else if (fd === listener) {
      // Out of descriptors or memory: the connections wait in the backlog for the next second.
      if (listening && !acceptSome(engine)) unlisten();
    } else if (fd === hooks.orders) {
      read(fd, eventfdValue, 8);
      hooks.onOrders();
    }
  };
  const unlisten = (): void => {
    epollCtl(engine.epoll, EPOLL.DEL, listener, null);
    listening = false;
  };
  const listen = (): void => {
    if (listening || engine.draining || !wanted) return;
    listening = true;
    watch(listener, EPOLL.ADD);
  };
  const tick = (): void => {
    engine.tick++;
    listen();
    sweep(engine);
    hooks.onTick();
  };

  watch(hooks.orders, EPOLL.ADD);
  return {
    run() {
      let more = false;
      while (running) {
        const timeoutMs = more || engine.ready.length > 0 ? 0 : Math.max(0, Math.ceil(nextTickMs - performance.now()));
        const count = epollWait(engine.epoll, events, MAX_EVENTS, timeoutMs);
        if (count < 0 && errno() !== ERRNO.EINTR) throw callError('wait for events');
        if (count > 0 || engine.ready.length > 0) engine.source.beginTurn();
        for (let i = 0; i < count; i++) onEvent(i * INTS);
        takeUpReady(engine);
        const now = performance.now();
        if (now >= nextTickMs) {
          nextTickMs = now + TICK_MS;
          tick();
        }
        more = hooks.onTurn();
        if (engine.draining && engine.pairs.length === 0) running = false;
      }
    },
    listen() {
      wanted = true;
      listen();
    },
    drain() {
      if (listening) unlisten();
      engine.draining = true;
      for (const pair of [...engine.pairs]) if (isQuiet(pair)) destroy(engine, pair, { reset: false });
    },
    stop: () => {
      running = false;
    },
  };
}

/** Legs that had to stop for the others' sake, or that may go on again. */
function takeUpReady(engine: Engine): void {
  // Only those that are there now: what they queue has its turn after the next events.
  for (let left = engine.ready.length; left > 0; left--) {
    const leg = engine.ready.shift() as Leg;
    leg.queued = false;
    if (leg.fd >= 0) pump(engine, leg);
  }
}

function onLegEvent(engine: Engine, leg: Leg, events: number): void {
  const { pair } = leg;
  if ((events & EPOLL.ERR) !== 0 && !leg.upstream) {
    destroy(engine, pair, { reset: true });
    return;
  }
  if ((events & EPOLL.OUT) !== 0 && (leg.output !== undefined || leg.finishing)) onWritable(engine, leg);
  if ((events & (EPOLL.IN | EPOLL.RDHUP | EPOLL.HUP | EPOLL.ERR)) !== 0) {
    leg.readable = true;
    if ((events & (EPOLL.RDHUP | EPOLL.HUP | EPOLL.ERR)) !== 0) leg.hungUp = true;
    // Behind bytes that wait for the server's decision the end cannot be read; the server must learn of it all the same.
    if (leg.hungUp && !leg.upstream && (leg.paused & PAUSE.undecided) !== 0) finish(pair.up);
    if (leg.fd >= 0) pump(engine, leg);
  }
}

function onWritable(engine: Engine, leg: Leg): void {
  const { pair } = leg;
  pair.activeTick = engine.tick;
  if (!flush(engine, leg) || leg.fd < 0) return;
  if (pair.state === PAIR.closing && !leg.upstream) finishDown(engine, pair);
  else if (leg.finishing) finish(leg);
}

const EXHAUSTED = new Set<number>([ERRNO.EMFILE, ERRNO.ENFILE, ERRNO.ENOBUFS, ERRNO.ENOMEM]);
const peer = Buffer.alloc(SOCKADDR_SIZE);
const peerRoom = int32(SOCKADDR_SIZE);

/** False: the system has nothing left to accept with. */
function acceptSome(engine: Engine): boolean {
  const { source, counters } = engine;
  for (let i = 0; i < MAX_ACCEPTS; i++) {
    peerRoom[0] = SOCKADDR_SIZE;
    const fd = accept4(source.listener, peer, peerRoom, SOCK.NONBLOCK | SOCK.CLOEXEC);
    if (fd < 0) return !EXHAUSTED.has(errno());
    if (!hasRoom(engine)) {
      close(fd);
      continue;
    }
    const origin = source.identify(fd, peer);
    if (origin === undefined) {
      counters.add(COUNT['connections|not steered']);
      close(fd);
      continue;
    }
    if (!hasRoomFor(engine, origin)) {
      close(fd);
      continue;
    }
    const pair = createPair(origin, fd, engine.tick);
    pair.headTick = engine.tick;
    enter(engine, pair);
    register(engine, pair.down);
  }
  return true;
}
