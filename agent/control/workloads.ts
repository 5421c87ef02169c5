// What workers know of addresses, for spans.

import { type Address, addressKey } from '#common/ip.ts';
import type { ReadonlyTable } from '#common/table.ts';
import type { AdmittedEndpointRow } from '../tables.ts';
import { type UpdateMessage, type WorkloadMessage, workloadMessages } from './messages.ts';

export interface PublishedWorkloads {
  /** What has changed since the last time; it counts as published then. */
  advance(): Pick<UpdateMessage, 'workloads' | 'removedWorkloads'>;
  all(): readonly WorkloadMessage[];
  close(): void;
}

/** Nothing published yet, everything in the table is new. */
export function createPublishedWorkloads(table: ReadonlyTable<AdmittedEndpointRow>): PublishedWorkloads {
  const published = new Map<string, WorkloadMessage>();
  const owners = new Map<string, string>(); // address -> endpoint
  const dirty = new Map<string, Map<string, Uint8Array>>(); // endpoint -> addresses it had
  const touch = (key: string, row: AdmittedEndpointRow | undefined): void => {
    const addresses = dirty.get(key) ?? new Map<string, Uint8Array>();
    for (const { address } of row ? workloadMessages(row) : []) addresses.set(placeOf(address), address);
    dirty.set(key, addresses);
  };
  for (const [key, row] of table.entries()) touch(key, row);
  const close = table.subscribe(({ key, before, after }) => {
    touch(key, before);
    touch(key, after);
  });
  return {
    advance() {
      const workloads: WorkloadMessage[] = [];
      const removedWorkloads: Uint8Array[] = [];
      for (const [key, had] of dirty) {
        const row = table.get(key);
        const has = new Map((row ? workloadMessages(row) : []).map((message) => [placeOf(message.address), message]));
        for (const [place, message] of has) {
          owners.set(place, key);
          if (sameWorkload(published.get(place), message)) continue;
          published.set(place, message);
          workloads.push(message);
        }
        for (const [place, address] of had) {
          // It may belong to another pod by now: only its last owner takes it out.
          if (has.has(place) || owners.get(place) !== key) continue;
          owners.delete(place);
          if (published.delete(place)) removedWorkloads.push(address);
        }
      }
      dirty.clear();
      // One that moved from a later row to an earlier one is in both lists: it is there.
      const there = new Set(workloads.map((w) => placeOf(w.address)));
      return { workloads, removedWorkloads: removedWorkloads.filter((address) => !there.has(placeOf(address))) };
    },
    all: () => [...published.values()],
    close,
  };
}

function placeOf(address: Uint8Array): string {
  return addressKey(address as Address);
}

function sameWorkload(a: WorkloadMessage | undefined, b: WorkloadMessage): boolean {
  if (!a || a.identity !== b.identity || a.namespace !== b.namespace || a.pod !== b.pod) return false;
  return a.workload === b.workload && a.workloadKind === b.workloadKind;
}
