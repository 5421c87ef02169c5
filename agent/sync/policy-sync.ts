// Policy entries into the policy map, by the order of transition.ts.

import type { PolicyCounter, PolicyKey, PolicyValue } from '#bpf/abi.ts';
import { type Identity, identity, RESERVED } from '#common/ids.ts';
import type { ReadonlyTable } from '#common/table.ts';
import { l4Key } from '../policy/l4.ts';
import type { PolicyEntryRow } from '../tables.ts';
import { createSharedPeerTables } from './entry-table.ts';
import type { CountedMap, TypedMap } from './map.ts';
import {
  createSubject,
  type Direction,
  directionOf,
  entryOf,
  fit,
  l4Of,
  l4OfKey,
  noEntryKeyOf,
  policyKeyOf,
  policyValueOf,
  type Subject,
  wantedEntry,
} from './policy-subject.ts';
import { newKeys, planTransition, type Transition, type Write } from './transition.ts';
import { decide, isNarrower, NO_ENTRIES, type SubjectTable, sameWrite } from './verdict.ts';

/** In which directions the node itself is under policy. */
export type HostEnforcement = Readonly<Record<Direction, boolean>>;

export interface PlanOptions {
  /** What the kernel is told now of the node itself, and what it shall be told. */
  readonly host: { readonly now: HostEnforcement; readonly next: HostEnforcement };
  readonly isFresh: (identity: Identity) => boolean;
  readonly isLeaving: (identity: Identity) => boolean;
  /** Whether the kernel knows an endpoint with the identity, and so may ask for its policy before this update is over. */
  readonly isAsked: (identity: Identity) => boolean;
}

export interface PolicySync {
  /** Plans the writes for what has changed since the last time. */
  plan(options: PlanOptions): void;
  /** Stage one of the plan. False: some write failed; then stage two must wait. */
  tighten(): boolean;
  /** Stage two. Subjects whose writes fail stay narrower than wanted, and pending. */
  loosen(): void;
  /** Whether everything that is wanted for the subject is in the map. */
  isComplete(subject: Identity): boolean;
  /** Whether nobody's policy, as it is wanted, gives the peer `a` more than the peer `b`. */
  isNarrower(a: Identity, b: Identity): boolean;
  /** Subjects and directions that are not in force as wanted. */
  pending(): readonly string[];
  /** Subjects that want more entries than one may have, for people; and how often that was found. */
  overflow(): { readonly text: string; readonly count: number };
  close(): void;
}

interface Planned extends Transition {
  readonly subject: Subject;
  /** The kernel does not ask for the subject before stage one is over: what is missing then only narrows. */
  readonly isDormant: boolean;
  hasFailed: boolean;
}

/** Entries that one subject may have in one direction: none can take the room of all others. */
export const MAX_SUBJECT_ENTRIES = 65_536;
/** Entries that may be in the map on top of what is wanted, while one update is carried out. */
const MAX_EXTRA_ENTRIES = 65_536;

