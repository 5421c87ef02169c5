// Every selector in use with the identities it selects, kept up to date from both sides: a new identity is shown only
// to selectors that can match one of its labels, a new selector only to identities that have one of its labels.

import type { Identity } from '#common/ids.ts';
import type { Selector } from '#mesh-config/model.ts';
import { CLUSTER_KEY, NAMESPACE_KEY, parseIdentityLabel } from '../identity/labels.ts';
import { type LabelsByKey, labelsByKey, matches, selectorKey } from './selector.ts';

/** A selector and the identities it selects now. */
export interface CachedSelector {
  readonly id: number;
  readonly key: string;
  readonly selector: Selector;
  readonly members: ReadonlySet<Identity>;
}

export interface SelectorCache {
  /** Takes a reference on the selector; equal selectors share one entry. */
  acquire(selector: Selector): CachedSelector;
  release(selector: CachedSelector): void;
  /** Adds an identity, calling `onMember` for every selector that selects it. Labels: "source:key=value". */
  addIdentity(identity: Identity, labels: readonly string[]): void;
  removeIdentity(identity: Identity): void;
  /** The selectors that select `identity`. */
  selectorsOf(identity: Identity): ReadonlySet<CachedSelector>;
  identities(): IterableIterator<Identity>;
}

interface Entry extends CachedSelector {
  readonly members: Set<Identity>;
  readonly anchors: readonly string[];
  references: number;
}

const NOBODY: ReadonlySet<CachedSelector> = new Set();
/** Anchor of selectors that no label is needed for (only NotIn, DoesNotExist, or nothing at all). */
const EVERYONE = '';

/** An empty cache. `onMember` hears of changes of members of selectors that are in use, not of a new selector's first ones. */
export function createSelectorCache(onMember: (selector: CachedSelector, identity: Identity) => void): SelectorCache {
  const entries = new Map<string, Entry>();
  const byAnchor = new Map<string, Set<Entry>>();
  const identities = new Map<Identity, { readonly labels: LabelsByKey; readonly selectors: Set<Entry> }>();
  const identitiesByAnchor = new Map<string, Set<Identity>>();
  let nextId = 1;

  return {
    acquire(selector) {
      const key = selectorKey(selector);
      const existing = entries.get(key);
      if (existing) {
        existing.references++;
        return existing;
      }
      const entry: Entry = {
        id: nextId++,
        key,
        selector,
        members: new Set(),
        anchors: anchorsOf(selector),
        references: 1,
      };
      entries.set(key, entry);
      for (const anchor of entry.anchors) {
        put(byAnchor, anchor, entry);
        for (const id of identitiesByAnchor.get(anchor) ?? []) {
          const known = identities.get(id);
          if (!known || !matches(selector, known.labels)) continue;
          entry.members.add(id);
          known.selectors.add(entry);
        }
      }
      return entry;
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
      const known = { labels: labelsByKey(labels.map(parseIdentityLabel)), selectors: new Set<Entry>() };
      identities.set(identity, known);
      for (const anchor of anchorsOfLabels(known.labels)) {
        put(identitiesByAnchor, anchor, identity);
        for (const entry of byAnchor.get(anchor) ?? []) {
          if (known.selectors.has(entry) || !matches(entry.selector, known.labels)) continue;
          known.selectors.add(entry);
          entry.members.add(identity);
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
        onMember(entry, identity);
      }
    },
    selectorsOf: (identity) => identities.get(identity)?.selectors ?? NOBODY,
    identities: () => identities.keys(),
  };
}

// A selector is found through one requirement that only labelled identities can meet, the more telling the better.
function anchorsOf(selector: Selector): readonly string[] {
  const telling = (key: string): number => (key === CLUSTER_KEY ? 3 : key === NAMESPACE_KEY ? 2 : 1);
  const candidates = selector.requirements
    .filter((r) => r.operator === 'In' || r.operator === 'Exists')
    .sort((a, b) => telling(a.key) - telling(b.key) || Number(b.operator === 'In') - Number(a.operator === 'In'));
  const best = candidates[0];
  if (!best) return [EVERYONE];
  return best.operator === 'Exists' ? [best.key] : [...new Set(best.values)].map((value) => `${best.key}=${value}`);
}

function anchorsOfLabels(labels: LabelsByKey): Set<string> {
  const anchors = new Set([EVERYONE]);
  for (const [key, list] of labels) {
    anchors.add(key);
    for (const label of list) anchors.add(`${key}=${label.value}`);
  }
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
