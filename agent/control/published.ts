// What workers have been told: the part of the desired tables that was published, and what has changed since.

import type { ReadonlyTable } from '#common/table.ts';
import type { RulesetRow } from '../ruleset-rows.ts';
import type { AdmittedEndpointRow } from '../tables.ts';
import { rulesetMessage, type UpdateMessage } from './messages.ts';
import { createPublishedWorkloads } from './workloads.ts';

export type Publication = 'new' | 'changed' | 'removed';

export interface Published {
  /**
   * Moves what `what` names from the tables into the published state. Returns the delta, or undefined if there is none.
   * 'new': rulesets no worker was told of. 'changed': all but removals of rulesets. 'removed': these.
   */
  advance(what: Publication): UpdateMessage | undefined;
  /** Everything published so far, as the first update of a worker. */
  full(): UpdateMessage;
  close(): void;
}

/** Nothing published yet, everything in the tables is new. */
export function createPublished(tables: {
  readonly rulesets: ReadonlyTable<RulesetRow>;
  readonly endpoints: ReadonlyTable<AdmittedEndpointRow>;
}): Published {
  const published = new Map<number, object>();
  const workloads = createPublishedWorkloads(tables.endpoints);
  const dirty = new Set([...tables.rulesets.entries()].map(([key]) => key));
  const stop = tables.rulesets.subscribe(({ key }) => void dirty.add(key));
  let version = 0;

  const take = (what: Publication): readonly object[] => {
    const messages: object[] = [];
    for (const key of what === 'removed' ? [] : dirty) {
      const row = tables.rulesets.get(key);
      if (!row || (what === 'new' && published.has(row.id))) continue;
      const message = rulesetMessage(row);
      published.set(row.id, message);
      messages.push(message);
      dirty.delete(key);
    }
    return messages;
  };
  const drop = (): readonly number[] => {
    const removed: number[] = [];
    for (const key of dirty) {
      if (tables.rulesets.get(key)) continue;
      if (published.delete(Number(key))) removed.push(Number(key));
      dirty.delete(key);
    }
    return removed;
  };
  return {
    advance(what) {
      const rulesets = take(what);
      const removedRulesets = what === 'removed' ? drop() : [];
      const places = what === 'changed' ? workloads.advance() : { workloads: [], removedWorkloads: [] };
      const size = rulesets.length + removedRulesets.length + places.workloads.length + places.removedWorkloads.length;
      if (size === 0) return undefined;
      return { version: ++version, full: false, rulesets, removedRulesets, ...places };
    },
    full: () => ({
      version,
      full: true,
      rulesets: [...published.values()],
      removedRulesets: [],
      workloads: workloads.all(),
      removedWorkloads: [],
    }),
    close() {
      stop();
      workloads.close();
    },
  };
}
