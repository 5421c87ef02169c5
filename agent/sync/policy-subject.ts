// One subject in one direction: what its policy shall be, what of it is in the map, and how an entry is written there.

import {
  ENTRY_ALLOW,
  ENTRY_AUDIT,
  ENTRY_DENY,
  ENTRY_REDIRECT,
  ENTRY_REFUSE,
  POLICY_EGRESS,
  POLICY_INGRESS,
  type PolicyCounterKey,
  type PolicyKey,
  type PolicyValue,
} from '#bpf/abi.ts';
import { type Identity, peerSetId } from '#common/ids.ts';
import type { EntryAction } from '../policy/verdict.ts';
import type { PolicyEntryRow } from '../tables.ts';

export type Direction = PolicyEntryRow['direction'];

/** An entry without subject and direction. */
export type EditionEntry = Pick<PolicyEntryRow, 'peers' | 'protocol' | 'port' | 'l4Bits' | 'precedence'> & {
  readonly action: EntryAction;
  readonly ruleset: number; // 0: none
  readonly cookie: number;
};
/** Entries by `entryKey`. */
export type Entries = ReadonlyMap<string, EditionEntry>;

/** Bits of a policy key before the protocol: edition, peers, padding. */
const FIXED_BITS = 72;
/** As `l4Bits` of a counter: there was no entry. */
const NO_ENTRY = 255;
const ACTIONS: Readonly<Record<EntryAction, number>> = {
  allow: ENTRY_ALLOW,
  deny: ENTRY_DENY,
  redirect: ENTRY_REDIRECT,
  refuse: ENTRY_REFUSE,
  audit: ENTRY_AUDIT,
};
export const NOTHING: Entries = new Map();

/** A key for Map, unique among the entries of one subject and direction. */
export function entryKey({ peers, protocol, port, l4Bits }: Omit<PolicyCounterKey, 'subject' | 'direction'>): string {
  return `${peers} ${protocol} ${port} ${l4Bits}`;
}

/**
 * As much of what is wanted as `limit` entries can hold, and nothing wider: what only lets pass is left out first, that
 * which is not in force sooner than that which is. If the rest is too much by itself, nothing is left.
 */
export function fit(wanted: Entries, limit: number, inForce: Entries): Entries {
  if (wanted.size <= limit) return wanted;
  const [allows, strict] = split(wanted);
  if (strict.length > limit) return NOTHING;
  const rank = (entry: EditionEntry): number => Number(!inForce.has(entryKey(entry)));
  const kept = [...strict, ...allows.sort((a, b) => rank(a) - rank(b)).slice(0, limit - strict.length)];
  return new Map(kept.map((entry) => [entryKey(entry), entry]));
}

/** What only lets pass, and what takes something away, whoever else lets it pass. */
export function split(entries: Entries): readonly [allows: EditionEntry[], strict: EditionEntry[]] {
  const allows: EditionEntry[] = [];
  const strict: EditionEntry[] = [];
  for (const entry of entries.values()) (entry.action === 'allow' ? allows : strict).push(entry);
  return [allows, strict];
}

/** Whether two tables say the same to the last bit. */
export function areEqual(a: Entries, b: Entries): boolean {
  if (a === b) return true;
  if (a.size !== b.size) return false;
  for (const [key, entry] of a) if (!isSame(entry, b.get(key))) return false;
  return true;
}

function isSame(a: EditionEntry, b: EditionEntry | undefined): boolean {
  return (
    b !== undefined &&
    a.action === b.action &&
    a.precedence === b.precedence &&
    a.ruleset === b.ruleset &&
    a.cookie === b.cookie
  );
}

/** The entry that a row wants. */
export function wantedEntry(row: PolicyEntryRow): EditionEntry {
  const { peers, protocol, port, l4Bits, precedence, action, ruleset = 0, cookie } = row;
  return { peers, protocol, port, l4Bits, precedence, action, ruleset, cookie };
}

/** The key of an entry in the policy map. */
export function policyKeyOf(edition: number, { peers, protocol, port, l4Bits }: EditionEntry): PolicyKey {
  return { prefixlen: FIXED_BITS + l4Bits, edition, peers, protocol, port };
}

/** Its value there. */
export function policyValueOf({ precedence, ruleset, cookie, action, l4Bits }: EditionEntry): PolicyValue {
  return { precedence, ruleset, cookie, action: ACTIONS[action], l4Bits };
}

/** An entry as the map has it. An action that nobody writes counts as a denial, which is how the kernel takes it. */
export function entryOf(key: PolicyKey, value: PolicyValue): EditionEntry {
  const action = (Object.keys(ACTIONS) as EntryAction[]).find((name) => ACTIONS[name] === value.action) ?? 'deny';
  const { precedence, ruleset, cookie, l4Bits } = value;
  return {
    peers: peerSetId(key.peers),
    protocol: key.protocol,
    port: key.port,
    l4Bits,
    action,
    precedence,
    ruleset,
    cookie,
  };
}

/** Who is asked: an identity in one direction. */
export interface SubjectName {
  readonly identity: Identity;
  readonly direction: Direction;
}

/** The key under which the kernel counts the uses of an entry. */
export function counterKeyOf(
  { identity, direction }: SubjectName,
  { peers, protocol, port, l4Bits }: Omit<PolicyCounterKey, 'subject' | 'direction'>,
): PolicyCounterKey {
  return { subject: identity, peers, direction: directionNumber(direction), protocol, port, l4Bits };
}

/** The key under which it counts what no entry has decided. */
export function noEntryKeyOf(name: SubjectName): PolicyCounterKey {
  return counterKeyOf(name, { peers: 0, protocol: 0, port: 0, l4Bits: NO_ENTRY });
}

/** Whether a counter is of no entry. */
export function isOfNoEntry({ l4Bits }: PolicyCounterKey): boolean {
  return l4Bits === NO_ENTRY;
}

function directionNumber(direction: Direction): number {
  return direction === 'ingress' ? POLICY_INGRESS : POLICY_EGRESS;
}

/** The direction of a counter. */
export function directionOf({ direction }: Pick<PolicyCounterKey, 'direction'>): Direction {
  return direction === POLICY_INGRESS ? 'ingress' : 'egress';
}
