// The rows of policy entries, found by who is asked and by the set of peers that they are for.

import type { Identity, PeerSetId } from '#common/ids.ts';
import type { ReadonlyTable } from '#common/table.ts';
import type { PeerSetsRow, PolicyEntryRow } from '../tables.ts';
import { type L4, l4Key } from './l4.ts';
import { ANY_PEERS } from './peer-sets.ts';
import { type Decision, decide } from './verdict.ts';

/** One direction of a flow: the endpoint whose policy is asked, and the other end. */
export interface Question {
  readonly subject: Identity;
  readonly direction: 'ingress' | 'egress';
  readonly peer: Identity;
  /** Protocol and destination port (or ICMP type), `bits` 24. */
  readonly l4: L4;
}

export interface EntryIndex {
  /** What the rows say; undefined: there are none for the subject. A peer of which nothing is known is denied. */
  decide(question: Question): Decision<PolicyEntryRow> | undefined;
  /** From now on later changes are not seen. */
  close(): void;
}

type Entries = Map<number, PolicyEntryRow>;

/** An index of `policy` that follows its changes. */
export function indexEntries(tables: {
  readonly policy: ReadonlyTable<PolicyEntryRow>;
  readonly peerSets: ReadonlyTable<PeerSetsRow>;
}): EntryIndex {
  const subjects = new Map<string, Map<PeerSetId, Entries>>();
  const add = (row: PolicyEntryRow): void => {
    const key = subjectKey(row);
    const sets = subjects.get(key) ?? new Map<PeerSetId, Entries>();
    const entries = sets.get(row.peers) ?? (new Map() as Entries);
    subjects.set(key, sets.set(row.peers, entries.set(entryL4(row), row)));
  };
  const remove = (row: PolicyEntryRow): void => {
    const sets = subjects.get(subjectKey(row));
    const entries = sets?.get(row.peers);
    entries?.delete(entryL4(row));
    if (entries?.size === 0) sets?.delete(row.peers);
    if (sets?.size === 0) subjects.delete(subjectKey(row));
  };
  for (const row of tables.policy.values()) add(row);
  const stop = tables.policy.subscribe(({ before, after }) => {
    if (before) remove(before);
    if (after) add(after);
  });
  return {
    decide(question) {
      const entries = subjects.get(subjectKey(question));
      const sets = tables.peerSets.get(String(question.peer))?.sets;
      if (!entries) return undefined;
      return decide(sets ? [ANY_PEERS, ...sets].map((set) => entries.get(set)) : [], question.l4);
    },
    close: stop,
  };
}

function subjectKey({ subject, direction }: Pick<Question, 'subject' | 'direction'>): string {
  return `${subject} ${direction}`;
}

function entryL4({ protocol, port, l4Bits }: PolicyEntryRow): number {
  return l4Key({ protocol, port, bits: l4Bits });
}
