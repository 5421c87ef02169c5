// One subject in one direction: what its policy shall be, what of it is in the map, and how an entry is written there.

import {
  ACTION_ALLOW,
  ACTION_AUDIT,
  ACTION_DENY,
  ACTION_REDIRECT,
  POLICY_EGRESS,
  POLICY_INGRESS,
  type PolicyKey,
  type PolicyValue,
} from '#bpf/abi.ts';
import { type Identity, identity } from '#common/ids.ts';
import type { L4 } from '../policy/l4.ts';
import type { PolicyEntryRow } from '../tables.ts';
import { createEntryTable, type EntryTable, type SharedPeerTables } from './entry-table.ts';
import type { Entry, EntryAction, PeerTable, SubjectTable } from './verdict.ts';

export type Direction = PolicyEntryRow['direction'];

export interface Subject {
  readonly identity: Identity;
  readonly direction: Direction;
  readonly wanted: EntryTable;
  readonly actual: EntryTable;
  /** Entries in `wanted`. */
  wantedCount: number;
  /** Peers whose wanted entries have changed since the last plan. */
  dirty: Set<Identity>;
  /** Peers of the plan that is being carried out, or that has failed. */
  planned: Set<Identity>;
  /** The last plan could not be carried out. */
  hasFailed: boolean;
}

/** Bits of a policy key before the protocol: subject, peer, direction. */
const FIXED_BITS = 72;
const ACTIONS: Readonly<Record<EntryAction, number>> = {
  allow: ACTION_ALLOW,
  deny: ACTION_DENY,
  redirect: ACTION_REDIRECT,
  audit: ACTION_AUDIT,
};
const NOTHING: SubjectTable = new Map();

/** A subject without entries. */
export function createSubject(subject: Identity, direction: Direction, shared: SharedPeerTables): Subject {
  return {
    identity: subject,
    direction,
    wanted: createEntryTable(shared),
    actual: createEntryTable(shared),
    wantedCount: 0,
    dirty: new Set(),
    planned: new Set(),
    hasFailed: false,
  };
}

/**
 * As much of what is wanted as `limit` entries can hold, and nothing wider. Peers whose entries only allow are left out
 * first, those that have entries already last: without entries of its own a peer has what any peer has, and that never
 * is more than "allow". If what denies and redirects is too much by itself, nothing is left.
 */
export function fit({ wanted, actual, wantedCount }: Subject, limit: number): SubjectTable {
  if (wantedCount <= limit) return wanted;
  const onlyAllows = (entries: PeerTable): boolean => entries.values().every(({ action }) => action === 'allow');
  const kept = new Map<Identity, PeerTable>();
  let room = limit;
  const rest: [Identity, PeerTable][] = [];
  for (const [peer, entries] of wanted) {
    if (peer !== 0 && onlyAllows(entries)) rest.push([peer, entries]);
    else {
      kept.set(peer, entries);
      room -= entries.size;
    }
  }
  if (room < 0) return NOTHING;
  rest.sort(([a], [b]) => Number(actual.has(b)) - Number(actual.has(a)) || a - b);
  for (const [peer, entries] of rest) {
    if (entries.size > room) continue;
    kept.set(peer, entries);
    room -= entries.size;
  }
  return kept;
}

/** Where the entry of a row belongs. */
export function l4Of(row: PolicyEntryRow): L4 {
  return { protocol: row.protocol, port: row.port, bits: row.l4Bits };
}

export function wantedEntry(row: PolicyEntryRow): Entry {
  const { action, precedence, cookie, l4Bits } = row;
  return { l4: l4Of(row), l4Bits, action, precedence, ruleset: row.ruleset ?? 0, cookie };
}

export function policyKeyOf(subject: Pick<Subject, 'identity' | 'direction'>, peer: Identity, l4: L4): PolicyKey {
  const { protocol, port, bits } = l4;
  const direction = subject.direction === 'egress' ? POLICY_EGRESS : POLICY_INGRESS;
  return { prefixlen: FIXED_BITS + bits, subject: subject.identity, peer, direction, protocol, port };
}

/** Key of the counter of what no entry has decided. */
export function noEntryKeyOf(subject: Pick<Subject, 'identity' | 'direction'>): PolicyKey {
  const key = policyKeyOf(subject, identity(0), { protocol: 0, port: 0, bits: 0 });
  return { ...key, prefixlen: 0 };
}

export function policyValueOf({ precedence, ruleset, cookie, action, l4Bits }: Entry): PolicyValue {
  return { precedence, ruleset, cookie, action: ACTIONS[action], l4Bits };
}

/** What a key of the map says of protocol and port. */
export function l4OfKey({ protocol, port, prefixlen }: PolicyKey): L4 {
  return { protocol, port, bits: prefixlen - FIXED_BITS };
}

/** The entry that the map holds. */
export function entryOf(key: PolicyKey, value: PolicyValue): Entry {
  const l4 = l4OfKey(key);
  const { precedence, ruleset, cookie, l4Bits } = value;
  const known = (Object.keys(ACTIONS) as EntryAction[]).find((action) => ACTIONS[action] === value.action);
  // An action that this version does not write may let pass: read as allow, with a cookie that no wanted entry has.
  return { l4, l4Bits, action: known ?? 'allow', precedence, ruleset, cookie: known ? cookie : -1 };
}

export function directionOf(key: PolicyKey): Direction {
  return key.direction === POLICY_EGRESS ? 'egress' : 'ingress';
}
