// Addresses with their identities into the identity map. An address whose row changes is closed first (to the kernel an
// endpoint that is not ready) and opened last: in between nobody meets it under a mix of old and new.

import { ADDR_MANAGED, type IdentityKey, type IdentityValue } from '#bpf/abi.ts';
import type { Address, Cidr } from '#common/ip.ts';
import { formatCidr, parseCidr } from '#common/ip.ts';
import type { ReadonlyTable } from '#common/table.ts';
import type { AddressRow } from '../tables.ts';
import type { MirroredMap } from './map.ts';

export interface AddressSync {
  /** Closes every address whose identity or flags change. */
  close(): void;
  /** Gives every address its identity; forgets those that are gone. */
  open(): void;
  /** The identity that the map has for the address; undefined: none. */
  identityOf(ip: Address): number | undefined;
  pending(): readonly string[];
  stop(): void;
}

/** Address sync of `table` into `map`. What the map holds already is adopted or pruned. */
export function createAddressSync(
  table: ReadonlyTable<AddressRow>,
  map: MirroredMap<IdentityKey, IdentityValue>,
): AddressSync {
  let dirty = new Set([...table.entries()].map(([key]) => key));
  for (const [{ ip, prefixlen }] of map.entries()) dirty.add(formatCidr({ address: ip, bits: prefixlen }));
  const stop = table.subscribe(({ key }) => void dirty.add(key));
  const closed = new Set<string>();
  const keyOf = (cidr: Cidr): IdentityKey => ({ prefixlen: cidr.bits, ip: cidr.address });
  return {
    close() {
      for (const key of dirty) {
        const row = table.get(key);
        const at = keyOf(row?.cidr ?? cidrOf(key));
        const is = map.get(at);
        if (row && is?.identity === row.identity && is.flags === row.flags) continue;
        // One that nothing is known of yet is closed too: it was the world a moment ago.
        map.set(at, { identity: row?.identity ?? is?.identity ?? 0, flags: ADDR_MANAGED });
        closed.add(key);
      }
      dirty = new Set();
    },
    open() {
      for (const key of closed) {
        if (dirty.has(key)) continue; // it changed again meanwhile: the next update's
        const row = table.get(key);
        const at = keyOf(row?.cidr ?? cidrOf(key));
        if (row ? map.set(at, { identity: row.identity, flags: row.flags }) : map.delete(at)) closed.delete(key);
      }
    },
    identityOf: (ip) => map.get({ prefixlen: 128, ip })?.identity,
    pending: () => [...closed, ...dirty],
    stop,
  };
}

// From the key of a row (formatCidr).
function cidrOf(text: string): Cidr {
  const parsed = parseCidr(text);
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.value;
}
