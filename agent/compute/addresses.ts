// Whose an address is. Several may claim one: the strongest rank has it, and among equals the latest. A pod's address is
// the pod's, a node's the node's, whatever prefix they lie in or name they have.

import type { Identity } from '#common/ids.ts';
import { type Address, type Cidr, formatCidr } from '#common/ip.ts';
import type { AddressRow, Desired } from '../tables.ts';

/** Weakest first. */
const RANKS = ['prefix', 'node', 'remote pod', 'pod'] as const;
export type Rank = (typeof RANKS)[number];

/** Who claims: its name is unique among those of its rank. */
export interface Owner {
  readonly rank: Rank;
  readonly name: string;
}

export interface Addresses {
  /** Claims a prefix. Returns the key by which the claim is given up. A later claim of an owner replaces an earlier one. */
  claim(owner: Owner, cidr: Cidr, to: { readonly identity: Identity; readonly flags: number }): string;
  remove(owner: Owner, key: string): void;
}

/** Rows carry their claims along: there are as many as pods in the cluster, and mostly one claim on each. */
interface Claim extends AddressRow, Owner {
  /** The claims that this one stands before. */
  readonly next: Claim | undefined;
}

/** Addresses whose rows are kept in `table` (key: formatCidr). */
export function createAddresses(table: Desired['addresses']): Addresses {
  const settle = (key: string, before: Claim | undefined, first: Claim | undefined): void => {
    if (!first) table.delete(key);
    else if (!before || !sameClaims(before, first)) table.set(key, first);
  };
  return {
    claim({ rank, name }, cidr, { identity, flags }) {
      const key = formatCidr(cidr);
      const before = table.get(key) as Claim | undefined;
      const claim: Claim = { cidr, identity, flags, rank, name, next: undefined };
      settle(key, before, before ? insert(without(before, claim), claim) : claim);
      return key;
    },
    remove(owner, key) {
      const before = table.get(key) as Claim | undefined;
      if (before) settle(key, before, without(before, owner));
    },
  };
}

/** The prefix of a single address. */
export function hostCidr(address: Address): Cidr {
  return { address, bits: 128 };
}

function insert(list: Claim | undefined, claim: Claim): Claim {
  if (!list || RANKS.indexOf(claim.rank) >= RANKS.indexOf(list.rank)) return { ...claim, next: list };
  return { ...list, next: insert(list.next, claim) };
}

function without(list: Claim | undefined, owner: Owner): Claim | undefined {
  if (!list) return undefined;
  if (list.rank === owner.rank && list.name === owner.name) return list.next;
  const next = without(list.next, owner);
  return next === list.next ? list : { ...list, next };
}

function sameClaims(a: Claim, b: Claim): boolean {
  if (a === b) return true;
  if (a.identity !== b.identity || a.flags !== b.flags || a.rank !== b.rank || a.name !== b.name) return false;
  return a.next === b.next;
}
