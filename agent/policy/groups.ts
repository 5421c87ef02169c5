// Peers that the same selectors select, with the entries they share.

import type { Identity } from '#common/ids.ts';
import type { Cells } from './cells.ts';
import { peerEntries } from './entries.ts';
import type { Item } from './rules.ts';
import type { CachedSelector } from './selector-cache.ts';
import type { TemplateStore, Templates } from './templates.ts';

/** A selector that rules have as peer, with the items that do. */
export interface PeerItems {
  readonly selector: CachedSelector;
  readonly items: readonly Item[];
}

/** Entries of one peer that are others than before. */
export interface PeerChange {
  readonly peer: Identity;
  readonly before: Templates;
  readonly after: Templates;
}

export interface Groups {
  /** Entries of all peers together. */
  readonly entryCount: number;
  peers(): Iterable<readonly [Identity, Templates]>;
  templatesOf(peer: Identity): Templates;
  /** Puts a peer where the selectors that select it now belong; none: nowhere. */
  place(peer: Identity, selected: readonly PeerItems[]): PeerChange | undefined;
  /** Makes the entries anew from other items. Peers of selectors that came or went are to be placed again. */
  remake(bySelector: ReadonlyMap<CachedSelector, PeerItems>, any: Cells): readonly PeerChange[];
  dispose(): void;
}

interface Group {
  readonly key: string;
  readonly selectors: readonly CachedSelector[];
  templates: Templates;
  size: number;
}

const NO_ENTRIES: Templates = [];

/** No groups. `any`: what the rules say of everybody. */
export function createGroups(anyCells: Cells, store: TemplateStore): Groups {
  const groups = new Map<string, Group>();
  const groupOf = new Map<Identity, Group>();
  let any = anyCells;
  let entryCount = 0;

  const templatesFor = (selected: readonly PeerItems[]): Templates =>
    store.acquire(peerEntries(new Set(selected.flatMap(({ items }) => items)), any));
  const groupFor = (selected: readonly PeerItems[]): Group => {
    const sorted = selected.length > 1 ? selected.toSorted((a, b) => a.selector.id - b.selector.id) : selected;
    const key = sorted.map(({ selector }) => selector.id).join();
    let group = groups.get(key);
    if (!group) {
      const selectors = sorted.map(({ selector }) => selector);
      group = { key, selectors, templates: templatesFor(sorted), size: 0 };
      groups.set(key, group);
    }
    return group;
  };
  return {
    get entryCount() {
      return entryCount;
    },
    *peers() {
      for (const [peer, { templates }] of groupOf) yield [peer, templates];
    },
    templatesOf: (peer) => groupOf.get(peer)?.templates ?? NO_ENTRIES,
    place(peer, selected) {
      const before = groupOf.get(peer);
      const after = selected.length > 0 ? groupFor(selected) : undefined;
      if (before === after) return undefined;
      if (after) {
        after.size++;
        groupOf.set(peer, after);
      } else groupOf.delete(peer);
      const change = { peer, before: before?.templates ?? NO_ENTRIES, after: after?.templates ?? NO_ENTRIES };
      entryCount += change.after.length - change.before.length;
      if (before && --before.size === 0) {
        groups.delete(before.key);
        store.release(before.templates);
      }
      return change;
    },
    remake(bySelector, anyNow) {
      any = anyNow;
      const changed = new Map<Group, Templates>();
      for (const group of groups.values()) {
        const before = group.templates;
        const after = templatesFor(group.selectors.flatMap((selector) => bySelector.get(selector) ?? []));
        store.release(before);
        if (after === before) continue;
        group.templates = after;
        entryCount += (after.length - before.length) * group.size;
        changed.set(group, before);
      }
      if (changed.size === 0) return [];
      const changes: PeerChange[] = [];
      for (const [peer, group] of groupOf) {
        const before = changed.get(group);
        if (before) changes.push({ peer, before, after: group.templates });
      }
      return changes;
    },
    dispose() {
      for (const group of groups.values()) store.release(group.templates);
    },
  };
}
