// How one peer's entries change when nothing else does: by writes that each give it only more, or only less.

import type { Identity } from '#common/ids.ts';
import { type L4, l4Covers, l4Key } from '../policy/l4.ts';
import type { Write } from './transition.ts';
import {
  decide,
  type Entry,
  entryAt,
  longestMatch,
  type PeerTable,
  sameEntry,
  sameWrite,
  wideness,
} from './verdict.ts';

/** The entries of a peer before and after. */
export interface PeerChange {
  readonly peer: Identity;
  readonly before: PeerTable;
  readonly after: PeerTable;
}

/** Above every entry of a policy (precedence.ts), which end in at most 0x80 + 127. */
export const ISOLATED = 0xffff_fffe;

/**
 * Number 6 of transition.ts: the writes from `before` to `after`, which give every packet more, or every packet less.
 * `own`: the keys of both.
 */
export function directWrites({ peer, before, after }: PeerChange, own: readonly L4[]): readonly Write[] {
  const targets = own.map((l4) => ({ l4, entry: after.get(l4Key(l4)) ?? longestMatch(after, l4) }));
  const sets = targets
    .flatMap(({ l4, entry }) => (entry ? [{ peer, l4, entry: entryAt(l4, entry) }] : []))
    .sort((a, b) => b.entry.precedence - a.entry.precedence || b.l4.bits - a.l4.bits);
  const gone = own
    .flatMap((l4) => (after.has(l4Key(l4)) ? [] : [{ l4, old: before.get(l4Key(l4)) }]))
    .sort((a, b) => (a.old?.precedence ?? 0) - (b.old?.precedence ?? 0) || a.l4.bits - b.l4.bits);
  return [
    ...sets.filter((set) => !sameWrite(before.get(l4Key(set.l4)), set.entry)),
    ...gone.map(({ l4 }) => ({ peer, l4, entry: undefined })),
  ];
}

/**
 * What the peer's own entries may say in the middle: at each key of both what they said or what they will say, whichever
 * gives less beside `any`. Whether that is the middle at every key is for the caller to see. undefined: there are none.
 */
export function middleOf({ before, after }: PeerChange, any: PeerTable, own: readonly L4[]): PeerTable | undefined {
  const middle = new Map<number, Entry>();
  for (const l4 of [...own].reverse()) {
    const isLess = wideness(decide(after, any, l4)) < wideness(decide(before, any, l4));
    const chosen = isLess ? after : before;
    const said = longestMatch(chosen, l4);
    // What a wider entry says already needs no entry, unless one is there anyway.
    if (!chosen.has(l4Key(l4)) && sameEntry(longestMatch(middle, l4), said)) continue;
    middle.set(l4Key(l4), entryAt(l4, said));
  }
  return isMonotone(middle) ? middle : undefined;
}

/** Rule 7 of precedence.ts; a map that a dead agent left half-written may break it. */
export function isMonotone(table: PeerTable): boolean {
  for (const entry of table.values()) {
    if (entry.precedence >= ISOLATED) return false;
    for (const wider of l4Covers(entry.l4)) {
      if (wider.bits < entry.l4.bits && (table.get(l4Key(wider))?.precedence ?? 0) > entry.precedence) return false;
    }
  }
  return true;
}
