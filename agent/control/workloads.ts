// What workers know of addresses, for spans.

import { type Address, addressBytes, readAddress } from '#common/ip.ts';
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
  const published = new Map<Address, WorkloadMessage>();
  const owners = new Map<Address, string>(); // the endpoint that has it
  const dirty = new Map<string, Set<Address>>(); // endpoint -> addresses it had
  const touch = (key: string, row: AdmittedEndpointRow | undefined): void => {
    const addresses = dirty.get(key) ?? new Set<Address>();
    for (const { address } of row ? workloadMessages(row) : []) addresses.add(readAddress(address));
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
      const removed = new Set<Address>();
      for (const [key, had] of dirty) {
        const row = table.get(key);
        const has = new Map(
          (row ? workloadMessages(row) : []).map((message) => [readAddress(message.address), message]),
        );
        for (const [place, message] of has) {
          owners.set(place, key);
          if (sameWorkload(published.get(place), message)) continue;
          published.set(place, message);
          workloads.push(message);
        }
        for (const place of had) {
          // It may belong to another pod by now: only its last owner takes it out.
          if (has.has(place) || owners.get(place) !== key) continue;
          owners.delete(place);
          if (published.delete(place)) removed.add(place);
        }
      }
      dirty.clear();
      // One that moved from a later row to an earlier one is in both lists: it is there.
      for (const { address } of workloads) removed.delete(readAddress(address));
      return { workloads, removedWorkloads: [...removed].map(addressBytes) };
    },
    all: () => [...published.values()],
    close,
  };
}

function sameWorkload(a: WorkloadMessage | undefined, b: WorkloadMessage): boolean {
  if (!a || a.identity !== b.identity || a.namespace !== b.namespace || a.pod !== b.pod) return false;
  return a.workload === b.workload && a.workloadKind === b.workloadKind;
}
