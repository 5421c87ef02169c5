// What two plans say together, for one subject. Where only one of them names a set of peers, its entries are taken as they
// are, the same list for everybody who has the plan; where both do, new ones are made of the items of both.

import type { PeerSetId } from '#common/ids.ts';
import { createCells } from './cells.ts';
import { entriesOf } from './entries.ts';
import type { EntryChange, Plan, PlanChanges, PlanView } from './plan.ts';
import { NO_RULESETS } from './ruleset-content.ts';
import type { TemplateStore, Templates } from './templates.ts';

/** Plans without anything for the proxy, whose items are different ones. */
export type PlanLayers = readonly [Plan, Plan];

export interface MergedPlan extends PlanView {
  readonly layers: PlanLayers;
  /** Carries over what has changed in one of the layers. */
  carry(layer: 0 | 1, changes: PlanChanges): PlanChanges;
  /** Gives up what it holds. What its entries were can still be read. */
  dispose(): void;
}

const NO_ENTRIES: Templates = [];

/** Merges plans. Lists of entries that are new are kept in `store`. */
export function mergePlans(layers: PlanLayers, store: TemplateStore): MergedPlan {
  const [first, second] = layers;
  const entries = new Map<PeerSetId, Templates>();
  const mixed = new Map<PeerSetId, Templates>(); // of them, those of sets that both plans name
  let entryCount = 0;

  const mix = (peers: PeerSetId): Templates => {
    const cells = createCells([...first.itemsOf(peers), ...second.itemsOf(peers)]);
    const made = store.acquire(entriesOf(cells, () => cells));
    const outdated = mixed.get(peers);
    if (outdated) store.release(outdated);
    mixed.set(peers, made);
    return made;
  };
  const set = (peers: PeerSetId, { before, after }: Pick<EntryChange, 'before' | 'after'>): void => {
    if (after.length > 0) entries.set(peers, after);
    else entries.delete(peers);
    entryCount += after.length - before.length;
  };
  /** What comes of a change of one layer. The other one is looked at only where it has a say: mostly it has none. */
  const afterChange = ({ peers, before, after }: EntryChange, other: Plan): Templates => {
    const outdated = mixed.get(peers);
    const isAlone = !outdated && (before.length > 0 || !entries.has(peers));
    if (isAlone) return after;
    if (after.length > 0) return mix(peers);
    if (outdated) store.release(outdated);
    mixed.delete(peers);
    return other.entriesOf(peers);
  };
  for (const [peers, after] of first.entries()) {
    set(peers, { before: NO_ENTRIES, after: second.entriesOf(peers).length > 0 ? mix(peers) : after });
  }
  for (const [peers, after] of second.entries()) if (!entries.has(peers)) set(peers, { before: NO_ENTRIES, after });

  return {
    layers,
    get entryCount() {
      return entryCount;
    },
    get isIncomplete() {
      return first.isIncomplete || second.isIncomplete;
    },
    entries: () => entries,
    entriesOf: (peers) => entries.get(peers) ?? NO_ENTRIES,
    ruleset: () => [], // nobody who is sent to the proxy has a merged plan
    carry(layer, changes) {
      const carried: EntryChange[] = [];
      for (const change of changes.entries) {
        const { peers } = change;
        const before = entries.get(peers) ?? NO_ENTRIES;
        const after = afterChange(change, layers[1 - layer] as Plan);
        if (before === after || before.length + after.length === 0) continue;
        set(peers, { before, after });
        carried.push({ peers, before, after });
      }
      return { entries: carried, rulesets: NO_RULESETS };
    },
    dispose() {
      for (const templates of mixed.values()) store.release(templates);
      mixed.clear();
    },
  };
}