/** Policy sync of `table` into `map`. What the map holds already counts as before; nothing is written until `tighten`. */
// biome-ignore lint/complexity/noExcessiveLinesPerFunction: its parts share one state, and each is short
export function createPolicySync(
  table: ReadonlyTable<PolicyEntryRow>,
  map: CountedMap<PolicyKey, PolicyValue>,
  counters: Pick<TypedMap<PolicyKey, PolicyCounter>, 'delete' | 'entries'>,
): PolicySync {
  const subjects = new Map<string, Subject>();
  const shared = createSharedPeerTables();
  const dirty = new Set<Subject>();
  const overflowing = new Set<Subject>();
  let overflows = 0;
  let planned: Planned[] = [];

  const subjectOf = (id: Identity, direction: Direction): Subject => {
    const key = `${id} ${direction}`;
    const subject = subjects.get(key) ?? createSubject(id, direction, shared);
    subjects.set(key, subject);
    return subject;
  };
  const mark = (subject: Subject, peer: Identity): void => {
    subject.dirty.add(peer);
    dirty.add(subject);
  };
  for (const [key, value] of map.adopt()) {
    const subject = subjectOf(identity(key.subject), directionOf(key));
    subject.actual.put(identity(key.peer), entryOf(key, value));
    mark(subject, identity(key.peer));
  }
  const want = (row: PolicyEntryRow): void => {
    const subject = subjectOf(row.subject, row.direction);
    subject.wantedCount += subject.wanted.put(row.peer, wantedEntry(row));
    mark(subject, row.peer);
  };
  for (const row of table.values()) want(row);
  const stop = table.subscribe(({ before, after }) => {
    if (after) return want(after);
    if (!before) return;
    const subject = subjectOf(before.subject, before.direction);
    subject.wantedCount -= subject.wanted.take(before.peer, l4Of(before));
    mark(subject, before.peer);
  });
  const isThere = (key: PolicyKey): boolean => {
    const { actual } = subjects.get(`${key.subject} ${directionOf(key)}`) ?? {};
    return actual?.get(identity(key.peer))?.has(l4Key(l4OfKey(key))) ?? false;
  };
  // Counters of entries that are gone: deleted after the last of an update's writes, for nobody waits for that.
  let uncounted: PolicyKey[] = [];
  let later: NodeJS.Immediate | undefined;
  const forgetCounters = (): void => {
    clearImmediate(later);
    later = undefined;
    for (const key of uncounted) {
      if (isThere(key)) continue;
      try {
        counters.delete(key);
      } catch {
        // It counts what is no more: in nobody's way.
      }
    }
    uncounted = [];
  };
  const forgetCounter = (key: PolicyKey): void => void uncounted.push(key);
  for (const [key] of counters.entries()) if (key.prefixlen > 0 && !isThere(key)) forgetCounter(key);
  forgetCounters();

  const write = (subject: Subject, { peer, l4, entry }: Write): boolean => {
    const is = subject.actual.get(peer)?.get(l4Key(l4));
    if (entry ? sameWrite(is, entry) : !is) return true;
    const key = policyKeyOf(subject, peer, l4);
    if (entry) {
      const value = policyValueOf(entry);
      const done = is ? map.replace(key, value) : map.add(key, value);
      if (done) subject.actual.put(peer, entry);
      return done;
    }
    if (!map.delete(key)) return false;
    subject.actual.take(peer, l4);
    forgetCounter(key);
    return true;
  };
  const planOf = (subject: Subject, room: number, options: PlanOptions): Planned => {
    const peers = subject.planned;
    const after = fit(subject, MAX_SUBJECT_ENTRIES);
    const isCut = after !== subject.wanted;
    if (isCut || overflowing.has(subject)) {
      for (const peer of [...subject.actual.keys(), ...after.keys()]) peers.add(peer);
    }
    if (isCut) {
      overflowing.add(subject);
      overflows++;
    } else overflowing.delete(subject);
    if (subject.identity !== RESERVED.host && !options.isAsked(subject.identity)) {
      // It is let in when all of it is there, and not before.
      return { subject, ...rewrite(subject.actual, after), isDormant: true, hasFailed: false };
    }
    const { now, next } = options.host;
    const [isAsked, willBeAsked] = [now, next].map((of) => subject.identity !== RESERVED.host || of[subject.direction]);
    if (isAsked && willBeAsked) {
      const mustBlock = subject.hasFailed && countOf(after) - countOf(subject.actual) <= map.capacity - map.size;
      const plan = planTransition(subject.actual, after, { ...options, peers, room, mustBlock });
      return { subject, ...plan, isDormant: false, hasFailed: false };
    }
    const writes = replace(subject.actual, after, room);
    const stages = willBeAsked ? { tighten: writes, loosen: [] } : { tighten: [], loosen: writes };
    return { subject, ...stages, isDormant: true, hasFailed: false };
  };

  return {
    plan(options) {
      let room = Math.min(map.capacity - map.size, MAX_EXTRA_ENTRIES);
      // Who is asked comes first: what a new endpoint wants must not take the room that a change in force needs.
      const isNew = ({ identity: id }: Subject): number => Number(id !== RESERVED.host && !options.isAsked(id));
      const ordered = [...dirty].sort((a, b) => isNew(a) - isNew(b));
      planned = ordered.map((subject) => {
        subject.planned = subject.planned.union(subject.dirty);
        subject.dirty = new Set();
        const plan = planOf(subject, room, options);
        room -= newKeys(subject.actual, plan.tighten);
        return plan;
      });
    },
    tighten() {
      let ok = true;
      for (const plan of planned) {
        // A subject stops at its first failure: what is written so far gives nobody more than before.
        const failure = plan.tighten.find((w) => !write(plan.subject, w));
        plan.hasFailed = failure !== undefined;
        if (failure && !(plan.isDormant && failure.entry)) ok = false;
      }
      return ok;
    },
    loosen() {
      for (const { subject, loosen, hasFailed } of planned) {
        subject.hasFailed = hasFailed || !loosen.every((w) => write(subject, w));
        if (subject.hasFailed) continue;
        subject.planned.clear();
        if (subject.dirty.size > 0) continue; // rows changed meanwhile: the next plan's
        dirty.delete(subject);
        if (subject.wanted.size > 0) continue;
        subjects.delete(`${subject.identity} ${subject.direction}`);
        forgetCounter(noEntryKeyOf(subject));
      }
      planned = [];
      if (uncounted.length > 0) later ??= setImmediate(forgetCounters);
    },
    isComplete: (id) =>
      (['ingress', 'egress'] as const).every((direction) => {
        const subject = subjects.get(`${id} ${direction}`);
        // Without any entry, everything is denied: complete as well.
        return subject === undefined || !(dirty.has(subject) || overflowing.has(subject));
      }),
    isNarrower: (a, b) => subjects.values().every(({ wanted }) => isPeerNarrower(wanted, a, b)),
    pending: () => [...dirty.union(overflowing)].map(({ identity: id, direction }) => `${id} ${direction}`),
    overflow: () => ({ text: [...overflowing].map(overflowText).join('; '), count: overflows }),
    close() {
      stop();
      forgetCounters();
    },
  };
}

