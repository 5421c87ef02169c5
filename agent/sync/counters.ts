// Counters of policy entries: the kernel makes them, and the agent forgets those of entries that are gone.

import type { PolicyCounter, PolicyCounterKey } from '#bpf/abi.ts';
import type { TypedMap } from './map.ts';

export interface EntryCounters {
  /** The entry may be gone: `forget` looks. */
  doubt(key: PolicyCounterKey): void;
  /** Deletes the counters that were doubted, but for those whose entry is there. */
  forget(isThere: (key: PolicyCounterKey) => boolean): void;
}

export type CounterMap = Pick<TypedMap<PolicyCounterKey, PolicyCounter>, 'delete' | 'entries'>;

/** Doubts every counter that the map has. */
export function createEntryCounters(map: CounterMap): EntryCounters {
  let doubted = map.entries().map(([key]) => key);
  return {
    doubt: (key) => void doubted.push(key),
    forget(isThere) {
      for (const key of doubted) {
        if (isThere(key)) continue;
        try {
          map.delete(key);
        } catch {
          // It counts what is no more: in nobody's way.
        }
      }
      doubted = [];
    },
  };
}
