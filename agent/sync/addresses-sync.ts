// Addresses with their identities into the identity map, by longest prefix.
//
//  1. An address of an endpoint whose row changes is closed first (to the kernel an endpoint that is not ready) and opened
//     last: in between nobody meets it under a mix of old and new.
//  2. Every other prefix moves between the two stages of policy (policy-sync.ts): before, an address has at most the rights
//     that its old identity had, afterwards at most those that its new one will have. Each address changes once, from its
//     old identity to its new one: what is set goes longest prefix first, then what is deleted shortest first.
//  3. What finds no room holds back what would give its addresses to somebody else: wider prefixes that change, and
//     deletes that uncover them. If the addresses would then have more rights than they shall, policy must not get wider.
//  4. IPv4 addresses are mapped into IPv6: a row of their own range keeps IPv6 prefixes from covering them.

import { ADDR_MANAGED, type IdentityKey, type IdentityValue } from '#bpf/abi.ts';
import { type Identity, identity, RESERVED } from '#common/ids.ts';
import { type Address, type Cidr, covers, formatCidr, masked, parseCidr } from '#common/ip.ts';
import type { ReadonlyTable } from '#common/table.ts';
import type { AddressRow } from '../tables.ts';
import { createIdentityUse } from './identity-use.ts';
import type { MirroredMap } from './map.ts';

export interface AddressSync {
  /** Closes every endpoint's address whose row changes, and takes down which prefixes are to be moved. */
  close(): void;
  /**
   * Moves the prefixes. `isNarrower`: whether a peer of the first identity is given no more than one of the second.
   * False: some address keeps an identity that will have more rights than its own.
   */
  move(isNarrower: (a: Identity, b: Identity) => boolean): boolean;
  /** Gives every closed address its identity; forgets those that are gone. */
  open(): void;
  /** The identity that the map has for the address; undefined: none. */
  identityOf(ip: Address): number | undefined;
  /** Whether no address has the identity now, and whether none shall have it. */
  isFresh(identity: Identity): boolean;
  isLeaving(identity: Identity): boolean;
  pending(): readonly string[];
  stop(): void;
}

type IdentityMap = MirroredMap<IdentityKey, IdentityValue>;

const IPV4: AddressRow = { cidr: cidrOf('0.0.0.0/0'), identity: RESERVED.worldIpv4, flags: 0 };
const IPV4_KEY = formatCidr(IPV4.cidr);

/** Address sync of `table` into `map`. What the map holds already is adopted or pruned. */
export function createAddressSync(table: ReadonlyTable<AddressRow>, map: IdentityMap): AddressSync {
  const wanted = (key: string): AddressRow | undefined => table.get(key) ?? (key === IPV4_KEY ? IPV4 : undefined);
  const use = createIdentityUse(table, map);
  let dirty = new Set([IPV4_KEY, ...[...table.entries()].map(([key]) => key)]);
  for (const [{ ip, prefixlen }] of map.entries()) dirty.add(formatCidr({ address: ip, bits: prefixlen }));
  const stop = table.subscribe(({ key }) => void dirty.add(key));
  const closed = new Set<string>();
  /** With the rows that belong to the policy that is being carried out. */
  const moving = new Map<string, AddressRow | undefined>();
  return {
    close() {
      for (const key of dirty) {
        const row = wanted(key);
        const at = keyOf(row?.cidr ?? cidrOf(key));
        const is = map.get(at);
        moving.delete(key);
        if (closed.has(key) || isSame(is, row)) continue;
        if (!(((row?.flags ?? 0) | (is?.flags ?? 0)) & ADDR_MANAGED)) {
          moving.set(key, row);
          continue;
        }
        // One that nothing is known of yet is closed too: it was the world a moment ago.
        map.set(at, { identity: row?.identity ?? is?.identity ?? 0, flags: ADDR_MANAGED });
        closed.add(key);
      }
      dirty = new Set();
    },
    move(isNarrower) {
      const moves = [...moving].map(([key, row]): Move => ({ key, row, cidr: row?.cidr ?? cidrOf(key) }));
      const left = carryOut(moves, map);
      for (const { key } of moves) if (!left.has(key)) moving.delete(key);
      return areSafe([...left.values()], map, isNarrower);
    },
    open() {
      for (const key of closed) {
        if (dirty.has(key)) continue; // it changed again meanwhile: the next update's
        const row = wanted(key);
        const at = keyOf(row?.cidr ?? cidrOf(key));
        // What a delete uncovers must be final.
        const done = row
          ? map.set(at, { identity: row.identity, flags: row.flags })
          : moving.size === 0 && map.delete(at);
        if (done) closed.delete(key);
      }
    },
    identityOf: (ip) => map.get({ prefixlen: 128, ip })?.identity,
    isFresh: use.isFresh,
    isLeaving: use.isLeaving,
    pending: () => [...closed, ...moving.keys(), ...dirty],
    stop() {
      stop();
      use.stop();
    },
  };
}

