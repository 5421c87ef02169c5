// What the kernel decides from policy entries: the twin of ask_policy in bpf/lib/policy.h, by the numbers of
// agent/policy/precedence.ts.

import { type L4, l4Covers, l4Key } from './l4.ts';

/** What an entry does. 'refuse' by itself lets nothing pass; 'audit' passes like 'allow', and is reported. */
export type EntryAction = 'allow' | 'deny' | 'redirect' | 'refuse' | 'audit';

/** What a policy entry says of its key. */
export interface Entry {
  readonly l4Bits: number;
  readonly action: EntryAction;
  readonly precedence: number;
}

/** Entries of one set of peers, by l4Key. */
export type SetTable<E extends Entry = Entry> = ReadonlyMap<number, E>;

/** What becomes of a packet. */
export interface Decision<E extends Entry> {
  readonly verdict: 'allow' | 'deny' | 'redirect' | 'audit';
  /** The entry that wins; undefined: denied for want of one that lets pass. */
  readonly entry: E | undefined;
  /** Entries without which the verdict might be another one. */
  readonly behind: readonly E[];
}

/** Rule 1 for one set: the entry with the longest prefix that covers `l4`. */
export function longestMatch<E extends Entry>(table: SetTable<E> | undefined, l4: L4): E | undefined {
  if (!table) return undefined;
  const covers = l4Covers(l4);
  for (let i = covers.length - 1; i >= 0; i--) {
    const entry = table.get(l4Key(covers[i] as L4));
    if (entry) return entry;
  }
  return undefined;
}

/** Rules 1 to 5. `tables`: of any peer, then of each set that the peer belongs to; undefined: it has no entries. */
export function decide<E extends Entry>(tables: Iterable<SetTable<E> | undefined>, l4: L4): Decision<E> {
  const holding: E[] = [];
  for (const table of tables) {
    const entry = longestMatch(table, l4);
    if (entry) holding.push(entry);
  }
  const won = holding.reduce<E | undefined>((best, entry) => (best && beats(best, entry) ? best : entry), undefined);
  if (!won) return { verdict: 'deny', entry: undefined, behind: [] };
  if (won.action === 'deny' || won.action === 'audit') {
    return { verdict: won.action, entry: won, behind: holding.filter(({ action }) => action === won.action) };
  }
  if (!holding.some(({ action }) => action === 'allow' || action === 'redirect')) {
    return { verdict: 'deny', entry: undefined, behind: [] };
  }
  return { verdict: won.action === 'allow' ? 'allow' : 'redirect', entry: won, behind: holding };
}

// Rules 2 to 4, where `entry` comes after `best`.
function beats(best: Entry, entry: Entry): boolean {
  if (best.precedence !== entry.precedence) return best.precedence > entry.precedence;
  return best.l4Bits > entry.l4Bits;
}

/** How much passes: 0 nothing, 1 what the proxy lets through, 2 everything. */
export function wideness({ verdict }: Pick<Decision<Entry>, 'verdict'>): 0 | 1 | 2 {
  if (verdict === 'allow' || verdict === 'audit') return 2;
  return verdict === 'redirect' ? 1 : 0;
}
