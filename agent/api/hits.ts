// How often each policy entry has decided, read from the kernel's counters when somebody asks.

import type { PolicyCounter, PolicyCounterKey } from '#bpf/abi.ts';
import type { ReadonlyTable } from '#common/table.ts';
import { counterKeyOf } from '../sync/policy-subject.ts';
import type { PolicyEntryRow } from '../tables.ts';

/** Hits by the key of the entry in `table` (desired.policy). An entry that has decided nothing yet is missing. */
export function policyHits(
  table: ReadonlyTable<PolicyEntryRow>,
  counters: { entries(): Iterable<readonly [PolicyCounterKey, Pick<PolicyCounter, 'hits'>]> },
): Map<string, number> {
  const counted = new Map<string, number>();
  for (const [key, { hits }] of counters.entries()) counted.set(textOf(key), Number(hits));
  const hits = new Map<string, number>();
  if (counted.size === 0) return hits;
  for (const [key, row] of table.entries()) {
    const { subject, direction } = row;
    const found = counted.get(textOf(counterKeyOf({ identity: subject, direction }, row)));
    if (found !== undefined) hits.set(key, found);
  }
  return hits;
}

function textOf({ subject, peers, direction, protocol, port, l4Bits }: PolicyCounterKey): string {
  return `${subject} ${peers} ${direction} ${protocol} ${port} ${l4Bits}`;
}
