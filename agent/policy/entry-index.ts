// The rows of policy entries, found by who is asked and by the set of peers that they are for.

import type { Identity, PeerSetId } from '#common/ids.ts';
import type { Change, ReadonlyTable } from '#common/table.ts';
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

/** Changes that may wait, for the memory that they take, and for how long. */
const MAX_CHANGES = 16_384;
const WAIT_MS = 100;

/** An index of `policy` that follows its changes. */
export function indexEntries(tables: {
  readonly policy: ReadonlyTable<PolicyEntryRow>;
  readonly peerSets: ReadonlyTable<PeerSetsRow>;
}): EntryIndex {
  const subjects = new Map<number, Map<PeerSetId, Entries>>();
  const add = (row: PolicyEntryRow): void => {
    const key = subjectKey(row);
    let sets = subjects.get(key);
    if (!sets) {
      sets = new Map();
      subjects.set(key, sets);
    }
    const entries = sets.get(row.peers);
    if (entries) entries.set(entryL4(row), row);
    else sets.set(row.peers, new Map([[entryL4(row), row]]));
  };
  const remove = (row: PolicyEntryRow): void => {
    const sets = subjects.get(subjectKey(row));
    const entries = sets?.get(row.peers);
    entries?.delete(entryL4(row));
    if (entries?.size === 0) sets?.delete(row.peers);
    if (sets?.size === 0) subjects.delete(subjectKey(row));
  };
  for (const row of tables.policy.values()) add(row);
  // Taken in soon, or when somebody asks: the agent writes policy first, and flows can wait.
  let changes: Change<PolicyEntryRow>[] = [];
  let later: NodeJS.Timeout | undefined;
  const catchUp = (): void => {
    clearTimeout(later);
    later = undefined;
    // A row that comes in the place of another one has its key.
    for (const { before, after } of changes) {
      if (after) add(after);
      else if (before) remove(before);
    }
    changes = [];
  };
  const stop = tables.policy.subscribe((change) => {
    if (changes.push(change) >= MAX_CHANGES) catchUp();
    else later ??= setTimeout(catchUp, WAIT_MS).unref();
  });
  return {
    decide(question) {
      if (changes.length > 0) catchUp();
      const entries = subjects.get(subjectKey(question));
      const sets = tables.peerSets.get(String(question.peer))?.sets;
      if (!entries) return undefined;
      return decide(sets ? [ANY_PEERS, ...sets].map((set) => entries.get(set)) : [], question.l4);
    },
    close() {
      stop();
      catchUp();
    },
  };
}

function subjectKey({ subject, direction }: Pick<Question, 'subject' | 'direction'>): number {
  return subject * 2 + (direction === 'ingress' ? 0 : 1);
}

function entryL4({ protocol, port, l4Bits }: PolicyEntryRow): number {
  return l4Key({ protocol, port, bits: l4Bits });
}
