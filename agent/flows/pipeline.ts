// From events to the ring: makes flows, counts what was lost, and tells metrics.

import type { FlowEvent } from '#bpf/abi.ts';
import { type Flow, type LostSource, toTimestamp } from '#observe/flow/model.ts';
import { createFlowRing, type FlowRing } from '#observe/flow/ring.ts';
import type { Tables } from '../tables.ts';
import type { AccessRecord } from './access-record.ts';
import type { FlowContext } from './base.ts';
import { createBootClock } from './clock.ts';
import { kernelFlows } from './kernel.ts';
import { createNames } from './names.ts';
import { proxyFlows } from './proxy.ts';

/** What metrics want to know as it passes. */
export interface FlowSink {
  /** A flow of the kernel. */
  flow(flow: Flow): void;
  /** A request, with its response if there was one. */
  record(record: AccessRecord): void;
  lost(source: LostSource, count: number): void;
}

export interface FlowPipeline {
  readonly ring: FlowRing;
  /** One event of the kernel's ring buffer. */
  kernelEvent(event: FlowEvent): void;
  /** One batch of a worker's records; `dropped` is the number that the worker could not send. */
  accessRecords(records: readonly AccessRecord[], dropped: number): void;
  /** Events that were lost on the way, e.g. because the kernel's ring buffer was full. */
  lost(source: LostSource, count: number): void;
  close(): void;
}

/** Losses are shown to readers at most this often for each source, with what has come together since. */
const LOST_EVERY_MS = 1_000;

/** The flow pipeline of a node. `clock` turns CLOCK_BOOTTIME ns into ns since 1970; `nowMs` is for tests. */
export function createFlowPipeline(options: {
  readonly node: string;
  readonly tables: Tables;
  readonly sink?: FlowSink;
  readonly clock?: (bootNs: bigint) => bigint;
  readonly nowMs?: () => number;
  readonly capacity?: number;
  /** The node's policy revision, for the policies that flows name. */
  readonly revision?: () => number;
}): FlowPipeline {
  const { sink, nowMs = Date.now } = options;
  const ring = createFlowRing(options.capacity);
  const names = createNames(options.tables, options.revision);
  const context: FlowContext = { node: options.node, names, wallNs: options.clock ?? createBootClock() };
  const losses = new Map<LostSource, { count: number; shownMs: number }>();

  const kernelEvent = (event: FlowEvent): void => {
    for (const flow of kernelFlows(event, context)) {
      ring.push({ kind: 'flow', flow });
      sink?.flow(flow);
    }
    if (losses.size > 0) showLosses();
  };
  const accessRecord = (record: AccessRecord): void => {
    sink?.record(record);
    const flows = proxyFlows(record, context);
    let made: readonly Flow[] | undefined;
    const at = (index: number): Flow => {
      made ??= flows.make();
      return made[index] as Flow;
    };
    for (let index = 0; index < flows.count; index++) {
      ring.push({
        kind: 'flow',
        get flow() {
          return at(index);
        },
      });
    }
  };
  const showLosses = (): void => {
    const now = nowMs();
    for (const [source, loss] of losses) {
      if (loss.count === 0 || now - loss.shownMs < LOST_EVERY_MS) continue;
      ring.push({ kind: 'lost', source, count: loss.count, time: toTimestamp(BigInt(now) * 1_000_000n) });
      loss.count = 0;
      loss.shownMs = now;
    }
  };
  const lost = (source: LostSource, count: number): void => {
    if (count <= 0) return;
    sink?.lost(source, count);
    const loss = losses.get(source) ?? { count: 0, shownMs: Number.NEGATIVE_INFINITY };
    loss.count += count;
    losses.set(source, loss);
    showLosses();
  };
  return {
    ring,
    kernelEvent,
    accessRecords(records, dropped) {
      for (const record of records) accessRecord(record);
      lost('OBSERVER_EVENTS_QUEUE', dropped);
      if (losses.size > 0) showLosses();
    },
    lost,
    close: () => names.close(),
  };
}
