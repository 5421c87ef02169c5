// Endpoints and addresses into their maps. An endpoint whose identity, address or interface changes is taken out first
// and let in again last: in between its packets are dropped, and nobody meets it under a mix of old and new.

import { ADDR_MANAGED, type Endpoint, type IdentityKey, type IdentityValue } from '#bpf/abi.ts';
import type { Identity } from '#common/ids.ts';
import { type Address, addressKey, type Cidr, formatCidr, parseCidr } from '#common/ip.ts';
import type { ReadonlyTable } from '#common/table.ts';
import type { AddressRow, AdmittedEndpointRow } from '../tables.ts';
import type { MirroredMap } from './map.ts';

export interface EndpointSync {
  /**
   * Takes out endpoints that are gone or change, and closes the addresses whose identity changes. Returns addresses
   * whose connections belong to a pod that is gone.
   */
  evict(): readonly Address[];
  /** Gives every address its identity, and lets endpoints in whose policy is complete. */
  admit(isComplete: (identity: Identity) => boolean): void;
  /** Endpoints and addresses that are not in force as wanted. */
  pending(): readonly string[];
  close(): void;
}

export interface EndpointMaps {
  readonly endpoints: MirroredMap<number, Endpoint>;
  readonly endpointAddrs: MirroredMap<Address, Endpoint>;
  readonly identities: MirroredMap<IdentityKey, IdentityValue>;
}

const NO_ADDRESS = new Uint8Array(16) as Address;

/** Endpoint sync of the two tables into the three maps. What the maps hold already is adopted or taken out. */
export function createEndpointSync(
  tables: { readonly endpoints: ReadonlyTable<AdmittedEndpointRow>; readonly addresses: ReadonlyTable<AddressRow> },
  maps: EndpointMaps,
): EndpointSync {
  const dirty = new Set([...tables.endpoints.entries()].map(([key]) => key));
  const dirtyAddresses = new Set([...tables.addresses.entries()].map(([key]) => key));
  // Interfaces and addresses that the maps speak of and that have to be looked at, with or without a row.
  const stale = { interfaces: new Set<number>(), addresses: new Map<string, Address>() };
  for (const [ifindex] of maps.endpoints.entries()) stale.interfaces.add(ifindex);
  for (const [address] of maps.endpointAddrs.entries()) stale.addresses.set(addressKey(address), address);
  for (const [{ ip, prefixlen }] of maps.identities.entries())
    dirtyAddresses.add(formatCidr({ address: ip, bits: prefixlen }));
  const stops = [
    tables.endpoints.subscribe(({ key, before, after }) => {
      dirty.add(key);
      for (const row of [before, after]) {
        if (!row?.endpoint.device) continue;
        stale.interfaces.add(row.endpoint.device.ifindex);
        for (const ip of addressesOf(row)) stale.addresses.set(addressKey(ip), ip);
      }
    }),
    tables.addresses.subscribe(({ key }) => void dirtyAddresses.add(key)),
  ];

  const wanted = (): { readonly interfaces: Map<number, Endpoint>; readonly addresses: Map<string, Endpoint> } => {
    const interfaces = new Map<number, Endpoint>();
    const addresses = new Map<string, Endpoint>();
    for (const row of tables.endpoints.values()) {
      const value = endpointValue(row);
      if (!value) continue;
      interfaces.set(value.ifindex, value);
      for (const ip of addressesOf(row)) addresses.set(addressKey(ip), value);
    }
    return { interfaces, addresses };
  };
  const setAddress = (row: AddressRow): boolean => {
    const { identity, flags } = row;
    return maps.identities.set({ prefixlen: row.cidr.bits, ip: row.cidr.address }, { identity, flags });
  };

  return {
    evict() {
      const want = wanted();
      const orphaned: Address[] = [];
      // Addresses before interfaces: nothing is delivered to an endpoint that may no longer answer.
      for (const [key, address] of stale.addresses) {
        const is = maps.endpointAddrs.get(address);
        const next = want.addresses.get(key);
        if (is && !sameEndpoint(is, next) && !maps.endpointAddrs.delete(address)) continue;
        if (is && !samePod(is, next)) orphaned.push(address);
        stale.addresses.delete(key);
      }
      for (const ifindex of stale.interfaces) {
        const is = maps.endpoints.get(ifindex);
        if (is && !sameEndpoint(is, want.interfaces.get(ifindex)) && !maps.endpoints.delete(ifindex)) continue;
        stale.interfaces.delete(ifindex);
      }
      for (const key of dirtyAddresses) {
        const row = tables.addresses.get(key);
        const at = row?.cidr ?? cidrOf(key);
        const is = maps.identities.get({ prefixlen: at.bits, ip: at.address });
        if (row && is?.identity === row.identity && is.flags === row.flags) dirtyAddresses.delete(key);
        // An address that nothing is known of yet is closed too: it was the world a moment ago.
        else setAddress({ cidr: at, identity: (row?.identity ?? is?.identity ?? 0) as Identity, flags: ADDR_MANAGED });
      }
      return orphaned;
    },
    admit(isComplete) {
      for (const key of dirtyAddresses) {
        const row = tables.addresses.get(key);
        const at = row?.cidr ?? cidrOf(key);
        const done = row ? setAddress(row) : maps.identities.delete({ prefixlen: at.bits, ip: at.address });
        if (done) dirtyAddresses.delete(key);
      }
      for (const key of dirty) {
        const row = tables.endpoints.get(key);
        const value = row && endpointValue(row);
        if (!row || !value) {
          dirty.delete(key);
          continue;
        }
        const known = addressesOf(row).every(
          (ip) => maps.identities.get({ prefixlen: 128, ip })?.identity === row.identity,
        );
        if (!known || !isComplete(row.identity)) continue;
        const done =
          maps.endpoints.set(value.ifindex, value) && addressesOf(row).every((ip) => maps.endpointAddrs.set(ip, value));
        if (done) dirty.delete(key);
      }
    },
    pending: () => [...dirty, ...dirtyAddresses],
    close() {
      for (const stop of stops) stop();
    },
  };
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
    flags: 0,
    podMac: macBytes(device.podMac),
    hostMac: macBytes(device.hostMac),
    ip4: ip4 ?? NO_ADDRESS,
    ip6: ip6 ?? NO_ADDRESS,
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
  return [a.hostMac, a.ip4, a.ip6].every(
    (bytes, i) => Buffer.compare(bytes, [b.hostMac, b.ip4, b.ip6][i] ?? NO_ADDRESS) === 0,
  );
}

// From the key of an address row (formatCidr).
function cidrOf(text: string): Cidr {
  const parsed = parseCidr(text);
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.value;
}