function overflowText({ identity: id, direction, wantedCount }: Subject): string {
  return `Cannot write map "policy": identity ${id} wants ${wantedCount} entries for ${direction}, at most ${MAX_SUBJECT_ENTRIES} are possible`;
}

function countOf(table: SubjectTable): number {
  let count = 0;
  for (const entries of table.values()) count += entries.size;
  return count;
}

// Nobody is asked for it meanwhile: deletes first, for their room, the rest when everybody else has got theirs.
function rewrite(before: SubjectTable, after: SubjectTable): Transition {
  const gone: Write[] = [];
  const sets: Write[] = [];
  for (const [peer, entries] of before) {
    const next = after.get(peer);
    if (next === entries) continue;
    for (const [key, { l4 }] of entries) if (!next?.has(key)) gone.push({ peer, l4, entry: undefined });
  }
  for (const [peer, entries] of after) {
    const is = before.get(peer);
    if (is === entries) continue;
    for (const entry of entries.values()) sets.push({ peer, l4: entry.l4, entry });
  }
  return { tighten: gone, loosen: sets };
}

// What the kernel does not ask for says nothing, and changes in any order.
function replace(before: SubjectTable, after: SubjectTable, room: number): readonly Write[] {
  const same = planTransition(before, after, { peers: [...before.keys(), ...after.keys()], room: Number.MAX_VALUE });
  if (same.tighten.length + same.loosen.length === 0) return [];
  const gone = [...before].flatMap(([peer, entries]) =>
    [...entries.values()].map(({ l4 }): Write => ({ peer, l4, entry: undefined })),
  );
  const plan = planTransition(new Map(), after, { peers: after.keys(), room: room + gone.length });
  return [...gone, ...plan.tighten, ...plan.loosen];
}

function isPeerNarrower(table: SubjectTable, a: Identity, b: Identity): boolean {
  const [ofA, ofB] = [table.get(a) ?? NO_ENTRIES, table.get(b) ?? NO_ENTRIES];
  if (ofA.size + ofB.size === 0) return true;
  const any = table.get(identity(0)) ?? NO_ENTRIES;
  const keys = [...ofA.values(), ...ofB.values(), ...any.values()];
  return keys.every(({ l4 }) => isNarrower(decide(ofA, any, l4), decide(ofB, any, l4)));
}
