// Editions: whole sets of entries for one subject and direction, each under a number of its own. An edition is written
// before the kernel is told of it, and never changed while it is, but for entries that let pass and had found no room.

import type { PolicyKey, PolicyValue } from '#bpf/abi.ts';
import type { PeerSetId } from '#common/ids.ts';
import type { CountedMap } from './map.ts';
import {
  type EditionEntry,
  type Entries,
  entryKey,
  entryOf,
  NOTHING,
  policyKeyOf,
  policyValueOf,
  split,
} from './policy-subject.ts';

export interface Edition {
  /** 0: the one without entries, which the map does not have. */
  readonly number: number;
  readonly entries: Entries;
  /** Sets of peers that its entries name, without any peer. */
  readonly sets: ReadonlySet<PeerSetId>;
  /** A bit for each of them, as the kernel wants it: number % 256, in words of 32 bits. */
  readonly filter: readonly number[];
  /** Entries that are not in the map yet. They only let pass: without them it is narrower. */
  readonly missing: readonly EditionEntry[];
}

export interface Editions {
  /** What the map held when this began, by number. */
  adopted(): ReadonlyMap<number, Edition>;
  /** Writes new editions. undefined: what one takes away did not find room, so nothing of it is in the map. */
  write(all: readonly Entries[]): readonly (Edition | undefined)[];
  /** Writes what is missing of an edition, as far as there is room. */
  complete(edition: Edition): void;
  /** The kernel no longer knows the edition: its entries are deleted when `clean` is called, or their room is needed. */
  discard(edition: Edition): void;
  clean(): void;
  /** Whether an edition that is not discarded names the set. */
  names(set: PeerSetId): boolean;
}

/** Everything is denied. */
export const NO_EDITION: Edition = { number: 0, entries: NOTHING, sets: new Set(), filter: filterOf([]), missing: [] };

interface Written extends Edition {
  missing: readonly EditionEntry[];
}

/** Editions in `map`. `named`: numbers that the kernel may still ask for, also if the map has no entry of them. */
// biome-ignore lint/complexity/noExcessiveLinesPerFunction: its parts share one state, and each is short
export function createEditions(map: CountedMap<PolicyKey, PolicyValue>, named: Iterable<number> = []): Editions {
  const uses = new Map<PeerSetId, number>();
  const known = new Map<number, Written>();
  const discarded = new Set<Edition>();
  let garbage: PolicyKey[] = [];
  let last = 0;

  const begin = (number: number, entries: Entries): Written => {
    const sets = new Set<PeerSetId>();
    for (const { peers } of entries.values()) if (peers !== 0) sets.add(peers);
    for (const set of sets) uses.set(set, (uses.get(set) ?? 0) + 1);
    const edition: Written = { number, entries, sets, filter: filterOf(sets), missing: [] };
    known.set(number, edition);
    return edition;
  };
  const beginNew = (entries: Entries): Written => {
    last = nextNumber(last, known);
    return begin(last, entries);
  };
  const end = ({ number, sets }: Edition): void => {
    if (!known.delete(number)) return;
    for (const set of sets) {
      const left = (uses.get(set) ?? 1) - 1;
      if (left > 0) uses.set(set, left);
      else uses.delete(set);
    }
  };
  const waste = (keys: readonly PolicyKey[]): void => {
    for (const key of keys) garbage.push(key);
  };
  /** What nobody waits for. */
  const sweep = (): void => {
    for (const edition of discarded) {
      if (known.get(edition.number) !== edition) continue;
      end(edition);
      waste(keysOf(edition));
    }
    discarded.clear();
  };
  const clean = (): void => {
    sweep();
    garbage = garbage.slice(map.deleteMany(garbage));
  };
  const makeRoom = (entries: number): boolean => {
    if (entries > map.capacity - map.size) clean();
    return entries <= map.capacity - map.size;
  };
  /** Writes entries in their order. Returns how many. */
  const add = (number: number, entries: readonly EditionEntry[]): number => {
    makeRoom(entries.length);
    return map.addMany(entries.map((entry) => [policyKeyOf(number, entry), policyValueOf(entry)] as const));
  };
  const writeAlone = (entries: Entries): Edition | undefined => {
    const edition = beginNew(entries);
    const [allows, strict] = split(entries);
    const written = add(edition.number, strict);
    if (written === strict.length) {
      edition.missing = allows.slice(add(edition.number, allows));
      return edition;
    }
    end(edition);
    waste(strict.slice(0, written).map((entry) => policyKeyOf(edition.number, entry)));
    clean();
    return undefined;
  };
  /** All of them by one system call, if there is room. */
  const writeTogether = (all: readonly Entries[]): readonly Edition[] | undefined => {
    if (!makeRoom(all.reduce((sum, { size }) => sum + size, 0))) return undefined;
    const made = all.map(beginNew);
    const rows = made.flatMap(({ number, entries }) =>
      Array.from(entries.values(), (entry) => [policyKeyOf(number, entry), policyValueOf(entry)] as const),
    );
    const done = map.addMany(rows);
    if (done === rows.length) return made;
    for (const edition of made) end(edition);
    waste(rows.slice(0, done).map(([key]) => key));
    clean();
    return undefined;
  };

  const found = new Map<number, Map<string, EditionEntry>>();
  for (const [key, value] of map.adopt()) {
    const entries = found.get(key.edition) ?? new Map<string, EditionEntry>();
    const entry = entryOf(key, value);
    found.set(key.edition, entries.set(entryKey(entry), entry));
  }
  for (const [number, entries] of found) begin(number, entries);
  for (const number of [...found.keys(), ...named]) last = Math.max(last, number);

  return {
    adopted: () => known,
    write(all) {
      const wanted = all.filter(({ size }) => size > 0);
      const written = wanted.length > 0 ? (writeTogether(wanted) ?? wanted.map(writeAlone)) : [];
      let next = 0;
      return all.map(({ size }) => (size > 0 ? written[next++] : NO_EDITION));
    },
    complete(edition) {
      const own = known.get(edition.number);
      if (own && own.missing.length > 0 && !discarded.has(edition))
        own.missing = own.missing.slice(add(own.number, own.missing));
    },
    discard(edition) {
      if (edition.number !== 0) discarded.add(edition);
    },
    clean,
    names(set) {
      sweep();
      return uses.has(set);
    },
  };
}

function keysOf({ number, entries, missing }: Edition): PolicyKey[] {
  const absent = new Set(missing);
  const keys: PolicyKey[] = [];
  for (const entry of entries.values()) if (!absent.has(entry)) keys.push(policyKeyOf(number, entry));
  return keys;
}

function filterOf(sets: Iterable<PeerSetId>): readonly number[] {
  const words = [0, 0, 0, 0, 0, 0, 0, 0];
  for (const set of sets) {
    const word = (set >>> 5) % words.length;
    words[word] = ((words[word] ?? 0) | (1 << (set & 31))) >>> 0;
  }
  return words;
}

/** A number that no edition has. They are given out in a circle: one that has ended is not soon another one's. */
function nextNumber(last: number, known: ReadonlyMap<number, Edition>): number {
  let number = last;
  do number = (number % 0xffff_fffe) + 1;
  while (known.has(number));
  return number;
}
