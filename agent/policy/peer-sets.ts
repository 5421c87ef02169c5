// Sets of peers: the lists of selectors that rules have as peers, each with a number, and which of them every identity
// belongs to. Policy entries name a set, so that a rule is as many entries for five thousand peers as for one.

import { createHash } from 'node:crypto';
import { type Identity, type PeerSetId, peerSetId } from '#common/ids.ts';
import type { Table } from '#common/table.ts';
import type { Allocator } from '../identity/allocator.ts';
import type { PeerSetsRow } from '../tables.ts';
import type { CachedSelector, SelectorCache } from './selector-cache.ts';

/** The peers that one of the selectors selects. */
export interface PeerSet {
  readonly id: PeerSetId;
  readonly selectors: readonly CachedSelector[];
}

export interface PeerSets {
  /** Takes a reference on the set of these selectors; undefined: no number is left. */
  acquire(selectors: readonly CachedSelector[]): PeerSet | undefined;
  release(set: PeerSet): void;
  /** The identity appeared, went, or is now selected otherwise. */
  touch(identity: Identity): void;
  /** Brings the rows up to date. */
  recompute(): void;
  problems(): readonly string[];
}

/** Set of any peer: every identity belongs to it, which no row says. */
export const ANY_PEERS = peerSetId(0);

/**
 * Sets that nobody uses are kept, as long as there are no more of them: a policy that is removed and written again, as
 * editors of policies do, finds its peers as it left them.
 */
export const MAX_IDLE = 64;
/** Longer keys are remembered by their digest. */
const MAX_KEY = 200;

interface Held extends PeerSet {
  readonly key: string;
  references: number;
}

/** No sets, whose rows are kept in `table` (key: decimal identity). */
export function createPeerSets(
  table: Table<PeerSetsRow>,
  cache: Pick<SelectorCache, 'has' | 'selectorsOf' | 'hold' | 'release'>,
  allocator: Allocator<PeerSetId>,
): PeerSets {
  const sets = new Map<string, Held>();
  const byId = new Map<PeerSetId, Held>();
  const idle = new Set<Held>();
  const bySelector = new Map<CachedSelector, Set<Held>>();
  const dirty = new Set<Identity>();
  let problem: string | undefined;

  const markMembers = ({ selectors }: PeerSet): void => {
    for (const { members } of selectors) for (const member of members) dirty.add(member);
  };
  const create = (selectors: readonly CachedSelector[], key: string): Held | undefined => {
    const number = allocator.acquire(numberKey(selectors));
    if (!number.ok) {
      problem = number.error;
      return undefined;
    }
    problem = undefined;
    const set: Held = { id: number.value, selectors, key, references: 0 };
    sets.set(key, set);
    byId.set(set.id, set);
    for (const selector of selectors) {
      cache.hold(selector);
      bySelector.set(selector, (bySelector.get(selector) ?? new Set()).add(set));
    }
    markMembers(set);
    return set;
  };
  const drop = (set: Held): void => {
    idle.delete(set);
    sets.delete(set.key);
    byId.delete(set.id);
    markMembers(set);
    allocator.release(numberKey(set.selectors));
    for (const selector of set.selectors) {
      const using = bySelector.get(selector);
      using?.delete(set);
      if (using?.size === 0) bySelector.delete(selector);
      cache.release(selector);
    }
  };
  const setsOf = (identity: Identity): readonly PeerSetId[] => {
    const found = new Set<PeerSetId>();
    for (const selector of cache.selectorsOf(identity)) {
      for (const { id } of bySelector.get(selector) ?? []) found.add(id);
    }
    return [...found].sort((a, b) => a - b);
  };
  return {
    acquire(selectors) {
      const key = keyOf(selectors);
      const set = sets.get(key) ?? create(selectors, key);
      if (!set) return undefined;
      set.references++;
      idle.delete(set);
      return set;
    },
    release({ id }) {
      const set = byId.get(id);
      if (!set || --set.references > 0) return;
      idle.add(set);
    },
    touch: (identity) => void dirty.add(identity),
    recompute() {
      for (const set of idle) {
        if (idle.size <= MAX_IDLE) break;
        drop(set);
      }
      for (const identity of dirty) {
        const row = String(identity);
        if (!cache.has(identity)) {
          table.delete(row);
          continue;
        }
        const now = setsOf(identity);
        const before = table.get(row)?.sets;
        if (!before || !areEqual(before, now)) table.set(row, { identity, sets: now });
      }
      dirty.clear();
    },
    problems: () => (problem ? [problem] : []),
  };
}

function keyOf(selectors: readonly CachedSelector[]): string {
  if (selectors.length === 1) return String(selectors[0]?.id);
  return selectors
    .map(({ id }) => id)
    .sort((a, b) => a - b)
    .join();
}

// By what the selectors say: their ids are not the same after a restart, numbers in kernel maps are.
function numberKey(selectors: readonly CachedSelector[]): string {
  const text = selectors
    .map(({ key }) => key)
    .sort()
    .join('|');
  return text.length <= MAX_KEY ? text : `#${createHash('sha256').update(text).digest('base64url')}`;
}

function areEqual(a: readonly PeerSetId[], b: readonly PeerSetId[]): boolean {
  return a.length === b.length && a.every((id, index) => id === b[index]);
}
