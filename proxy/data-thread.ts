// The data thread: everything that happens to the bytes of connections. It waits for epoll and for nothing else.

import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { address } from '#common/ip.ts';
import { addressOf, epollCreate1, SOCK } from '#common/native/libc.ts';
import { contextCounters } from '#tracing/context.ts';
import { createIdSource } from '#tracing/ids.ts';
import { createSampler } from '#tracing/sampler.ts';
import { COUNT, openCounters } from './counters.ts';
import { adopt } from './enforce/adopt.ts';
import type { Engine } from './enforce/engine.ts';
import { createExchangePool } from './enforce/exchange.ts';
import { createLoop } from './enforce/loop.ts';
import type { SocketSource } from './enforce/origin.ts';
import { createRequestHead } from './http1/request.ts';
import { createResponseHead } from './http1/response.ts';
import type { DataThreadOptions, Order, Report, SourceOrder } from './orders.ts';
import { createRecorder, type Tracing } from './records/recorder.ts';
import { openSlabWriter } from './records/slab.ts';
import { createRuleBook } from './rules/book.ts';
import { createPolicyLists } from './rules/lists.ts';
import { createJudgement } from './rules/verdict.ts';
import { createPlainSource } from './sockets/plain.ts';
import { createSteeredSource } from './sockets/steered.ts';

/** Bytes of one read. */
const READ_BYTES = 64 * 1024;
/** How long a turn may work on rules that are not in force yet, while connections wait. */
const RULES_MS = 2;

function openSource(order: SourceOrder): SocketSource {
  if (order.kind === 'steered') return createSteeredSource(order);
  return createPlainSource({ ...order, server: { address: address(order.serverAddress), port: order.serverPort } });
}

function createTracing(ratio: number | undefined): { tracing: Tracing | undefined; refill: () => void } {
  if (ratio === undefined) return { tracing: undefined, refill: () => {} };
  const ids = createIdSource();
  const sampler = createSampler({ ratio, ids });
  return { tracing: { sampler, counters: contextCounters() }, refill: () => ids.refill() };
}

function createEngine(options: DataThreadOptions, report: (report: Report) => void): Engine & { refill: () => void } {
  const { limits } = options;
  const counters = openCounters(options.counters);
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES + 1); // and the scanner's 0
  const { tracing, refill } = createTracing(options.samplingRatio);
  const lists = createPolicyLists({
    announce: (number, names) => report({ kind: 'policies', number, names }),
    retire: (numbers) => report({ kind: 'policies retired', numbers }),
  });
  return {
    limits,
    counters,
    source: openSource(options.source),
    book: createRuleBook({
      lists,
      maxBytes: limits.maxRuleBytes,
      onProblem: (text) => report({ kind: 'problem', text }),
      onNoRoom: () => counters.add(COUNT['limit|rule bytes']),
    }),
    recorder: createRecorder({
      slab: openSlabWriter(options.slab),
      limits,
      counters,
      tracing,
      unixMs: () => performance.timeOrigin + performance.now(),
    }),
    exchanges: createExchangePool(),
    epoll: epollCreate1(SOCK.CLOEXEC),
    legs: [],
    pairs: [],
    perSource: new Map(),
    ready: [],
    buffer,
    bufferAddress: addressOf(buffer),
    bytes: buffer,
    bytesAddress: 0,
    from: 0,
    request: createRequestHead(limits.maxFields),
    response: createResponseHead(limits.maxFields),
    judgement: createJudgement(),
    waitingBytes: 0,
    generation: 0,
    tick: 1,
    draining: false,
    refill,
  };
}

/** Runs the data thread until it is stopped or drained. */
export function runDataThread(options: DataThreadOptions, port: NonNullable<typeof parentPort>): void {
  const report = (message: Report): void => port.postMessage(message);
  const engine = createEngine(options, report);
  const bell = new Int32Array(options.bell);
  const obey = (order: Order): void => {
    switch (order.kind) {
      case 'rules':
        engine.book.begin(order.order);
        return;
      case 'adopt':
        adopt(engine, order.pair);
        return;
      case 'sample at most':
        engine.recorder.sampleAtMost(order.perSecond);
        return;
      case 'drain':
        loop.drain();
        return;
      case 'stop':
        loop.stop();
    }
  };
  const workOnRules = (): boolean => {
    if (!engine.book.busy) return false;
    for (const version of engine.book.work(performance.now() + RULES_MS)) {
      // Connections ask for their rules again before the next request: the change is in force for all of them.
      report({ kind: 'applied', version });
      loop.listen();
    }
    return engine.book.busy;
  };
  const loop = createLoop(engine, {
    orders: options.wake,
    onOrders() {
      for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) {
        obey(next.message as Order);
      }
    },
    onTurn() {
      engine.refill();
      if (engine.recorder.pending() && Atomics.compareExchange(bell, 0, 1, 0) === 1) report({ kind: 'records' });
      return workOnRules();
    },
    onTick() {
      engine.counters.set(COUNT['gauge|waiting bytes'], engine.waitingBytes);
      engine.counters.set(COUNT['gauge|connections'], engine.pairs.length);
      engine.counters.set(COUNT['gauge|rule bytes'], engine.book.bytes);
    },
  });
  loop.run();
}

// Without orders only the modules are wanted.
if (parentPort !== null && workerData != null) runDataThread(workerData as DataThreadOptions, parentPort);
