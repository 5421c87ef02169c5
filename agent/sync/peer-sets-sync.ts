// Which sets of peers each identity belongs to, into the map. An identity keeps its place for each set, so that no write
// takes a set away that it still belongs to. What is added counts for editions that are written afterwards, and what is
// removed is named by none: a write by itself changes no verdict. But who finds no room is denied, and so is, until only
// the new editions are asked, who leaves a set that goes on being named or joins one that is named already: its number
// has gone to others, and whoever has it still must not have what is theirs.

import {
  PEER_BOTH,
  PEER_FIRST,
  PEER_SECOND,
  PEER_SET_BLOCKS,
  PEER_SETS_EACH,
  type PeerSetsKey,
  type PeerSetsValue,
} from '#bpf/abi.ts';
import { type Identity, identity, type PeerSetId, peerSetId, RESERVED } from '#common/ids.ts';
import type { ReadonlyTable } from '#common/table.ts';
import type { PeerSetsRow } from '../tables.ts';
import type { CountedMap } from './map.ts';

export interface PeerSetsSync {
  /** Begins an update: rows that change from here on belong to the next one. */
  plan(): void;
  /**
   * Before editions change: adds the sets that identities belong to now, and says which identities only the new editions
   * know, or only the old ones. `isNamed`, `isKept`: some edition in force, some new one names the set. False: an
   * identity that has to be denied is not, and may have more than it shall.
   */
  extend(use: {
    isFresh(identity: Identity): boolean;
    isLeaving(identity: Identity): boolean;
    isNamed(set: PeerSetId): boolean;
    isKept(set: PeerSetId): boolean;
  }): boolean;
  /** When only the new editions are asked: lets in again who was denied because it is in other sets. */
  readmit(): void;
  /** Afterwards: removes what is no more, but for sets that some edition still names, and identities that an address has. */
  shrink(use: { isNamed(set: PeerSetId): boolean; isFresh(identity: Identity): boolean }): void;
  /** Identities that are denied, or not yet as wanted. */
  pending(): readonly string[];
  close(): void;
}

interface Place {
  /** Sets, a whole number of blocks; 0: an empty place. */
  slots: PeerSetId[];
  only: number;
  /** Blocks that are in the map; none: there was no room, and it is denied. */
  blocks: number;
}

const MAX_SETS = PEER_SET_BLOCKS * PEER_SETS_EACH;
const EMPTY = peerSetId(0);

