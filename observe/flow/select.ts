// Reads a request's flows out of the ring: the last, the first, since, until, and those to come.

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Condition } from './filter.ts';
import { type FlowsResponse, timestampNs, toTimestamp } from './model.ts';
import type { FlowRing, RingEntry } from './ring.ts';

export interface FlowQuery {
  readonly matches: Condition;
  /** 0: no limit. */
  readonly number: number;
  /** The first `number` flows instead of the last. */
  readonly first: boolean;
  readonly follow: boolean;
  /** Nanoseconds since 1970, both ends included. */
  readonly since: bigint | undefined;
  readonly until: bigint | undefined;
}

export interface SelectOptions {
  readonly ring: FlowRing;
  readonly node: string;
  readonly signal: AbortSignal;
}

/** Entries looked at between two turns of the event loop. */
const ENTRIES_PER_TURN = 256;

/**
 * The responses for `query`, oldest first. A reader that falls behind by more than the ring holds gets a lost_events
 * response with the number it missed, then goes on: the ring is the queue of every reader. Ends when there is nothing
 * more to come, or when `signal` aborts.
 */
export async function* selectFlows(query: FlowQuery, options: SelectOptions): AsyncGenerator<FlowsResponse> {
  const { ring, node, signal } = options;
  const end = query.follow ? Number.POSITIVE_INFINITY : ring.next;
  let position = startOf(query, ring);
  let found = 0;
  for (let looked = 1; !signal.aborted; looked++) {
    if (position >= end) return;
    if (position >= ring.next) {
      await nextPush(ring, signal);
      continue;
    }
    if (position < ring.oldest) {
      yield lostResponse(ring.oldest - position, node);
      position = ring.oldest;
    }
    const entry = ring.at(position++) as RingEntry;
    if (entry.kind === 'lost') {
      yield {
        lost_events: { source: entry.source, num_events_lost: String(entry.count) },
        node_name: node,
        time: entry.time,
      };
    } else {
      const time = timestampNs(entry.flow.time);
      if (query.follow && query.until !== undefined && time > query.until) return;
      if (inTime(query, time) && query.matches(entry.flow)) {
        yield { flow: entry.flow, node_name: node, time: entry.flow.time };
        if (query.first && ++found === query.number) return;
      }
    }
    if (looked % ENTRIES_PER_TURN === 0) await nextTurn();
  }
}

function startOf(query: FlowQuery, ring: FlowRing): number {
  if (query.number === 0 || query.first) {
    return query.follow && query.since === undefined && !query.first ? ring.next : ring.oldest;
  }
  let found = 0;
  for (let position = ring.next - 1; position >= ring.oldest; position--) {
    const entry = ring.at(position);
    if (entry?.kind !== 'flow') continue;
    if (!inTime(query, timestampNs(entry.flow.time)) || !query.matches(entry.flow)) continue;
    if (++found === query.number) return position;
  }
  return ring.oldest;
}

function inTime({ since, until }: FlowQuery, time: bigint): boolean {
  return (since === undefined || time >= since) && (until === undefined || time <= until);
}

function lostResponse(count: number, node: string): FlowsResponse {
  return {
    lost_events: { source: 'HUBBLE_RING_BUFFER', num_events_lost: String(count) },
    node_name: node,
    time: toTimestamp(BigInt(Date.now()) * 1_000_000n),
  };
}

function nextPush(ring: FlowRing, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      stop();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const stop = ring.onPush(done);
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
}