interface Move {
  readonly key: string;
  readonly cidr: Cidr;
  /** undefined: to be deleted. */
  readonly row: AddressRow | undefined;
}

// Numbers 2 and 3. What is left over, by key.
function carryOut(moves: readonly Move[], map: IdentityMap): ReadonlyMap<string, Move> {
  const todo = new Map(moves.map((move) => [move.key, move]));
  for (;;) {
    const before = todo.size;
    const ordered = [...todo.values()];
    const sets = ordered.filter(({ row }) => row).sort((a, b) => b.cidr.bits - a.cidr.bits);
    const deletes = ordered.filter(({ row }) => !row).sort((a, b) => a.cidr.bits - b.cidr.bits);
    const stuck: Cidr[] = [];
    for (const { key, cidr, row } of sets) {
      const isHeld = stuck.some((other) => covers(cidr, other));
      if (row && !isHeld && map.set(keyOf(cidr), { identity: row.identity, flags: row.flags })) todo.delete(key);
      else stuck.push(cidr);
    }
    for (const { key, cidr } of deletes) {
      if (stuck.some((other) => covers(cidr, other) || covers(other, cidr))) continue;
      if (map.delete(keyOf(cidr))) todo.delete(key);
    }
    // Deletes make room: what found none is tried again.
    if (todo.size === 0 || todo.size === before || stuck.length === 0) return todo;
  }
}

// Whether what could not be moved may stay as it is while policy gets wider.
function areSafe(left: readonly Move[], map: IdentityMap, isNarrower: (a: Identity, b: Identity) => boolean): boolean {
  if (left.length === 0) return true;
  const lengths = [...new Set([...map.entries()].map(([{ prefixlen }]) => prefixlen))].sort((a, b) => b - a);
  const checked = new Map<string, boolean>();
  return left.every(({ cidr, row }) => {
    if (!row) return false;
    const bits = lengths
      .filter((n) => n <= cidr.bits)
      .find((n) => map.get({ prefixlen: n, ip: masked(cidr.address, n) }));
    const is = bits === undefined ? undefined : map.get({ prefixlen: bits, ip: masked(cidr.address, bits) });
    const has = identity(is?.identity ?? RESERVED.worldIpv6);
    const pair = `${has} ${row.identity}`;
    const safe = checked.get(pair) ?? isNarrower(has, row.identity);
    checked.set(pair, safe);
    return safe;
  });
}

function isSame(is: IdentityValue | undefined, row: AddressRow | undefined): boolean {
  if (!is || !row) return is === row;
  return is.identity === row.identity && is.flags === row.flags;
}

function keyOf(cidr: Cidr): IdentityKey {
  return { prefixlen: cidr.bits, ip: cidr.address };
}

// From the key of a row (formatCidr).
function cidrOf(text: string): Cidr {
  const parsed = parseCidr(text);
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.value;
}
