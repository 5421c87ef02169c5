// The last flows of a node. Readers have a position of their own; one that is too slow learns how much it missed.

import type { Flow, LostSource, Timestamp } from './model.ts';

/** Flows that are kept: as many as Hubble's default. Older ones are overwritten. */
export const RING_CAPACITY = 4095;

export type RingEntry =
  | { readonly kind: 'flow'; readonly flow: Flow }
  | { readonly kind: 'lost'; readonly source: LostSource; readonly count: number; readonly time: Timestamp };

export interface FlowRing {
  readonly capacity: number;
  /** Entries that are kept now. */
  readonly size: number;
  /** Flows pushed since the start. */
  readonly seen: number;
  /** Position of the oldest entry that is kept. */
  readonly oldest: number;
  /** Position that the next entry will have. */
  readonly next: number;
  push(entry: RingEntry): void;
  /** The entry at `position`; undefined if it was overwritten or is not there yet. */
  at(position: number): RingEntry | undefined;
  /** Calls `listener` after each push. Returns the function that ends it. */
  onPush(listener: () => void): () => void;
}

/** An empty ring. */
export function createFlowRing(capacity = RING_CAPACITY): FlowRing {
  const entries = new Array<RingEntry | undefined>(capacity).fill(undefined);
  const listeners = new Set<() => void>();
  let next = 0;
  let seen = 0;
  return {
    capacity,
    get size() {
      return Math.min(next, capacity);
    },
    get seen() {
      return seen;
    },
    get oldest() {
      return Math.max(0, next - capacity);
    },
    get next() {
      return next;
    },
    push(entry) {
      entries[next % capacity] = entry;
      next++;
      if (entry.kind === 'flow') seen++;
      for (const listener of listeners) listener();
    },
    at: (position) => (position < next && position >= next - capacity ? entries[position % capacity] : undefined),
    onPush(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
