// Endpoints and addresses into their maps. An endpoint whose identity, address or interface changes is taken out first
// and let in again last: in between its packets are dropped, and nobody meets it under a mix of old and new. Its audit
// mode changes in place, with the rest that is let in: after its policy.

import { ENDPOINT_AUDIT, type Endpoint, type IdentityKey, type IdentityValue } from '#bpf/abi.ts';
import type { Identity } from '#common/ids.ts';
import { type Address, UNSPECIFIED } from '#common/ip.ts';
import type { ReadonlyTable } from '#common/table.ts';
import type { AddressRow, AdmittedEndpointRow } from '../tables.ts';
import { type AddressSync, createAddressSync } from './addresses-sync.ts';
import type { MirroredMap } from './map.ts';

export interface EndpointSync {
  /**
   * Takes out endpoints that are gone or change, and closes the addresses whose identity changes. Returns addresses
   * whose connections belong to a pod that is gone.
   */
  evict(): readonly Address[];
  /** What is to be done with addresses that are not endpoints' between the two stages of policy, and for its plan. */
  readonly prefixes: Pick<AddressSync, 'move' | 'isFresh' | 'isLeaving'>;
  /** Addresses of the endpoints that are about to be let in. */
  arriving(): Iterable<Address>;
  /** Gives every address its identity, and lets endpoints in whose policy is complete. */
  admit(isComplete: (identity: Identity) => boolean): void;
  /** Identities of the endpoints that the maps know: the kernel may ask for their policy. */
  askedIdentities(): ReadonlySet<number>;
  /** Endpoints and addresses that are not in force as wanted. */
  pending(): readonly string[];
  close(): void;
}

export interface EndpointMaps {
  readonly endpoints: MirroredMap<number, Endpoint>;
  readonly endpointAddrs: MirroredMap<Address, Endpoint>;
  readonly identities: MirroredMap<IdentityKey, IdentityValue>;
}

/** Endpoint sync of the two tables into the three maps. What the maps hold already is adopted or taken out. */
export function createEndpointSync(
  tables: { readonly endpoints: ReadonlyTable<AdmittedEndpointRow>; readonly addresses: ReadonlyTable<AddressRow> },
  maps: EndpointMaps,
): EndpointSync {
  const addresses = createAddressSync(tables.addresses, maps.identities);
  let dirty = new Set([...tables.endpoints.entries()].map(([key]) => key));
  let round = new Set<string>(); // of those, what the last `evict` has seen
  // Interfaces and addresses that the maps speak of and that have to be looked at, with or without a row.
  const stale = { interfaces: new Set<number>(), addresses: new Set<Address>() };
  for (const [ifindex] of maps.endpoints.entries()) stale.interfaces.add(ifindex);
  for (const [address] of maps.endpointAddrs.entries()) stale.addresses.add(address);
  const stop = tables.endpoints.subscribe(({ key, before, after }) => {
    dirty.add(key);
    for (const row of [before, after]) {
      if (!row?.endpoint.device) continue;
      stale.interfaces.add(row.endpoint.device.ifindex);
      for (const ip of addressesOf(row)) stale.addresses.add(ip);
    }
  });
  const letIn = (row: AdmittedEndpointRow, value: Endpoint): boolean =>
    addressesOf(row).every((ip) => addresses.identityOf(ip) === row.identity) &&
    maps.endpoints.set(value.ifindex, value) &&
    addressesOf(row).every((ip) => maps.endpointAddrs.set(ip, value));

  return {
    prefixes: addresses,
    evict() {
      const want = stale.addresses.size + stale.interfaces.size > 0 ? wanted(tables.endpoints, stale) : NOTHING;
      const orphaned: Address[] = [];
      // Addresses before interfaces: nothing is delivered to an endpoint that may no longer answer.
      for (const address of stale.addresses) {
        const is = maps.endpointAddrs.get(address);
        const next = want.addresses.get(address);
        if (is && !sameEndpoint(is, next) && !maps.endpointAddrs.delete(address)) continue;
        if (is && !samePod(is, next)) orphaned.push(address);
        stale.addresses.delete(address);
      }
      for (const ifindex of stale.interfaces) {
        const is = maps.endpoints.get(ifindex);
        if (is && !sameEndpoint(is, want.interfaces.get(ifindex)) && !maps.endpoints.delete(ifindex)) continue;
        stale.interfaces.delete(ifindex);
      }
      addresses.close();
      round = round.union(dirty);
      dirty = new Set();
      return orphaned;
    },
    *arriving() {
      for (const key of round) {
        const row = tables.endpoints.get(key);
        if (row) yield* addressesOf(row);
      }
    },
    admit(isComplete) {
      addresses.open();
      for (const key of round) {
        if (dirty.has(key)) continue; // it changed again meanwhile, and was not taken out for that
        const row = tables.endpoints.get(key);
        const value = row && endpointValue(row);
        if (!row || !value || (isComplete(row.identity) && letIn(row, value))) round.delete(key);
      }
    },
    askedIdentities() {
      const asked = new Set<number>();
      for (const map of [maps.endpoints, maps.endpointAddrs])
        for (const { identity } of map.values()) asked.add(identity);
      return asked;
    },
    pending: () => [...round.union(dirty), ...addresses.pending()],
    close() {
      stop();
      addresses.stop();
    },
  };
}

