// What all rules together say of one direction: the entries for each peer and the content of each ruleset, made once
// for all subjects that the same rules select.

import type { Identity } from '#common/ids.ts';
import type { PeerRules } from '../tables.ts';
import { type Cells, createCells } from './cells.ts';
import { anyPeerEntries } from './entries.ts';
import { createGroups, type PeerChange, type PeerItems } from './groups.ts';
import { type L4, l4Key } from './l4.ts';
import type { Item } from './rules.ts';
import { rulesetContent } from './ruleset-content.ts';
import type { CachedSelector, SelectorCache } from './selector-cache.ts';
import type { TemplateStore, Templates } from './templates.ts';

export interface PlanChanges {
  readonly peers: readonly PeerChange[];
  /** Entries for any peer, if they are others than before. */
  readonly anyPeer: Omit<PeerChange, 'peer'> | undefined;
  /** Where (l4Key) rulesets may have another content than was last asked for. */
  readonly rulesets: ReadonlySet<number>;
}

export interface Plan {
  /** Selectors that appear as peers. */
  readonly selectors: Iterable<CachedSelector>;
  readonly anyPeer: Templates;
  /** How many entries a subject gets. */
  readonly entryCount: number;
  /** Peers that have entries of their own, with these. */
  peers(): Iterable<readonly [Identity, Templates]>;
  peer(identity: Identity): Templates;
  /** Content of the ruleset at `l4`. */
  ruleset(l4: L4): readonly PeerRules[];
  /** Looks at the selectors of `identities` again, because members of `selectors` have changed. */
  refresh(identities: Iterable<Identity>, selectors: ReadonlySet<CachedSelector>): PlanChanges;
  /** Makes it a plan of other items. Costs what they have in common with the old ones nothing but a look at each group. */
  remake(items: readonly Item[]): PlanChanges;
  dispose(): void;
}

/** Makes a plan from items. The order in which they are given does not matter. */
export function createPlan(
  items: readonly Item[],
  context: { readonly cache: Pick<SelectorCache, 'selectorsOf'>; readonly store: TemplateStore },
): Plan {
  const { cache, store } = context;
  let bySelector: ReadonlyMap<CachedSelector, PeerItems> = new Map();
  let anyCells = createCells([]);
  let anyPeer: Templates = store.acquire([]);
  const groups = createGroups(anyCells, store);
  const contents = createContents();

  const place = (identities: Iterable<Identity>): PeerChange[] => {
    const changes: PeerChange[] = [];
    for (const identity of identities) {
      const selected: PeerItems[] = [];
      for (const selector of cache.selectorsOf(identity)) {
        const known = bySelector.get(selector);
        if (known) selected.push(known);
      }
      const change = groups.place(identity, selected);
      if (change) changes.push(change);
    }
    return changes;
  };
  const remake = (next: readonly Item[]): PlanChanges => {
    const before = { bySelector, anyPeer };
    bySelector = indexSelectors(next);
    anyCells = createCells(next.filter((item) => item.peers === 'any'));
    anyPeer = store.acquire(anyPeerEntries(anyCells));
    store.release(before.anyPeer);
    const remade = groups.remake(bySelector, anyCells);
    const moved = place(movedPeers(before.bySelector, bySelector));
    const isSame = anyPeer === before.anyPeer;
    return {
      peers: inOrder(remade, moved),
      anyPeer: isSame ? undefined : { before: before.anyPeer, after: anyPeer },
      rulesets: contents.reset(createCells(next)),
    };
  };
  remake(items);

  return {
    get selectors() {
      return bySelector.keys();
    },
    get anyPeer() {
      return anyPeer;
    },
    get entryCount() {
      return anyPeer.length + groups.entryCount;
    },
    peers: groups.peers,
    peer: groups.templatesOf,
    ruleset: contents.get,
    refresh: (identities, selectors) => ({
      peers: place(identities),
      anyPeer: undefined,
      rulesets: contents.forget(selectors),
    }),
    remake,
    dispose() {
      store.release(anyPeer);
      groups.dispose();
    },
  };
}

function indexSelectors(items: readonly Item[]): ReadonlyMap<CachedSelector, PeerItems> {
  const index = new Map<CachedSelector, PeerItems & { readonly items: Item[] }>();
  for (const item of items) {
    if (item.peers === 'any' || item.parts.length === 0) continue;
    for (const selector of item.peers) {
      const known = index.get(selector);
      if (known) known.items.push(item);
      else index.set(selector, { selector, items: [item] });
    }
  }
  return index;
}

/** Members of the selectors that only one of the two has. */
function movedPeers(
  before: ReadonlyMap<CachedSelector, unknown>,
  after: ReadonlyMap<CachedSelector, unknown>,
): ReadonlySet<Identity> {
  const moved = new Set<Identity>();
  for (const [one, other] of [
    [before, after],
    [after, before],
  ] as const) {
    for (const selector of one.keys()) {
      if (!other.has(selector)) for (const member of selector.members) moved.add(member);
    }
  }
  return moved;
}

/** Changes that follow on one another; a peer that is in both lists changed twice. */
function inOrder(first: readonly PeerChange[], then: readonly PeerChange[]): readonly PeerChange[] {
  if (first.length === 0 || then.length === 0) return first.length === 0 ? then : first;
  return [...first, ...then];
}

/** Contents of rulesets, made when they are asked for. */
function createContents(): {
  get(l4: L4): readonly PeerRules[];
  /** Forgets those with members of the selectors. Returns where (l4Key) they are. */
  forget(selectors: ReadonlySet<CachedSelector>): ReadonlySet<number>;
  /** Goes on with other cells. */
  reset(cells: Cells): ReadonlySet<number>;
} {
  const known = new Map<number, { readonly rules: readonly PeerRules[]; readonly on: ReadonlySet<CachedSelector> }>();
  let cells: Cells = createCells([]);
  return {
    get(l4) {
      const at = l4Key(l4);
      let content = known.get(at);
      if (!content) {
        const uses = cells.covering(l4);
        const on = new Set(uses.flatMap(({ item }) => (item.peers === 'any' ? [] : item.peers)));
        content = { rules: rulesetContent(uses), on };
        known.set(at, content);
      }
      return content.rules;
    },
    forget(selectors) {
      const stale = new Set<number>();
      for (const [at, { on }] of known) if (!selectors.isDisjointFrom(on)) stale.add(at);
      for (const at of stale) known.delete(at);
      return stale;
    },
    reset(next) {
      const stale = new Set(known.keys());
      known.clear();
      cells = next;
      return stale;
    },
  };
}