/** Sync of `table` into `map`, which counts as before what it holds. */
// biome-ignore lint/complexity/noExcessiveLinesPerFunction: its parts share one state, and each is short
export function createPeerSetsSync(
  table: ReadonlyTable<PeerSetsRow>,
  map: CountedMap<PeerSetsKey, PeerSetsValue>,
): PeerSetsSync {
  const { places, ...adopted } = adopt(map);
  let { orphans } = adopted;
  const dirty = new Set<Identity>(places.keys());
  // Since they changed: what `shrink` is about. What a dead agent said of editions holds for none of this one's.
  let extended = new Set<Identity>(places.keys());
  let rows: ReadonlyMap<Identity, PeerSetsRow | undefined> = new Map(); // of these, as they are planned
  for (const row of table.values()) dirty.add(row.identity);
  const stop = table.subscribe(({ key }) => void dirty.add(identity(Number(key))));

  // Those that are denied until `readmit`, and all that are, with the reason.
  const withheld = new Set<Identity>();
  const refused = new Map<Identity, string>();
  const look = (ids: Iterable<Identity>): void => {
    for (const id of ids) {
      const { blocks = 0, slots = [] } = places.get(id) ?? {};
      if (withheld.has(id)) refused.set(id, 'in other sets than before');
      else if (!places.has(id)) refused.delete(id);
      else if (slots.length > MAX_SETS) refused.set(id, `in more than ${MAX_SETS} sets`);
      else if (blocks === 0) refused.set(id, 'no room');
      else refused.delete(id);
    }
  };
  const writes = createWrites(map);
  const appear = (id: Identity, { sets }: PeerSetsRow, only: number): void => {
    const place: Place = { slots: padded(sets), only, blocks: 0 };
    places.set(id, place);
    writes.put(id, place, blocksOf(place));
  };
  const grow = (id: Identity, place: Place, { sets }: PeerSetsRow): void => {
    const kept = place.slots.filter((set) => set !== EMPTY);
    if (place.slots.length > MAX_SETS && new Set([...kept, ...sets]).size <= MAX_SETS) {
      // It was denied, and needs fewer blocks by now: it begins anew.
      if (!writes.remove(id, place)) return;
      place.slots = padded(kept);
    }
    const blocks = new Set<number>(place.blocks === 0 ? blocksOf(place) : []);
    for (const set of sets) {
      if (place.slots.includes(set)) continue;
      let at = place.slots.indexOf(EMPTY);
      if (at < 0) {
        at = place.slots.length;
        blocks.add(at / PEER_SETS_EACH - 1); // it says that there is another block
        place.slots.push(...padded([]));
      }
      place.slots[at] = set;
      blocks.add(Math.floor(at / PEER_SETS_EACH));
    }
    writes.put(id, place, blocks);
  };
  /** Both editions know it from now on. Empties the places of sets that are not in `row`; returns whether all of them are. */
  const prune = (
    id: Identity,
    place: Place,
    row: PeerSetsRow | undefined,
    isNamed: (set: PeerSetId) => boolean,
  ): boolean => {
    const wanted = new Set(row?.sets ?? place.slots);
    const gone = place.slots.flatMap((set, at) => (set !== EMPTY && !wanted.has(set) ? [at] : []));
    const free = gone.filter((at) => !isNamed(place.slots[at] as PeerSetId));
    const blocks = new Set(free.map((at) => Math.floor(at / PEER_SETS_EACH)));
    for (const at of free) place.slots[at] = EMPTY;
    if (place.only !== PEER_BOTH) blocks.add(0);
    place.only = PEER_BOTH;
    if (place.blocks > 0) writes.put(id, place, blocks);
    return free.length === gone.length;
  };

  /** It begins anew: at once if no address has it, else it is denied from now on. False: it is not. */
  const replace = (
    id: Identity,
    place: Place,
    to: { readonly row: PeerSetsRow; readonly isFresh: boolean },
  ): boolean => {
    if (!writes.remove(id, place)) return false;
    places.delete(id);
    if (to.isFresh) appear(id, to.row, PEER_SECOND);
    else withheld.add(id);
    return true;
  };

  return {
    plan() {
      extended = extended.union(dirty);
      dirty.clear();
      rows = new Map(Array.from(extended, (id) => [id, table.get(String(id))]));
    },
    extend({ isFresh, isLeaving, isNamed, isKept }) {
      let isSafe = true;
      orphans = orphans.filter((key) => !map.delete(key));
      for (const [id, row] of rows) {
        const place = places.get(id);
        if (row && place && (leaves(place, row, isKept) || joins(place, row, isNamed))) {
          isSafe = replace(id, place, { row, isFresh: isFresh(id) }) && isSafe;
        } else if (row && place) grow(id, place, row);
        else if (row && !withheld.has(id)) appear(id, row, isFresh(id) ? PEER_SECOND : PEER_BOTH);
        else if (place && place.blocks > 0 && isLeaving(id)) {
          place.only = PEER_FIRST;
          writes.put(id, place, [0]);
        }
      }
      writes.flush();
      look(extended);
      return isSafe;
    },
    readmit() {
      const ids = [...withheld];
      withheld.clear();
      for (const id of ids) {
        const row = rows.get(id);
        if (row) appear(id, row, PEER_BOTH);
      }
      writes.flush();
      look(ids);
    },
    shrink({ isNamed, isFresh }) {
      const touched = [...extended];
      for (const id of extended) {
        const row = table.get(String(id));
        const place = places.get(id);
        // What has changed since is not in force yet: all of it is left for the next time.
        if (place && (row || dirty.has(id))) {
          const isPruned = prune(id, place, dirty.has(id) ? undefined : row, isNamed);
          const isKnown = place.blocks > 0 && place.slots.length <= MAX_SETS;
          const isAll = isKnown && row?.sets.every((set) => place.slots.includes(set));
          if (isPruned && isAll) extended.delete(id);
          continue;
        }
        if (place && isFresh(id) && writes.remove(id, place)) places.delete(id);
        if (!row && !places.has(id)) extended.delete(id);
      }
      writes.flush();
      look(touched);
    },
    pending: () => [...refused].map(([id, why]) => `peer ${id}: ${why}`),
    close: stop,
  };
}

interface Writes {
  put(id: Identity, place: Place, blocks: Iterable<number>): void;
  /** At once. False: some block is still there. */
  remove(id: Identity, place: Place): boolean;
  flush(): void;
}

