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
  /** The one set that is equal to `entries`, which nobody changes from here on. One use more. */
  use(entries: Map<number, Entry>): PeerTable;
  /** One use less; the last one forgets it. */
  release(table: PeerTable): void;
  /** How many there are. */
  readonly size: number;
}

/** No entries. Tables that share much should share `shared`. */
export function createEntryTable(shared: SharedPeerTables): EntryTable {
  const tables = new Map<Identity, PeerTable>();
  const replace = (peer: Identity, before: PeerTable | undefined, after: Map<number, Entry>): void => {
    if (after.size > 0) tables.set(peer, shared.use(after));
    else tables.delete(peer);
    if (before) shared.release(before);
  };
  const table: SubjectTable = tables;
  return Object.assign(table, {
    put(peer: Identity, entry: Entry) {
      const before = tables.get(peer);
      const key = l4Key(entry.l4);
      replace(peer, before, new Map(before).set(key, entry));
      return before?.has(key) ? 0 : 1;
    },
    take(peer: Identity, l4: L4) {
      const before = tables.get(peer);
      const after = new Map(before);
      if (!after.delete(l4Key(l4))) return 0;
      replace(peer, before, after);
      return 1;
    },
  });
}

/** None. */
export function createSharedPeerTables(): SharedPeerTables {
  const known = new Map<string, PeerTable>();
  const uses = new Map<PeerTable, { readonly text: string; count: number }>();
  return {
    use(entries) {
      const text = textOf(entries);
      const table = known.get(text) ?? entries;
      const use = uses.get(table);
      if (use) use.count++;
      else {
        known.set(text, table);
        uses.set(table, { text, count: 1 });
      }
      return table;
    },
    release(table) {
      const use = uses.get(table);
      if (!use || --use.count > 0) return;
      uses.delete(table);
      known.delete(use.text);
    },
    get size() {
      return known.size;
    },
  };
}

function textOf(entries: PeerTable): string {
  const texts: string[] = [];
  for (const [key, { l4Bits, action, precedence, ruleset, cookie }] of entries) {
    texts.push(`${key} ${l4Bits} ${action} ${precedence} ${ruleset} ${cookie}`);
  }
  return texts.length < 2 ? (texts[0] ?? '') : texts.sort().join(',');
}
