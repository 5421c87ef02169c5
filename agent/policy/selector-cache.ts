// Every selector in use with the identities it selects, kept up to date from both sides: a new identity is shown only
// to selectors that can match one of its labels, a new selector only to identities that have one of its labels.

import type { Identity } from '#common/ids.ts';
import type { Selector } from '#mesh-config/model.ts';
import { CLUSTER_KEY, NAMESPACE_KEY } from '../identity/labels.ts';
import { createLabelPool, type PooledLabel } from './label-pool.ts';
import { matches, selectorKey } from './selector.ts';

/** A selector and the identities it selects now. */
export interface CachedSelector {
  readonly id: number;
  readonly key: string;
  readonly selector: Selector;
  readonly members: ReadonlySet<Identity>;
  /** The members in ascending order: the same array until they change. */
  sorted(): readonly Identity[];
}

export interface SelectorCache {
  /** Takes a reference on the selector; equal selectors share one entry. */
  acquire(selector: Selector): CachedSelector;
  /** Takes another reference on a selector that is in use. */
  hold(selector: CachedSelector): void;
  release(selector: CachedSelector): void;
  /** Adds an identity, calling `onMember` for every selector that selects it. Labels: "source:key=value". */
  addIdentity(identity: Identity, labels: readonly string[]): void;
  removeIdentity(identity: Identity): void;
  has(identity: Identity): boolean;
  /** The selectors that select `identity`. */
  selectorsOf(identity: Identity): Iterable<CachedSelector>;
}

interface Entry extends CachedSelector {
  readonly members: Set<Identity>;
  readonly anchors: readonly string[];
  order: readonly Identity[] | undefined;
  references: number;
}
interface Known {
  readonly labels: readonly PooledLabel[];
  readonly selectors: Set<Entry>;
}

const NOBODY: readonly CachedSelector[] = [];
/** Anchor of selectors that no label is needed for (only NotIn, DoesNotExist, or nothing at all). */
const EVERYONE = '';

/** An empty cache. `onMember` hears of changes of members of selectors that are in use, not of a new selector's first ones. */
export function createSelectorCache(onMember: (selector: CachedSelector, identity: Identity) => void): SelectorCache {
  const entries = new Map<string, Entry>();
  const byAnchor = new Map<string, Set<Entry>>();
  const identities = new Map<Identity, Known>();
  const identitiesByAnchor = new Map<string, Set<Identity>>();
  const pool = createLabelPool();
  const population = (anchors: readonly string[]): number =>
    anchors.reduce((sum, anchor) => sum + (identitiesByAnchor.get(anchor)?.size ?? 0), 0);
  let nextId = 1;

  const join = (entry: Entry, identity: Identity, known: Known): void => {
    entry.members.add(identity);
    entry.order = undefined;
    known.selectors.add(entry);
  };
  return {
    acquire(selector) {
      const key = selectorKey(selector);
      const existing = entries.get(key);
      if (existing) {
        existing.references++;
        return existing;
      }
      const entry = createEntry({ id: nextId++, key, selector, anchors: anchorsOf(selector, population) });
      entries.set(key, entry);
      for (const anchor of entry.anchors) {
        put(byAnchor, anchor, entry);
        for (const id of identitiesByAnchor.get(anchor) ?? []) {
          const known = identities.get(id);
          if (known && matches(selector, known.labels)) join(entry, id, known);
        }
      }
      return entry;
    },
    hold({ key }) {
      const entry = entries.get(key);
      if (!entry) throw new Error(`Cannot hold selector ${key}: not in use`);
      entry.references++;
    },
    release(selector) {
      const entry = entries.get(selector.key);
      if (!entry) throw new Error(`Cannot release selector ${selector.key}: not in use`);
      if (--entry.references > 0) return;
      entries.delete(entry.key);
      for (const anchor of entry.anchors) take(byAnchor, anchor, entry);
      for (const id of entry.members) identities.get(id)?.selectors.delete(entry);
    },
    addIdentity(identity, labels) {
      if (identities.has(identity)) throw new Error(`Cannot add identity ${identity}: already known`);
      const known: Known = { labels: pool.take(labels), selectors: new Set() };
      identities.set(identity, known);
      for (const anchor of anchorsOfLabels(known.labels)) {
        put(identitiesByAnchor, anchor, identity);
        for (const entry of byAnchor.get(anchor) ?? []) {
          if (!known.selectors.has(entry) && matches(entry.selector, known.labels)) join(entry, identity, known);
        }
      }
      for (const entry of known.selectors) onMember(entry, identity);
    },
    removeIdentity(identity) {
      const known = identities.get(identity);
      if (!known) return;
      identities.delete(identity);
      for (const anchor of anchorsOfLabels(known.labels)) take(identitiesByAnchor, anchor, identity);
      for (const entry of known.selectors) {
        entry.members.delete(identity);
        entry.order = undefined;
        onMember(entry, identity);
      }
      pool.release(known.labels);
    },
    has: (identity) => identities.has(identity),
    selectorsOf: (identity) => identities.get(identity)?.selectors ?? NOBODY,
  };
}

function createEntry(given: Pick<Entry, 'id' | 'key' | 'selector' | 'anchors'>): Entry {
  const entry: Entry = {
    ...given,
    members: new Set(),
    order: undefined,
    references: 1,
    sorted() {
      entry.order ??= [...entry.members].sort((a, b) => a - b);
      return entry.order;
    },
  };
  return entry;
}

// A selector is found through one requirement that only labelled identities can meet: the one that fewest of them meet
// now, and before there are any, the more telling one.
function anchorsOf(selector: Selector, population: (anchors: readonly string[]) => number): readonly string[] {
  const telling = (key: string): number => (key === CLUSTER_KEY ? 3 : key === NAMESPACE_KEY ? 2 : 1);
  const candidates = selector.requirements
    .filter((r) => r.operator === 'In' || r.operator === 'Exists')
    .map((r) => {
      const isIn = r.operator === 'In';
      const anchors = isIn ? [...new Set(r.values)].map((value) => `${r.key}=${value}`) : [r.key];
      return { anchors, isIn, rank: telling(r.key), count: population(anchors) };
    })
    .sort((a, b) => a.count - b.count || a.rank - b.rank || Number(b.isIn) - Number(a.isIn));
  return candidates[0]?.anchors ?? [EVERYONE];
}

function anchorsOfLabels(labels: readonly PooledLabel[]): Set<string> {
  const anchors = new Set([EVERYONE]);
  for (const { key, anchor } of labels) anchors.add(key).add(anchor);
  return anchors;
}

function put<K, V>(index: Map<K, Set<V>>, key: K, value: V): void {
  const set = index.get(key);
  if (set) set.add(value);
  else index.set(key, new Set([value]));
}

function take<K, V>(index: Map<K, Set<V>>, key: K, value: V): void {
  const set = index.get(key);
  set?.delete(value);
  if (set?.size === 0) index.delete(key);
}
