// What workers have been told: the part of the desired tables that was published, and what has changed since.

import { type Address, addressKey } from '#common/ip.ts';
import type { ReadonlyTable } from '#common/table.ts';
import type { AdmittedEndpointRow, RulesetRow } from '../tables.ts';
import { rulesetMessage, type UpdateMessage, type WorkloadMessage, workloadMessages } from './messages.ts';

export type Publication = 'new' | 'changed' | 'removed';

export interface Published {
  /**
   * Moves what `what` names from the tables into the published state. Returns the delta, or undefined if there is none.
   * 'new': rulesets no worker was told of. 'changed': all but removals. 'removed': the removals.
   */
  advance(what: Publication): UpdateMessage | undefined;
  /** Everything published so far, as the first update of a worker. */
  full(): UpdateMessage;
  readonly version: number;
  close(): void;
}

/** Nothing published yet, everything in the tables is new. */
export function createPublished(tables: {
  readonly rulesets: ReadonlyTable<RulesetRow>;
  readonly endpoints: ReadonlyTable<AdmittedEndpointRow>;
}): Published {
  const rulesets = new Map<number, object>();
  const workloads = new Map<string, WorkloadMessage>();
  const owners = new Map<string, string>(); // address -> endpoint
  const dirtyRulesets = new Set<string>([...tables.rulesets.entries()].map(([key]) => key));
  const dirtyEndpoints = new Map<string, Set<Address>>();
  let version = 0;
  const touch = (key: string, row: AdmittedEndpointRow | undefined): void => {
    const addresses = dirtyEndpoints.get(key) ?? new Set();
    for (const { address } of row ? workloadMessages(row) : []) addresses.add(address as Address);
    dirtyEndpoints.set(key, addresses);
  };
  for (const [key, row] of tables.endpoints.entries()) touch(key, row);
  const stops = [
    tables.rulesets.subscribe(({ key }) => void dirtyRulesets.add(key)),
    tables.endpoints.subscribe(({ key, before, after }) => {
      touch(key, before);
      touch(key, after);
    }),
  ];

  const takeRulesets = (what: 'new' | 'changed'): readonly object[] => {
    const messages: object[] = [];
    for (const key of dirtyRulesets) {
      const row = tables.rulesets.get(key);
      if (!row || (what === 'new' && rulesets.has(row.id))) continue;
      const message = rulesetMessage(row);
      rulesets.set(row.id, message);
      messages.push(message);
      dirtyRulesets.delete(key);
    }
    return messages;
  };
  const dropRulesets = (): readonly number[] => {
    const removed: number[] = [];
    for (const key of dirtyRulesets) {
      if (tables.rulesets.get(key)) continue;
      if (rulesets.delete(Number(key))) removed.push(Number(key));
      dirtyRulesets.delete(key);
    }
    return removed;
  };
  // An address may have gone to another pod by now: only its last owner may take it out.
  const takeWorkloads = (): Pick<UpdateMessage, 'workloads' | 'removedWorkloads'> => {
    const changed: WorkloadMessage[] = [];
    const removed: Uint8Array[] = [];
    for (const [key, addresses] of dirtyEndpoints) {
      const row = tables.endpoints.get(key);
      for (const message of row ? workloadMessages(row) : []) {
        const place = addressKey(message.address as Address);
        owners.set(place, key);
        if (sameWorkload(workloads.get(place), message)) continue;
        workloads.set(place, message);
        changed.push(message);
      }
      const kept = new Set((row ? workloadMessages(row) : []).map((m) => addressKey(m.address as Address)));
      for (const address of addresses) {
        const place = addressKey(address);
        if (kept.has(place) || owners.get(place) !== key) continue;
        owners.delete(place);
        if (workloads.delete(place)) removed.push(address);
      }
    }
    dirtyEndpoints.clear();
    return { workloads: changed, removedWorkloads: removed };
  };

  return {
    advance(what) {
      const removedRulesets = what === 'removed' ? dropRulesets() : [];
      const changed = what === 'removed' ? [] : takeRulesets(what);
      const places = what === 'changed' ? takeWorkloads() : { workloads: [], removedWorkloads: [] };
      const size = changed.length + removedRulesets.length + places.workloads.length + places.removedWorkloads.length;
      if (size === 0) return undefined;
      return { version: ++version, full: false, rulesets: changed, removedRulesets, ...places };
    },
    full: () => ({
      version,
      full: true,
      rulesets: [...rulesets.values()],
      removedRulesets: [],
      workloads: [...workloads.values()],
      removedWorkloads: [],
    }),
    get version() {
      return version;
    },
    close() {
      for (const stop of stops) stop();
    },
  };
}

function sameWorkload(a: WorkloadMessage | undefined, b: WorkloadMessage): boolean {
  if (!a || a.identity !== b.identity || a.namespace !== b.namespace || a.pod !== b.pod) return false;
  return a.workload === b.workload && a.workloadKind === b.workloadKind;
}
