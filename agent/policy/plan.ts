// What all rules together say of one direction: the entries for each set of peers and the content of each ruleset, made
// once for all subjects that the same rules select.

import type { PeerSetId } from '#common/ids.ts';
import type { PeerRules } from '../ruleset-rows.ts';
import { type Cells, createCells } from './cells.ts';
import { entriesOf } from './entries.ts';
import type { L4 } from './l4.ts';
import { ANY_PEERS, type PeerSet, type PeerSets } from './peer-sets.ts';
import type { Item } from './rules.ts';
import { createContents } from './ruleset-content.ts';
import type { CachedSelector } from './selector-cache.ts';
import type { TemplateStore, Templates } from './templates.ts';

/** Entries for one set of peers that are others than before, or the same ones made of other items. */
export interface EntryChange {
  readonly peers: PeerSetId;
  readonly before: Templates;
  readonly after: Templates;
}

export interface PlanChanges {
  readonly entries: readonly EntryChange[];
  /** Where (l4Key) rulesets may have another content than was last asked for. */
  readonly rulesets: ReadonlySet<number>;
}

/** What a subject gets. */
export interface PlanView {
  /** How many entries. */
  readonly entryCount: number;
  /** No number was left for some set of peers: what is said of it is missing, so nothing may pass. */
  readonly isIncomplete: boolean;
  /** Sets that have entries, with these. */
  entries(): Iterable<readonly [PeerSetId, Templates]>;
  /** Those of one set. */
  entriesOf(peers: PeerSetId): Templates;
  /** Content of the ruleset at `l4`. */
  ruleset(l4: L4): readonly PeerRules[];
}

export interface Plan extends PlanView {
  /** Selectors whose members rulesets list. */
  readonly selectors: ReadonlySet<CachedSelector>;
  /** What is said of one set. */
  itemsOf(peers: PeerSetId): Iterable<Item>;
  /** Members of `selectors` have changed. */
  refresh(selectors: ReadonlySet<CachedSelector>): PlanChanges;
  /** Makes it a plan of other items. What is said of a set by the same items as before is not made anew. */
  change(added: readonly Item[], removed: readonly Item[]): PlanChanges;
  /** Gives up what it holds. What its entries were can still be read, for their rows to be removed. */
  dispose(): void;
}

/** What is said of one set of peers. */
interface Group {
  /** undefined: any peer. */
  readonly set: PeerSet | undefined;
  readonly items: Set<Item>;
  templates: Templates;
}

const NO_ENTRIES: Templates = [];

/** What plans share. */
export interface PlanContext {
  readonly sets: Pick<PeerSets, 'acquire' | 'release'>;
  readonly store: TemplateStore;
  /** Entries of items that were the only ones about their peers, as many plans have them. */
  readonly ofItem: WeakMap<Item, Templates>;
  /** How many items of all plans are about peers for whom no number was left. */
  readonly unnumbered: { count: number };
  /** The plan has come to list members, though nothing was changed in it. */
  onSelectors(plan: Plan, before: ReadonlySet<CachedSelector>): void;
}

