// Policy of tests, a line for each entry: an edition for each subject and direction, a set of peers for each identity.

import {
  type EditionUse,
  ENTRY_ALLOW,
  ENTRY_AUDIT,
  ENTRY_DENY,
  ENTRY_REDIRECT,
  ENTRY_REFUSE,
  PEER_SETS_EACH,
  type SubjectValue,
} from '../abi.ts';
import type { DatapathMaps } from '../maps.ts';

export type Direction = Exclude<keyof SubjectValue, 'identity'>;
export interface EntryOptions {
  readonly protocol?: number;
  readonly port?: number;
  /** Default: 24 with a port, 8 with a protocol, else 0. */
  readonly l4Bits?: number;
  /** Default: 1. */
  readonly precedence?: number;
  readonly ruleset?: number;
  readonly cookie?: number;
}
export interface RuleOptions extends EntryOptions {
  /** Identity of the peer. Default: any. */
  readonly peer?: number;
}
export type EntryAction = keyof typeof ACTIONS;
type PolicyMaps = Pick<DatapathMaps, 'policy' | 'subjects' | 'peer_sets'>;

const ACTIONS = {
  allow: ENTRY_ALLOW,
  deny: ENTRY_DENY,
  redirect: ENTRY_REDIRECT,
  refuse: ENTRY_REFUSE,
  audit: ENTRY_AUDIT,
} as const;
const UNUSED: EditionUse = { edition: 0, also: 0, filter: [] };
const FILTER_BITS = 256;

/** The edition that `writeRule` writes to. */
export function editionOf(subject: number, direction: Direction): number {
  return 2 * subject + (direction === 'egress' ? 1 : 0);
}

/** An entry of the subject's edition, which it puts in force. The set of a peer has its number, and the peer is put there. */
export function writeRule(
  maps: PolicyMaps,
  rule: { readonly subject: number; readonly direction: Direction; readonly action: EntryAction } & RuleOptions,
): void {
  const { subject, direction, peer = 0 } = rule;
  const edition = editionOf(subject, direction);
  writeEntry(maps, { ...rule, edition, peers: peer });
  if (peer > 0) writePeer(maps, peer);
  const { ingress, egress } = maps.subjects.get(subject) ?? { ingress: UNUSED, egress: UNUSED };
  const use = { ingress, egress }[direction];
  const filter = filterOf(peer > 0 ? [peer] : []).map((bits, i) => (bits | (use.filter[i] ?? 0)) >>> 0);
  maps.subjects.set(subject, { identity: subject, ingress, egress, [direction]: { ...use, edition, filter } });
}

/** An entry of an edition. `peers`: set of peers; 0: any peer. */
export function writeEntry(
  { policy }: PolicyMaps,
  entry: { readonly edition: number; readonly peers: number; readonly action: EntryAction } & EntryOptions,
): void {
  const { edition, peers, action, protocol = 0, port = 0, precedence = 1, ruleset = 0, cookie = 0 } = entry;
  const l4Bits = entry.l4Bits ?? (port > 0 ? 24 : protocol > 0 ? 8 : 0);
  const key = { prefixlen: 72 + l4Bits, edition, peers, protocol, port };
  policy.set(key, { precedence, ruleset, cookie, action: ACTIONS[action], l4Bits });
}

/** Says in which sets an identity is, in as many blocks as they take. Default: in the one that has its number. */
export function writePeer(
  { peer_sets: rows }: PolicyMaps,
  identity: number,
  sets: readonly number[] = [identity],
): void {
  const blocks = Math.max(1, Math.ceil(sets.length / PEER_SETS_EACH));
  for (let block = 0; block < blocks; block++) {
    const more = block + 1 < blocks ? 1 : 0;
    rows.set(
      { identity, block },
      { identity, more, only: 0, sets: sets.slice(block * PEER_SETS_EACH, (block + 1) * PEER_SETS_EACH) },
    );
  }
}

/** The filter of a subject whose entries name `sets`. */
export function filterOf(sets: readonly number[]): number[] {
  const filter = new Uint32Array(FILTER_BITS / 32);
  for (const set of sets) {
    const bit = set % FILTER_BITS;
    filter[bit >> 5] = (filter[bit >> 5] ?? 0) | (1 << (bit & 31));
  }
  return [...filter];
}
