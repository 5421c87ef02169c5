// ClusterIPs: an address of each service range per service. Where a service looks first follows from its name alone, so
// that the same folder of objects gets the same addresses; what it got is remembered all the same.

import { createHash } from 'node:crypto';
import { type Address, addOffset, type Cidr, covers, type Family, familyOf, formatCidr } from '#common/ip.ts';
import { err, ok, type Result } from '#common/result.ts';

export interface ClusterIps {
  /** An address of `family` for service `key`; the one it has already if it has one. Fails when the range is full. */
  allocate(key: string, family: Family): Result<Address, string>;
  /** Exactly `wanted` for service `key`. Fails when it is outside the ranges or belongs to another service. */
  claim(key: string, wanted: Address): Result<Address, string>;
  /** Gives back the addresses of service `key` that are not in `keep`. */
  release(key: string, keep: readonly Address[]): void;
  /** Addresses by service, to be remembered. */
  owned(): ReadonlyMap<string, readonly Address[]>;
  /** Grows whenever `owned` would differ. */
  readonly version: number;
}

// Kept free for addresses that users ask for, where the range is large enough to afford it.
const RESERVED_LOW = 256;

/**
 * Allocates from one range per family. Addresses in `reserved` go to their key only: fixed ones, and those that were
 * given out before a restart.
 */
export function createClusterIps(
  ranges: Readonly<Record<Family, Cidr>>,
  reserved: readonly { readonly key: string; readonly address: Address }[],
): ClusterIps {
  const owners = new Map<string, string>();
  const owned = new Map<string, Address[]>();
  const promised = new Map(reserved.map(({ key, address }) => [address, key]));
  let version = 0;
  const take = (key: string, address: Address): Address => {
    if (owners.get(address) === key) return address;
    version++;
    owners.set(address, key);
    owned.set(key, [...(owned.get(key) ?? []), address]);
    return address;
  };
  const isFree = (key: string, address: Address): boolean => {
    const owner = owners.get(address) ?? promised.get(address);
    return owner === undefined || owner === key;
  };
  return {
    allocate(key, family) {
      const existing = owned.get(key)?.find((address) => familyOf(address) === family);
      if (existing) return ok(existing);
      const before = reserved.find((r) => r.key === key && familyOf(r.address) === family)?.address;
      if (before && covers(ranges[family], { address: before, bits: 128 }) && isFree(key, before))
        return ok(take(key, before));
      const range = ranges[family];
      const size = sizeOf(range);
      const first = size > 4 * RESERVED_LOW ? RESERVED_LOW : 1;
      const count = size - 1 - first; // without the last address, which IPv4 reads as broadcast
      const start = hash(key) % count;
      for (let tried = 0; tried < count; tried++) {
        const address = addOffset(range.address, first + ((start + tried) % count));
        if (isFree(key, address)) return ok(take(key, address));
      }
      return err(`Cannot allocate a ClusterIP for service "${key}": all of ${formatCidr(range)} is in use`);
    },
    claim(key, wanted) {
      if (!Object.values(ranges).some((range) => covers(range, { address: wanted, bits: 128 })))
        return err(`is outside the service ranges`);
      const owner = owners.get(wanted) ?? promised.get(wanted);
      if (!isFree(key, wanted)) return err(`belongs to service "${owner}"`);
      return ok(take(key, wanted));
    },
    release(key, keep) {
      const kept = new Set(keep);
      const rest = (owned.get(key) ?? []).filter((address) => {
        if (kept.has(address)) return true;
        owners.delete(address);
        version++;
        return false;
      });
      if (rest.length > 0) owned.set(key, rest);
      else owned.delete(key);
    },
    owned: () => owned,
    get version() {
      return version;
    },
  };
}

function sizeOf(range: Cidr): number {
  return 2 ** Math.min(128 - range.bits, 24);
}

function hash(key: string): number {
  return createHash('sha256').update(key).digest().readUInt32BE(0);
}