/** Makes a plan from items. The order in which they are given does not matter. */
export function createPlan(items: readonly Item[], context: PlanContext): Plan {
  const { store } = context;
  const contents = createContents();
  const groups = createGroups(context);
  const current = new Set<Item>();
  let selectors: ReadonlySet<CachedSelector> = new Set();
  let entryCount = 0;
  let proxied = 0; // items that want the proxy
  const fine = new Set<Group>(); // groups whose entries depend on the keys of others

  const change = (added: readonly Item[], removed: readonly Item[]): PlanChanges => {
    const touched = new Set<Group>();
    for (const item of removed) {
      current.delete(item);
      touched.add(groups.take(item));
      if (item.wantsProxy) proxied--;
    }
    for (const item of added) {
      current.add(item);
      touched.add(groups.put(item));
      if (item.wantsProxy) proxied++;
    }
    const all = lazy(() => createCells(current)); // where nobody wants the proxy, nobody asks for them
    if (touched.size > 0) for (const group of fine) touched.add(group);
    const entries: EntryChange[] = [];
    for (const group of touched) renew(group, all, entries);
    const rulesets = contents.reset(all);
    selectors = proxied > 0 || contents.size > 0 ? selectorsOf(current) : NO_SELECTORS;
    return { entries, rulesets };
  };
  const templatesOf = (group: Group, all: () => Cells): Templates => {
    const only = group.items.size === 1 ? group.items.values().next().value : undefined;
    const known = only && context.ofItem.get(only);
    if (known && store.hold(known)) return known;
    const cells = createCells(group.items);
    if (cells.wantsProxy) fine.add(group);
    const made = store.acquire(entriesOf(cells, all));
    if (only && !cells.wantsProxy) context.ofItem.set(only, made);
    return made;
  };
  const renew = (group: Group, all: () => Cells, changes: EntryChange[]): void => {
    const { templates: was, set } = group;
    fine.delete(group);
    group.templates = templatesOf(group, all);
    store.release(was);
    groups.drop(group);
    entryCount += group.templates.length - was.length;
    if (was.length + group.templates.length === 0) return;
    changes.push({ peers: set?.id ?? ANY_PEERS, before: was, after: group.templates });
  };
  change(items, []);

  const self: Plan = {
    get selectors() {
      return selectors;
    },
    get entryCount() {
      return entryCount;
    },
    get isIncomplete() {
      return groups.unnumbered > 0;
    },
    *entries() {
      for (const { set, templates } of groups.values()) yield [set?.id ?? ANY_PEERS, templates];
    },
    entriesOf: (peers) => groups.get(peers)?.templates ?? NO_ENTRIES,
    itemsOf: (peers) => groups.get(peers)?.items ?? [],
    ruleset(l4) {
      if (selectors === NO_SELECTORS) {
        selectors = selectorsOf(current);
        context.onSelectors(self, NO_SELECTORS);
      }
      return contents.get(l4);
    },
    refresh: (changed) => ({ entries: [], rulesets: contents.forget(changed) }),
    change,
    dispose() {
      for (const { set, templates } of groups.values()) {
        store.release(templates);
        if (set) context.sets.release(set);
      }
      context.unnumbered.count -= groups.unnumbered;
    },
  };
  return self;
}

const NO_SELECTORS: ReadonlySet<CachedSelector> = new Set();

interface Groups {
  values(): Iterable<Group>;
  get(peers: PeerSetId): Group | undefined;
  /** Puts an item to the others about its peers. Returns the group. */
  put(item: Item): Group;
  /** Takes an item out. Returns the group that it was in, which may have nothing left: `drop`. */
  take(item: Item): Group;
  /** Gives the group up if it is empty. */
  drop(group: Group): void;
  /** How many items are about peers for whom no number was left. */
  readonly unnumbered: number;
}

/** Items by the set of their peers, with a reference on each set. */
function createGroups({ sets, unnumbered: all }: Pick<PlanContext, 'sets' | 'unnumbered'>): Groups {
  const groups = new Map<PeerSetId, Group>();
  const ofItem = new Map<Item, Group>();
  const lost = createGroup(undefined); // what is said of nobody, or of those without a number
  let unnumbered = 0;
  const groupOf = (peers: Item['peers']): Group => {
    const set = peers === 'any' ? undefined : sets.acquire(peers);
    if (!set && peers !== 'any') {
      unnumbered++;
      all.count++;
      return lost;
    }
    const known = groups.get(set?.id ?? ANY_PEERS);
    if (known && set) sets.release(set);
    const group = known ?? createGroup(set);
    groups.set(set?.id ?? ANY_PEERS, group);
    return group;
  };
  return {
    values: () => groups.values(),
    get: (peers) => groups.get(peers),
    put(item) {
      const group = item.parts.length === 0 || item.peers.length === 0 ? lost : groupOf(item.peers);
      if (group !== lost) group.items.add(item);
      ofItem.set(item, group);
      return group;
    },
    take(item) {
      const group = ofItem.get(item) ?? lost;
      ofItem.delete(item);
      group.items.delete(item);
      if (group === lost && item.parts.length > 0 && item.peers.length > 0) {
        unnumbered--;
        all.count--;
      }
      return group;
    },
    drop(group) {
      if (group === lost || group.items.size > 0) return;
      groups.delete(group.set?.id ?? ANY_PEERS);
      if (group.set) sets.release(group.set);
    },
    get unnumbered() {
      return unnumbered;
    },
  };
}

function createGroup(set: PeerSet | undefined): Group {
  return { set, items: new Set(), templates: NO_ENTRIES };
}

function lazy<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

function selectorsOf(items: Iterable<Item>): ReadonlySet<CachedSelector> {
  const selectors = new Set<CachedSelector>();
  for (const { peers } of items) if (peers !== 'any') for (const selector of peers) selectors.add(selector);
  return selectors;
}
