// Policy into its maps. What a subject wants becomes an edition (editions.ts), and the kernel is told of it in two writes:
//
//  1. Stage one: the edition in force and the new one are both asked, and the narrower answer counts. When all subjects
//     are there, nothing passes that either the old or the new state would not let pass.
//  2. Stage two: only the new one is asked.
//  3. Whom nobody asks meanwhile (it is not let in yet, or the node is not under policy) goes from one to the other at once:
//     in stage two, or if it is going to be asked between the stages, in stage one.
//  4. What only lets pass and finds no room is missing, and added later. If what takes away finds none, the subject is
//     denied first, which frees the room of the edition in force.
//  5. If stage two had to wait, two editions are in force. A third one cannot be asked as well: until it can be asked
//     alone, the subject is denied.

import type { PolicyCounterKey, PolicyKey, PolicyValue, SubjectValue } from '#bpf/abi.ts';
import type { Identity } from '#common/ids.ts';
import type { ReadonlyTable } from '#common/table.ts';
import type { PeerSetsRow, PolicyEntryRow } from '../tables.ts';
import { type CounterMap, createEntryCounters } from './counters.ts';
import { createEditions, type Edition, NO_EDITION } from './editions.ts';
import type { CountedMap } from './map.ts';
import { isPeerNarrower } from './narrower.ts';
import { createPeerSetsSync } from './peer-sets-sync.ts';
import { changeOf, namedAfter, type PlanOptions, type PolicyChange } from './policy-change.ts';
import {
  areEqual,
  counterKeyOf,
  type Direction,
  directionOf,
  type EditionEntry,
  type Entries,
  entryKey,
  fit,
  isOfNoEntry,
  noEntryKeyOf,
  type SubjectName,
  wantedEntry,
} from './policy-subject.ts';
import { createSubjectPointers } from './subject-pointers.ts';

export interface PolicySync {
  /** Deletes what no subject is asked by any more. It happens soon by itself; an update begins with it. */
  clean(): void;
  /** Plans the writes for what has changed since the last time. */
  plan(options: PlanOptions): void;
  /** Stage one of the plan. False: some subject may still have more than it shall; then stage two must wait. */
  tighten(): boolean;
  /** Stage two. Subjects whose entries find no room stay narrower than wanted, and pending. */
  loosen(): void;
  /** Whether everything that is wanted for the subject is in the map. */
  isComplete(subject: Identity): boolean;
  /** Whether nobody's policy, as it is wanted, gives the peer `a` more than the peer `b`. */
  isNarrower(a: Identity, b: Identity): boolean;
  /** Subjects and directions, and peers, that are not in force as wanted. */
  pending(): readonly string[];
  /** Subjects that want more entries than one may have, for people; and how often that was found. */
  overflow(): { readonly text: string; readonly count: number };
  close(): void;
}

export interface PolicyMaps {
  readonly policy: CountedMap<PolicyKey, PolicyValue>;
  readonly subjects: CountedMap<number, SubjectValue>;
  readonly peerSets: Parameters<typeof createPeerSetsSync>[1];
  readonly counters: CounterMap;
}

interface Subject extends SubjectName {
  readonly wanted: Map<string, EditionEntry>;
  /** How often that has changed. */
  changes: number;
  /** What the kernel asks, beside `also`. */
  inForce: Edition;
  also: Edition | undefined;
}

interface Planned {
  readonly subject: Subject;
  readonly wanted: Entries;
  /** Of the subject, when it was planned. */
  readonly changes: number;
  /** What of it is in the map; undefined: not written yet. */
  next: Edition | undefined;
  readonly change: PolicyChange;
}

/** Entries that one subject may have in one direction: none can take the room of all others. */
export const MAX_SUBJECT_ENTRIES = 65_536;

