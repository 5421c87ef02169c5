// Policy entries into the policy map, by the order of transition.ts.

import {
  ACTION_ALLOW,
  ACTION_DENY,
  ACTION_REDIRECT,
  POLICY_EGRESS,
  POLICY_INGRESS,
  type PolicyKey,
  type PolicyValue,
} from '#bpf/abi.ts';
import { type Identity, identity } from '#common/ids.ts';
import type { ReadonlyTable } from '#common/table.ts';
import { type L4, l4Key } from '../policy/l4.ts';
import type { PolicyEntryRow } from '../tables.ts';
import type { MirroredMap } from './map.ts';
import { planTransition, type Write } from './transition.ts';
import type { Entry } from './verdict.ts';

export interface PolicySync {
  /** Plans the writes for what has changed since the last time. */
  plan(): void;
  /** Stage one of the plan. False: some write failed; then stage two must wait. */
  tighten(): boolean;
  /** Stage two. Subjects whose writes fail stay narrower than wanted, and pending. */
  loosen(): void;
  /** Whether everything that is wanted for the subject is in the map. */
  isComplete(subject: Identity): boolean;
  /** Subjects and directions that are not in force as wanted. */
  pending(): readonly string[];
  close(): void;
}

type Direction = PolicyEntryRow['direction'];
interface Subject {
  readonly identity: Identity;
  readonly direction: Direction;
  readonly wanted: Map<Identity, Map<number, Entry>>;
  readonly actual: Map<Identity, Map<number, Entry>>;
  /** Peers whose wanted entries have changed since the last plan. */
  dirty: Set<Identity>;
  /** Peers of the plan that is being carried out, or that has failed. */
  planned: Set<Identity>;
}
interface Planned {
  readonly subject: Subject;
  readonly tighten: readonly Write[];
  readonly loosen: readonly Write[];
}

/** Entries that may be in the map on top of what is wanted, while one update is carried out. */
const MAX_EXTRA_ENTRIES = 16_384;

/** Policy sync of `table` into `map`. What the map holds already counts as before; nothing is written until `tighten`. */
export function createPolicySync(
  table: ReadonlyTable<PolicyEntryRow>,
  map: MirroredMap<PolicyKey, PolicyValue>,
): PolicySync {
  const subjects = new Map<string, Subject>();
  const dirty = new Set<Subject>();
  let planned: Planned[] = [];

  const subjectOf = (id: Identity, direction: Direction): Subject => {
    const key = `${id} ${direction}`;
    let subject = subjects.get(key);
    if (!subject) {
      subject = { identity: id, direction, wanted: new Map(), actual: new Map(), dirty: new Set(), planned: new Set() };
      subjects.set(key, subject);
    }
    return subject;
  };
  const mark = (subject: Subject, peer: Identity): void => {
    subject.dirty.add(peer);
    dirty.add(subject);
  };
  for (const [key, value] of map.entries()) {
    const subject = subjectOf(identity(key.subject), key.direction === POLICY_EGRESS ? 'egress' : 'ingress');
    put(subject.actual, identity(key.peer), entryOf(key, value));
    mark(subject, identity(key.peer));
  }
  const want = (row: PolicyEntryRow): void => {
    const subject = subjectOf(row.subject, row.direction);
    put(subject.wanted, row.peer, wantedEntry(row));
    mark(subject, row.peer);
  };
  for (const row of table.values()) want(row);
  const stop = table.subscribe(({ before, after }) => {
    if (after) return want(after);
    if (!before) return;
    const subject = subjectOf(before.subject, before.direction);
    take(subject.wanted, before.peer, l4Of(before));
    mark(subject, before.peer);
  });

  const write = (subject: Subject, { peer, l4, entry }: Write): boolean => {
    const key = policyKeyOf(subject, peer, l4);
    const done = entry ? map.set(key, policyValueOf(entry)) : map.delete(key);
    if (done && entry) put(subject.actual, peer, entry);
    else if (done) take(subject.actual, peer, l4);
    return done;
  };

  return {
    plan() {
      let room = Math.min(map.capacity - map.size, MAX_EXTRA_ENTRIES);
      planned = [...dirty].map((subject) => {
        subject.planned = subject.planned.union(subject.dirty);
        subject.dirty = new Set();
        const plan = planTransition(subject.actual, subject.wanted, { peers: subject.planned, room });
        room -= newKeys(subject, [...plan.tighten, ...plan.loosen]);
        return { subject, ...plan };
      });
    },
    tighten() {
      let ok = true;
      // A subject stops at its first failure: what is written so far gives nobody more than before.
      for (const { subject, tighten } of planned) ok = tighten.every((w) => write(subject, w)) && ok;
      return ok;
    },
    loosen() {
      for (const { subject, loosen } of planned) {
        if (!loosen.every((w) => write(subject, w))) continue;
        subject.planned.clear();
        if (subject.dirty.size > 0) continue; // rows changed meanwhile: the next plan's
        dirty.delete(subject);
        if (subject.wanted.size === 0) subjects.delete(`${subject.identity} ${subject.direction}`);
      }
      planned = [];
    },
    isComplete: (id) =>
      (['ingress', 'egress'] as const).every((direction) => {
        const subject = subjects.get(`${id} ${direction}`);
        // Without any entry, everything is denied: complete as well.
        return subject === undefined || !dirty.has(subject);
      }),
    pending: () => [...dirty].map(({ identity: id, direction }) => `${id} ${direction}`),
    close: stop,
  };
}

