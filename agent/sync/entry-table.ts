// The entries of one subject in one direction, by peer. Most peers of a subject have the same entries, and what is in the
// map is what is wanted: each set of entries of a peer is kept once, and never changed in place.

import type { Identity } from '#common/ids.ts';
import { type L4, l4Key } from '../policy/l4.ts';
import type { Entry, PeerTable, SubjectTable } from './verdict.ts';

export interface EntryTable extends SubjectTable {
  /** Puts an entry in. Returns by how much the table grew: 0 or 1. */
  put(peer: Identity, entry: Entry): number;
  /** Takes an entry out. Returns by how much the table shrank: 0 or 1. */
  take(peer: Identity, l4: L4): number;
}

/** The sets of entries that some table has. */
export interface SharedPeerTables {
  /** The set that is `table` (undefined: empty) with `entry` at its key; a use of `table` becomes one of the result. */
  with(table: PeerTable | undefined, entry: Entry): PeerTable;
  /** The set without what is at the key; undefined: nothing is left. */
  without(table: PeerTable, key: number): PeerTable | undefined;
  /** How many there are. */
  readonly size: number;
}

/** No entries. Tables that share much should share `shared`. */
export function createEntryTable(shared: SharedPeerTables): EntryTable {
  const tables = new Map<Identity, PeerTable>();
  const table: SubjectTable = tables;
  return Object.assign(table, {
    put(peer: Identity, entry: Entry) {
      const before = tables.get(peer);
      const grown = before?.has(l4Key(entry.l4)) ? 0 : 1;
      tables.set(peer, shared.with(before, entry));
      return grown;
    },
    take(peer: Identity, l4: L4) {
      const before = tables.get(peer);
      const key = l4Key(l4);
      if (!before?.has(key)) return 0;
      const after = shared.without(before, key);
      if (after) tables.set(peer, after);
      else tables.delete(peer);
      return 1;
    },
  });
}

/** A set, and how it is found again: by the texts of its entries, in the order of their keys. */
interface Shared {
  readonly table: PeerTable;
  readonly keys: readonly number[];
  readonly texts: readonly string[];
  uses: number;
}

/** None. */
export function createSharedPeerTables(): SharedPeerTables {
  const byText = new Map<string, Shared>();
  const byTable = new Map<PeerTable, Shared>();
  const use = (keys: readonly number[], texts: readonly string[], make: () => PeerTable): PeerTable => {
    const text = texts.length === 1 ? (texts[0] as string) : texts.join();
    let found = byText.get(text);
    if (!found) {
      found = { table: make(), keys, texts, uses: 0 };
      byText.set(text, found);
      byTable.set(found.table, found);
    }
    found.uses++;
    return found.table;
  };
  const release = (shared: Shared | undefined): void => {
    if (!shared || --shared.uses > 0) return;
    byText.delete(shared.texts.join());
    byTable.delete(shared.table);
  };
  return {
    with(table, entry) {
      const key = l4Key(entry.l4);
      const text = textOf(key, entry);
      const before = table && byTable.get(table);
      if (!before) return use([key], [text], () => new Map([[key, entry]]));
      const place = before.keys.findIndex((other) => other >= key);
      const at = place < 0 ? before.keys.length : place;
      const isNew = before.keys[at] !== key;
      if (!isNew && before.texts[at] === text) return before.table;
      const keys = isNew ? before.keys.toSpliced(at, 0, key) : before.keys;
      const texts = before.texts.toSpliced(at, isNew ? 0 : 1, text);
      const after = use(keys, texts, () => new Map(before.table).set(key, entry));
      release(before);
      return after;
    },
    without(table, key) {
      const before = byTable.get(table);
      const at = before?.keys.indexOf(key) ?? -1;
      if (!before || at < 0) return table;
      const [keys, texts] = [before.keys.toSpliced(at, 1), before.texts.toSpliced(at, 1)];
      const make = (): PeerTable => {
        const left = new Map(before.table);
        left.delete(key);
        return left;
      };
      const after = keys.length > 0 ? use(keys, texts, make) : undefined;
      release(before);
      return after;
    },
    get size() {
      return byText.size;
    },
  };
}

function textOf(key: number, { l4Bits, action, precedence, ruleset, cookie }: Entry): string {
  return `${key} ${l4Bits} ${action} ${precedence} ${ruleset} ${cookie}`;
}