/** Writes to the map, many with one system call. An identity of which some block finds no room loses all of them. */
function createWrites(map: CountedMap<PeerSetsKey, PeerSetsValue>): Writes {
  type Write = { readonly id: Identity; readonly place: Place; readonly block: number };
  let adds: Write[] = [];
  let replaces: Write[] = [];
  const remove = (id: Identity, place: Place): boolean => {
    place.blocks = 0;
    // From the first one: from then on it is denied.
    return blocksOf(place).every((block) => map.delete({ identity: id, block }));
  };
  const carryOut = (list: readonly Write[], write: 'addMany' | 'replaceMany'): void => {
    for (let rest = list; rest.length > 0; ) {
      const done = map[write](
        rest.map(({ id, place, block }) => [{ identity: id, block }, blockOf(id, place, block)] as const),
      );
      const failed = rest[done];
      for (const { place } of rest.slice(0, done)) place.blocks = place.slots.length / PEER_SETS_EACH;
      if (failed) remove(failed.id, failed.place);
      rest = rest.slice(done + 1).filter(({ place }) => place !== failed?.place);
    }
  };
  return {
    put(id, place, blocks) {
      // From the last one: a block is there before another one says so.
      for (const block of [...blocks].sort((a, b) => b - a)) {
        (block < place.blocks ? replaces : adds).push({ id, place, block });
      }
    },
    remove,
    flush() {
      const [added, replaced] = [adds, replaces];
      [adds, replaces] = [[], []];
      carryOut(added, 'addMany');
      carryOut(
        replaced.filter(({ place }) => place.blocks > 0),
        'replaceMany',
      );
    },
  };
}

/** Whether it is in a set that its row does not have, and that goes on being named. */
function leaves({ slots }: Place, { sets }: PeerSetsRow, isKept: (set: PeerSetId) => boolean): boolean {
  return slots.some((set) => set !== EMPTY && !sets.includes(set) && isKept(set));
}

/** Whether its row has a set that it is not in, and that is named. The node alone is who it was: it may have it at once. */
function joins({ slots }: Place, { identity: id, sets }: PeerSetsRow, isNamed: (set: PeerSetId) => boolean): boolean {
  return id !== RESERVED.host && sets.some((set) => !slots.includes(set) && isNamed(set));
}

function blocksOf({ slots }: Place): readonly number[] {
  return [...Array(slots.length / PEER_SETS_EACH).keys()];
}

/** In blocks; an identity in no set has one as well: it is known. */
function padded(sets: readonly PeerSetId[]): PeerSetId[] {
  const length = Math.max(1, Math.ceil(sets.length / PEER_SETS_EACH)) * PEER_SETS_EACH;
  return [...sets, ...Array<PeerSetId>(length - sets.length).fill(EMPTY)];
}

/** Of an identity in too many sets the kernel reads as many blocks as it may, and that there is another one: denied. */
function blockOf(id: Identity, { slots, only }: Place, block: number): PeerSetsValue {
  const from = block * PEER_SETS_EACH;
  return {
    identity: id,
    more: from + PEER_SETS_EACH < slots.length ? 1 : 0,
    only: block === 0 ? only : PEER_BOTH,
    sets: slots.slice(from, from + PEER_SETS_EACH),
  };
}

interface Adopted {
  readonly places: Map<Identity, Place>;
  /** Blocks that the kernel does not come to: an agent died between writing them and saying so, or while it deleted. */
  readonly orphans: readonly PeerSetsKey[];
}

function adopt(map: CountedMap<PeerSetsKey, PeerSetsValue>): Adopted {
  const places = new Map<Identity, Place>();
  const orphans: PeerSetsKey[] = [];
  for (const [id, rows] of Map.groupBy(map.adopt(), ([key]) => key.identity)) {
    const ordered = rows.sort(([a], [b]) => a.block - b.block);
    const last = ordered.findIndex(([{ block }, { more }], index) => block !== index || !more);
    // Without its first block, or with one missing in between, it has none.
    const known = ordered[last]?.[0].block === last ? ordered.slice(0, last + 1) : [];
    orphans.push(...ordered.slice(known.length).map(([key]) => key));
    if (!known[0]) continue;
    const slots = known.flatMap(([, { sets }]) => sets.map((set) => peerSetId(set)));
    places.set(identity(id), { slots, only: known[0][1].only, blocks: known.length });
  }
  return { places, orphans };
}