function newKeys(subject: Subject, writes: readonly Write[]): number {
  const keys = new Set<string>();
  for (const { peer, l4, entry } of writes) {
    if (entry && !subject.actual.get(peer)?.has(l4Key(l4))) keys.add(`${peer} ${l4Key(l4)}`);
  }
  return keys.size;
}

function put(table: Map<Identity, Map<number, Entry>>, peer: Identity, entry: Entry): void {
  const entries = table.get(peer);
  if (entries) entries.set(l4Key(entry.l4), entry);
  else table.set(peer, new Map([[l4Key(entry.l4), entry]]));
}

function take(table: Map<Identity, Map<number, Entry>>, peer: Identity, l4: L4): void {
  const entries = table.get(peer);
  entries?.delete(l4Key(l4));
  if (entries?.size === 0) table.delete(peer);
}

const ACTIONS: Readonly<Record<Entry['action'], number>> = {
  allow: ACTION_ALLOW,
  deny: ACTION_DENY,
  redirect: ACTION_REDIRECT,
};
/** Bits of a policy key before the protocol: subject, peer, direction. */
const FIXED_BITS = 72;

function l4Of(row: PolicyEntryRow): L4 {
  return { protocol: row.protocol, port: row.port, bits: row.l4Bits };
}

function wantedEntry(row: PolicyEntryRow): Entry {
  const { action, precedence, cookie, l4Bits } = row;
  return { l4: l4Of(row), l4Bits, action, precedence, ruleset: row.ruleset ?? 0, cookie };
}

function policyKeyOf(subject: Subject, peer: Identity, l4: L4): PolicyKey {
  const direction = subject.direction === 'egress' ? POLICY_EGRESS : POLICY_INGRESS;
  const { protocol, port, bits } = l4;
  return { prefixlen: FIXED_BITS + bits, subject: subject.identity, peer, direction, protocol, port };
}

function policyValueOf({ precedence, ruleset, cookie, action, l4Bits }: Entry): PolicyValue {
  return { precedence, ruleset, cookie, action: ACTIONS[action], l4Bits };
}

function entryOf(key: PolicyKey, value: PolicyValue): Entry {
  const l4 = { protocol: key.protocol, port: key.port, bits: key.prefixlen - FIXED_BITS };
  const { precedence, ruleset, cookie, l4Bits } = value;
  const known = (['allow', 'deny', 'redirect'] as const).find((action) => ACTIONS[action] === value.action);
  // An action that this version does not write may let pass: read as allow, with a cookie that no wanted entry has.
  return { l4, l4Bits, action: known ?? 'allow', precedence, ruleset, cookie: known ? cookie : -1 };
}
