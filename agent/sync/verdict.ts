// What the kernel decides from policy entries: the twin of ask_policy in bpf/lib/policy.h, by the numbers of
// agent/policy/precedence.ts.

import type { Identity } from '#common/ids.ts';
import { type L4, l4Covers, l4Key } from '../policy/l4.ts';

/** What an entry does. 'audit' passes like 'allow', and is reported. */
export type EntryAction = 'allow' | 'deny' | 'redirect' | 'audit';

/** A policy entry without its subject and direction. `l4Bits` is the value's, by which ties are decided. */
export interface Entry {
  readonly l4: L4;
  readonly l4Bits: number;
  readonly action: EntryAction;
  readonly precedence: number;
  readonly ruleset: number; // 0: none
  readonly cookie: number;
}

/** Entries of one peer, by l4Key. */
export type PeerTable = ReadonlyMap<number, Entry>;
/** Entries of one subject and direction; peer 0 is any peer. */
export type SubjectTable = ReadonlyMap<Identity, PeerTable>;

export const NO_ENTRIES: PeerTable = new Map();
/** Says what no entry says, where a wider one must be kept from saying more. */
export const NONE: Omit<Entry, 'l4'> = { l4Bits: 0, action: 'deny', precedence: 0, ruleset: 0, cookie: 0 };

/** Rule 1: the entry with the longest prefix that covers `l4`. */
export function longestMatch(table: PeerTable, l4: L4): Entry | undefined {
  const covers = l4Covers(l4);
  for (let i = covers.length - 1; i >= 0; i--) {
    const entry = table.get(l4Key(covers[i] as L4));
    if (entry) return entry;
  }
  return undefined;
}

/** Rules 2 to 5. undefined: denied for want of an entry. */
export function decide(peer: PeerTable, any: PeerTable, l4: L4): Entry | undefined {
  const own = longestMatch(peer, l4);
  const common = longestMatch(any, l4);
  if (!own || !common) return own ?? common;
  if (own.precedence !== common.precedence) return own.precedence > common.precedence ? own : common;
  return common.l4Bits > own.l4Bits ? common : own;
}

/** How much passes: 0 nothing, 1 what the proxy lets through, 2 everything. */
export function wideness(entry: Entry | undefined): 0 | 1 | 2 {
  if (entry?.action === 'allow' || entry?.action === 'audit') return 2;
  return entry?.action === 'redirect' ? 1 : 0;
}

/** Whether `a` lets nothing pass that `b` refuses. Rules of different rulesets may differ either way. */
export function isNarrower(a: Entry | undefined, b: Entry | undefined): boolean {
  if (wideness(a) === 1 && wideness(b) === 1) return a?.ruleset === b?.ruleset;
  return wideness(a) <= wideness(b);
}

/** Whether two entries decide alike, whoever's policies they come from. */
export function decidesLike(a: Entry | undefined, b: Entry | undefined): boolean {
  return wideness(a) === wideness(b) && (a?.action === 'redirect' ? a.ruleset === b?.ruleset : true);
}

/** Whether two entries decide the same, in every company. */
export function sameEntry(a: Entry | undefined, b: Entry | undefined): boolean {
  if (!a || !b) return a === b;
  return a.action === b.action && a.precedence === b.precedence && a.ruleset === b.ruleset && a.l4Bits === b.l4Bits;
}

/** Whether two entries are the same in the map, to the last bit. */
export function sameWrite(a: Entry | undefined, b: Entry | undefined): boolean {
  return sameEntry(a, b) && a?.cookie === b?.cookie;
}

/** What an entry for another key says, at `l4`; undefined: that there is none. */
export function entryAt(l4: L4, said: Entry | undefined): Entry {
  return { ...(said ?? NONE), l4 };
}