interface Wanted {
  readonly interfaces: ReadonlyMap<number, Endpoint>;
  readonly addresses: ReadonlyMap<Address, Endpoint>;
}

const NOTHING: Wanted = { interfaces: new Map(), addresses: new Map() };

/** What the rows say of the interfaces and addresses of `stale`. */
function wanted(
  table: ReadonlyTable<AdmittedEndpointRow>,
  stale: { readonly interfaces: ReadonlySet<number>; readonly addresses: ReadonlySet<Address> },
): Wanted {
  const interfaces = new Map<number, Endpoint>();
  const addresses = new Map<Address, Endpoint>();
  for (const row of table.values()) {
    if (!row.endpoint.device) continue;
    const { ifindex } = row.endpoint.device;
    const own = addressesOf(row).filter((ip) => stale.addresses.has(ip));
    const value = own.length > 0 || stale.interfaces.has(ifindex) ? endpointValue(row) : undefined;
    if (!value) continue;
    interfaces.set(ifindex, value);
    for (const ip of own) addresses.set(ip, value);
  }
  return { interfaces, addresses };
}

function addressesOf({ endpoint }: AdmittedEndpointRow): readonly Address[] {
  return [endpoint.ip4, endpoint.ip6].filter((ip) => ip !== undefined);
}

/** undefined: an address of the node itself, which has no interface. */
function endpointValue({ endpoint, identity }: AdmittedEndpointRow): Endpoint | undefined {
  const { device, id, ip4, ip6 } = endpoint;
  if (!device) return undefined;
  return {
    ifindex: device.ifindex,
    identity,
    id,
    flags: endpoint.audit ? ENDPOINT_AUDIT : 0,
    podMac: macBytes(device.podMac),
    hostMac: macBytes(device.hostMac),
    ip4: ip4 ?? UNSPECIFIED,
    ip6: ip6 ?? UNSPECIFIED,
  };
}

function macBytes(text: string): Uint8Array {
  return Uint8Array.from(text.split(':'), (part) => Number.parseInt(part, 16));
}

function samePod(a: Endpoint, b: Endpoint | undefined): boolean {
  return b !== undefined && a.ifindex === b.ifindex && a.id === b.id && Buffer.compare(a.podMac, b.podMac) === 0;
}

function sameEndpoint(a: Endpoint, b: Endpoint | undefined): boolean {
  if (!b || !samePod(a, b) || a.identity !== b.identity) return false;
  const same = (x: Uint8Array, y: Uint8Array): boolean => Buffer.compare(x, y) === 0;
  return same(a.hostMac, b.hostMac) && a.ip4 === b.ip4 && a.ip6 === b.ip6;
}
