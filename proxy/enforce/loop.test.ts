import assert from 'node:assert/strict';
import { test } from 'node:test';
import { close, EVENTFD, epollCreate1, eventfd, SOCK } from '#common/native/libc.ts';
import type { Engine } from './engine.ts';
import { createLoop } from './loop.ts';
import type { Origin } from './origin.ts';
import { createPair } from './pair.ts';

test('`createLoop` begins a turn once when there are events or legs to go on with, and not otherwise', () => {
  const orders = eventfd(1, EVENTFD.NONBLOCK | EVENTFD.CLOEXEC);
  const epoll = epollCreate1(SOCK.CLOEXEC);
  let begun = 0;
  const engine = {
    epoll,
    source: { listener: -1, beginTurn: () => void begun++ },
    limits: {},
    legs: [],
    pairs: [],
    ready: [],
    tick: 1,
  } as unknown as Engine;
  // Without a socket: its turn comes, and there is nothing to do.
  const leg = createPair({} as Origin, -1, 1).down;
  const turns: number[] = [];
  const loop = createLoop(engine, {
    orders,
    onOrders: () => void engine.ready.push(leg, leg), // beside the event: still one turn
    onTick() {},
    onTurn() {
      turns.push(begun);
      begun = 0;
      if (turns.length === 1) engine.ready.push(leg);
      if (turns.length === 3) loop.stop();
      return false;
    },
  });
  loop.run();
  assert.deepEqual(turns, [1, 1, 0], 'an event, a leg, the clock');
  for (const fd of [orders, epoll]) close(fd);
});
