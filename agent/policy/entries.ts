// The entries of one peer, whoever it is: what all rules say together at each key. The numbers are those of
// precedence.ts.

import type { RuleOrigin } from '../tables.ts';
import { type Cells, createCells, type Use } from './cells.ts';
import { type L4, l4Key } from './l4.ts';
import type { EntryKind } from './precedence.ts';
import type { Item } from './rules.ts';

/** What a policy entry will say. */
export interface EntryDraft {
  readonly l4: L4;
  readonly kind: EntryKind;
  /** The rules that said so, sorted; none: built in. */
  readonly origins: readonly RuleOrigin[];
}

/** The entries for any peer. `any`: the items that are about everybody. */
export function anyPeerEntries(any: Cells): readonly EntryDraft[] {
  return [...any.values()].flatMap(({ l4 }) => entryOf(l4, any.covering(l4)));
}

/** The entries of a peer that `own` items, and no others, are about by name. */
export function peerEntries(own: Iterable<Item>, any: Cells): readonly EntryDraft[] {
  const cells = createCells(own);
  const drafts = [...cells.values()].flatMap(({ l4 }) => entryOf(l4, [...cells.covering(l4), ...any.covering(l4)]));
  if (!cells.wantsProxy && !any.refuses) return drafts;
  for (const { l4, key } of any.values()) {
    if (cells.has(key)) continue;
    const mine = cells.covering(l4);
    if (mine.length === 0) continue;
    const common = any.covering(l4);
    // Rule 8.
    if (mine.some(wantsProxy) || common.some((use) => use.part.kind === 'refuse')) {
      drafts.push(...entryOf(l4, [...mine, ...common]));
    }
  }
  return drafts;
}

// Rule 6.
function entryOf(l4: L4, uses: readonly Use[]): readonly EntryDraft[] {
  const kind = strongest(uses);
  if (kind === undefined) return [];
  const behind = uses.filter((use) => (use.part.kind === 'deny') === (kind === 'deny'));
  return [{ l4, kind, origins: originsOf(behind) }];
}

function strongest(uses: readonly Use[]): EntryKind | undefined {
  let [allows, proxy] = [false, false];
  for (const { part } of uses) {
    if (part.kind === 'deny') return 'deny';
    if (part.kind !== 'refuse') allows = true;
    if (part.kind !== 'allow') proxy = true;
  }
  return allows ? (proxy ? 'redirect' : 'allow') : undefined;
}

function wantsProxy({ part }: Use): boolean {
  return part.kind === 'redirect' || part.kind === 'refuse';
}

/** The rules behind uses, each once, in an order that does not depend on theirs. */
export function originsOf(uses: readonly Use[]): readonly RuleOrigin[] {
  const origins = new Set<RuleOrigin>();
  for (const { item } of uses) if (item.origin) origins.add(item.origin);
  const list = [...origins];
  return list.length < 2 ? list : list.sort(byPlace);
}

function byPlace(a: RuleOrigin, b: RuleOrigin): number {
  if (a.policy !== b.policy) return a.policy < b.policy ? -1 : 1;
  return a.field < b.field ? -1 : a.field > b.field ? 1 : 0;
}

/** A key for Map, unique among the entries of one peer. */
export function draftKey(draft: EntryDraft): number {
  return l4Key(draft.l4);
}
