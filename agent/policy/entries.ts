// The entries for one set of peers: what the rules that name the set say at each key. The numbers are those of
// precedence.ts.

import type { RuleOrigin } from '../tables.ts';
import type { Cells, Use } from './cells.ts';
import { type L4, l4Key } from './l4.ts';
import type { EntryKind } from './precedence.ts';

/** What a policy entry will say. */
export interface EntryDraft {
  readonly l4: L4;
  readonly kind: EntryKind;
  /** The rules that said so, sorted; none: built in. */
  readonly origins: readonly RuleOrigin[];
}

/** The entries of the set that the items of `own` are about. `all`: the items about every set, `own` included. */
export function entriesOf(own: Cells, all: () => Cells): readonly EntryDraft[] {
  const drafts = [...own.values()].map(({ l4 }) => entryOf(l4, own.covering(l4)));
  if (!own.wantsProxy) return drafts;
  for (const { l4, key } of all().values()) {
    if (own.has(key)) continue;
    const uses = own.covering(l4);
    if (uses.some(wantsProxy)) drafts.push(entryOf(l4, uses)); // rule 8
  }
  return drafts;
}

// Rule 6.
function entryOf(l4: L4, uses: readonly Use[]): EntryDraft {
  const kind = strongest(uses);
  const behind = uses.filter((use) => (use.part.kind === 'deny') === (kind === 'deny'));
  return { l4, kind, origins: originsOf(behind) };
}

function strongest(uses: readonly Use[]): EntryKind {
  let [allows, proxy] = [false, false];
  for (const { part } of uses) {
    if (part.kind === 'deny') return 'deny';
    if (part.kind !== 'refuse') allows = true;
    if (part.kind !== 'allow') proxy = true;
  }
  return allows ? (proxy ? 'redirect' : 'allow') : 'refuse';
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

/** A key for Map, unique among the entries of one set. */
export function draftKey(draft: EntryDraft): number {
  return l4Key(draft.l4);
}