/** Policy sync of the tables into `maps`. What they hold already counts as before; nothing is written until `tighten`. */
// biome-ignore lint/complexity/noExcessiveLinesPerFunction: its parts share one state, and each is short
export function createPolicySync(
  tables: { readonly policy: ReadonlyTable<PolicyEntryRow>; readonly peerSets: ReadonlyTable<PeerSetsRow> },
  maps: PolicyMaps,
): PolicySync {
  const { policy: table, peerSets } = tables;
  const peers = createPeerSetsSync(peerSets, maps.peerSets);
  const pointers = createSubjectPointers(maps.subjects);
  const named = pointers.adopted().flatMap(([, { edition, also }]) => [edition, also]);
  const editions = createEditions(maps.policy, named);
  const counters = createEntryCounters(maps.counters);
  const subjects = new Map<number, Subject>();
  const dirty = new Set<Subject>();
  const overflowing = new Set<Subject>();
  let overflows = 0;
  let planned: Planned[] = [];
  let use: Pick<PlanOptions, 'isFresh' | 'isLeaving'> = { isFresh: () => false, isLeaving: () => false };

  const subjectOf = (id: Identity, direction: Direction): Subject => {
    const key = subjectKey(id, direction);
    let subject = subjects.get(key);
    if (!subject) {
      subject = { identity: id, direction, wanted: new Map(), changes: 0, inForce: NO_EDITION, also: undefined };
      subjects.set(key, subject);
    }
    return subject;
  };
  const want = (row: PolicyEntryRow): void => {
    const subject = subjectOf(row.subject, row.direction);
    const entry = wantedEntry(row);
    subject.wanted.set(entryKey(entry), entry);
    subject.changes++;
    dirty.add(subject);
  };
  const adopted = editions.adopted();
  for (const [name, use] of pointers.adopted()) {
    const subject = subjectOf(name.identity, name.direction);
    subject.inForce = adopted.get(use.edition) ?? NO_EDITION;
    subject.also = use.also === 0 ? undefined : (adopted.get(use.also) ?? NO_EDITION);
    dirty.add(subject);
  }
  const inUse = new Set(subjects.values().flatMap(({ inForce, also }) => (also ? [inForce, also] : [inForce])));
  for (const edition of adopted.values().toArray()) if (!inUse.has(edition)) editions.discard(edition);
  for (const row of table.values()) want(row);
  const stop = table.subscribe(({ before, after }) => {
    if (after) return want(after);
    if (!before) return;
    const subject = subjectOf(before.subject, before.direction);
    subject.wanted.delete(entryKey(before));
    subject.changes++;
    dirty.add(subject);
  });

  // What nobody waits for comes after an update's last write that somebody does: old editions, sets, counters.
  let later: NodeJS.Immediate | undefined;
  let replaced: [Subject, Edition][] = [];
  const isThere = (key: PolicyCounterKey): boolean => {
    const subject = subjects.get(subjectKey(key.subject, directionOf(key)));
    return subject !== undefined && (isOfNoEntry(key) || subject.inForce.entries.has(entryKey(key)));
  };
  const clean = (): void => {
    clearImmediate(later);
    later = undefined;
    editions.clean();
    peers.shrink({ isNamed: editions.names, isFresh: use.isFresh });
    for (const [subject, { entries }] of replaced) {
      for (const entry of entries.values()) counters.doubt(counterKeyOf(subject, entry));
    }
    replaced = [];
    counters.forget(isThere);
  };

  // Editions that the kernel is about to be pointed away from.
  let released: Edition[] = [];
  const flush = (): boolean => {
    if (!pointers.flush()) return false;
    for (const edition of released) editions.discard(edition);
    released = [];
    return true;
  };
  /** From the next flush on the kernel asks `next`, and nothing else. */
  const replace = (subject: Subject, next: Edition): void => {
    const { inForce, also } = subject;
    pointers.set(subject, next, undefined);
    subject.inForce = next;
    subject.also = undefined;
    for (const edition of [inForce, also]) {
      if (!edition || edition === next) continue;
      released.push(edition);
      replaced.push([subject, edition]);
    }
  };
  const writeAll = (plans: readonly Planned[]): void => {
    for (const plan of plans) {
      const { inForce, also } = plan.subject;
      plan.next = [also, inForce].find((edition) => edition && areEqual(edition.entries, plan.wanted));
    }
    const missing = plans.filter(({ next }) => !next);
    const written = editions.write(missing.map(({ wanted }) => wanted));
    for (const [i, plan] of missing.entries()) plan.next = written[i] ?? writeDenied(plan);
  };
  /** Rule 4. */
  const writeDenied = ({ subject, wanted }: Planned): Edition => {
    replace(subject, NO_EDITION);
    if (!flush()) return NO_EDITION;
    editions.clean();
    return editions.write([wanted])[0] ?? NO_EDITION;
  };
  /** Rule 1. */
  const askBoth = ({ subject, next = NO_EDITION }: Planned): void => {
    if (subject.inForce === next || subject.also === next) return;
    if (subject.also) replace(subject, NO_EDITION); // rule 5
    subject.also = next;
    pointers.set(subject, subject.inForce, next);
  };
  const settle = ({ subject, wanted, changes }: Planned): void => {
    editions.complete(subject.inForce);
    const { entries, missing } = subject.inForce;
    // What has changed meanwhile belongs to the next plan.
    const isCurrent = subject.changes === changes;
    const isThere = missing.length === 0 && pointers.isWritten(subject);
    if (!isCurrent || subject.also || !isThere || !areEqual(entries, wanted)) return;
    dirty.delete(subject);
    if (subject.wanted.size > 0) return;
    subjects.delete(subjectKey(subject.identity, subject.direction));
    counters.doubt(noEntryKeyOf(subject));
  };

  return {
    clean,
    plan(options) {
      // Where two editions are asked already, the first one alone would be more.
      const isOne = subjects.values().every(({ also }) => !also);
      peers.plan();
      use = isOne ? options : { isFresh: options.isFresh, isLeaving: () => false };
      planned = [...dirty].map((subject): Planned => {
        const { identity, direction, wanted, inForce, changes } = subject;
        const change = changeOf({ identity, direction, isGone: wanted.size === 0 }, options);
        if (wanted.size <= MAX_SUBJECT_ENTRIES) {
          overflowing.delete(subject);
          return { subject, wanted: new Map(wanted), changes, next: undefined, change };
        }
        overflowing.add(subject);
        overflows++;
        return { subject, wanted: fit(wanted, MAX_SUBJECT_ENTRIES, inForce.entries), changes, next: undefined, change };
      });
    },
    tighten() {
      const areDenied = peers.extend({
        ...use,
        isNamed: editions.names,
        isKept: namedAfter(subjects.values(), planned),
      });
      // What goes makes room.
      for (const { subject, wanted, change } of planned) {
        if (wanted.size === 0 && change === 'at once in stage one') replace(subject, NO_EDITION);
      }
      if (!flush()) return false;
      const now = planned.filter(({ change }) => change !== 'at once in stage two');
      writeAll(now);
      for (const plan of now) {
        if (plan.change === 'both') askBoth(plan);
        else replace(plan.subject, plan.next ?? NO_EDITION);
      }
      return flush() && areDenied;
    },
    loosen() {
      // Who is asked comes first: what a new endpoint wants must not take the room that a change in force needs.
      const [now, late] = [true, false].map((isNow) =>
        planned.filter(({ change }) => (change !== 'at once in stage two') === isNow),
      ) as [Planned[], Planned[]];
      for (const { subject, next = NO_EDITION } of now) replace(subject, next);
      flush();
      for (const { subject } of now) editions.complete(subject.inForce);
      writeAll(late);
      for (const { subject, next = NO_EDITION } of late) replace(subject, next);
      flush();
      peers.readmit();
      for (const plan of planned) settle(plan);
      planned = [];
      later ??= setImmediate(clean);
    },
    isComplete: (id) =>
      (['ingress', 'egress'] as const).every((direction) => {
        const subject = subjects.get(subjectKey(id, direction));
        // Without any entry, everything is denied: complete as well.
        return subject === undefined || !(dirty.has(subject) || overflowing.has(subject));
      }),
    isNarrower: (a, b) => subjects.values().every(({ wanted }) => isPeerNarrower(wanted, peerSets, [a, b])),
    pending: () => [
      ...[...dirty.union(overflowing)].map(({ identity: id, direction }) => `${id} ${direction}`),
      ...peers.pending(),
    ],
    overflow: () => ({ text: [...overflowing].map(overflowText).join('; '), count: overflows }),
    close() {
      stop();
      clean();
      peers.close();
    },
  };
}

function subjectKey(identity: number, direction: Direction): number {
  return identity * 2 + (direction === 'ingress' ? 0 : 1);
}

function overflowText({ identity: id, direction, wanted }: Subject): string {
  return `Cannot write map "policy": identity ${id} wants ${wanted.size} entries for ${direction}, at most ${MAX_SUBJECT_ENTRIES} are possible`;
}
