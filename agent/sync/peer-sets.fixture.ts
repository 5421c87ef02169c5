// For tests: sync of peer sets by itself, and what the kernel finds in its map.

import { PEER_SET_BLOCKS, type PeerSetsKey, type PeerSetsValue, peerSetsKey } from '#bpf/abi.ts';
import { type Identity, identity, peerSetId } from '#common/ids.ts';
import { createTable } from '#common/table.ts';
import type { PeerSetsRow } from '../tables.ts';
import { type FakeMap, fakeMap } from './fake-map.ts';
import { countMap } from './map.ts';
import { createPeerSetsSync } from './peer-sets-sync.ts';

export type SetsMap = FakeMap<PeerSetsKey, PeerSetsValue>;

export const [A, B] = [identity(400), identity(401)];

/** The sets from `first` to `last`. */
export function range(first: number, last: number): readonly number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

export interface Use {
  /** Sets that some edition names, and that new ones name; none otherwise. */
  readonly named?: readonly number[];
  readonly kept?: readonly number[];
  /** Identities that no address has, and that none shall have. */
  readonly fresh?: readonly Identity[];
  readonly leaving?: readonly Identity[];
}

/** Sync of a table into a map, both empty if they are not given. */
export function peerSetsRig(map: SetsMap = fakeMap(peerSetsKey), table = createTable<PeerSetsRow>('peer sets')) {
  const counted = countMap('peer_sets', map);
  const sync = createPeerSetsSync(table, counted);
  const extend = ({ fresh = [], leaving = [], named = [], kept = [] }: Use = {}): boolean => {
    sync.plan();
    return sync.extend({
      isFresh: (id) => fresh.includes(id),
      isLeaving: (id) => leaving.includes(id),
      isNamed: (set) => named.includes(set),
      isKept: (set) => kept.includes(set),
    });
  };
  const shrink = ({ named = [], fresh = [] }: Use = {}): void =>
    sync.shrink({ isNamed: (set) => named.includes(set), isFresh: (id) => fresh.includes(id) });
  return {
    map,
    table,
    counted,
    sync,
    join: (id: Identity, sets: readonly number[]): void =>
      table.set(String(id), { identity: id, sets: sets.map(peerSetId) }),
    leave: (id: Identity): void => table.delete(String(id)),
    extend,
    shrink,
    /** A whole update. */
    update(use: Use = {}): void {
      if (extend(use)) sync.readmit();
      shrink(use);
    },
  };
}

/** The sets of a peer as the kernel finds them (bpf/lib/editions.h), ascending; undefined: it is denied. */
export function seen(map: SetsMap, id: Identity): readonly number[] | undefined {
  const sets: number[] = [];
  for (let block = 0; block < PEER_SET_BLOCKS; block++) {
    const row = map.get({ identity: id, block });
    if (!row) return undefined;
    sets.push(...row.sets.filter((set) => set !== 0));
    if (!row.more) return sets.sort((a, b) => a - b);
  }
  return undefined;
}

/** Blocks that the map has of an identity. */
export const blocksOf = (map: SetsMap, id: Identity): readonly number[] =>
  map
    .entries()
    .flatMap(([key]) => (key.identity === id ? [key.block] : []))
    .sort((a, b) => a - b);

/** Calls `check` after every single write. Returns how many there were. */
export function watch(map: SetsMap, check: () => void, act: () => void): number {
  const before = map.writes;
  const failures: unknown[] = [];
  map.onWrite = () => {
    try {
      check();
    } catch (error) {
      failures.push(error); // a map that throws would be taken for a full one
    }
  };
  act();
  map.onWrite = undefined;
  if (failures.length > 0) throw failures[0];
  return map.writes - before;
}
