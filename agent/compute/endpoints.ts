// Endpoints -> identities, addresses, enforcement: which number the labels of each endpoint have, and where it is.

import { ADDR_MANAGED, ADDR_NODE } from '#bpf/abi.ts';
import { type Identity, RESERVED } from '#common/ids.ts';
import { type Address, formatCidr } from '#common/ip.ts';
import type { Allocator } from '../identity/allocator.ts';
import { identityLabels } from '../identity/labels.ts';
import type { NodeAddresses } from '../layout.ts';
import type { PolicyCompute } from '../policy/compute.ts';
import type { AddressRow, Desired, EndpointRow, Inputs } from '../tables.ts';
import { createIdentities, type Hold } from './identities.ts';

/** Name of this cluster in the labels of its pods. */
const CLUSTER = 'default';

export interface EndpointCompute {
  /** Endpoint "namespace/pod" has changed. */
  touch(key: string): void;
  /** The labels of a namespace have changed. */
  touchNamespace(namespace: string): void;
  recompute(): void;
  /** Writes enforcement rows of endpoints with these identities. */
  enforce(identities: ReadonlySet<Identity>): void;
  identityOf(key: string): Identity | undefined;
  endpointsOf(identity: Identity): number;
  problems(): readonly { readonly endpoint: string; readonly reason: string }[];
}

interface Known extends Hold {
  readonly addresses: ReadonlySet<string>;
}

/** Endpoint compute that writes into `desired` and tells `policy` of identities. */
export function createEndpointCompute(
  inputs: Pick<Inputs, 'endpoints' | 'namespaces'>,
  desired: Pick<Desired, 'identities' | 'addresses' | 'enforcement' | 'endpoints'>,
  parts: {
    readonly policy: PolicyCompute;
    readonly allocator: Allocator<Identity>;
    readonly addresses: NodeAddresses;
  },
): EndpointCompute {
  const { policy } = parts;
  const known = new Map<string, Known>();
  const byNamespace = createIndex<string>();
  const byIdentity = createIndex<Identity>();
  const problems = new Map<string, string>();
  const dirty = new Set<string>();
  const identities = createIdentities(desired.identities, policy, parts.allocator);
  const addresses = createAddresses(desired.addresses, parts.addresses);

  const enter = (key: string, endpoint: EndpointRow): Known | undefined => {
    const namespaceLabels = inputs.namespaces.get(endpoint.namespace)?.labels;
    const labels = identityLabels({ ...endpoint, namespaceLabels, cluster: CLUSTER });
    const hold = identities.take(labels, endpoint.device !== undefined);
    if (!hold.ok) {
      problems.set(key, hold.error);
      return undefined;
    }
    problems.delete(key);
    const { identity, isSubject } = hold.value;
    const flags = isSubject ? ADDR_MANAGED : ADDR_NODE;
    const ips = [endpoint.ip4, endpoint.ip6].filter((ip) => ip !== undefined);
    return { ...hold.value, addresses: new Set(ips.map((ip) => addresses.add(key, ip, { identity, flags }))) };
  };
  const replace = (key: string): void => {
    const before = known.get(key);
    const endpoint = inputs.endpoints.get(key);
    const after = endpoint && enter(key, endpoint);
    if (!endpoint) problems.delete(key);
    byNamespace.set(key, before && namespaceOf(key), endpoint?.namespace);
    byIdentity.set(key, before?.identity, after?.identity);
    if (after) known.set(key, after);
    else known.delete(key);
    if (endpoint && after) desired.endpoints.set(key, { endpoint, identity: after.identity });
    else desired.endpoints.delete(key);
    for (const cidr of before?.addresses ?? []) if (!after?.addresses.has(cidr)) addresses.remove(key, cidr);
  };
  const writeEnforcement = (key: string): void => {
    const entry = known.get(key);
    if (!entry?.isSubject) {
      desired.enforcement.delete(key);
      return;
    }
    const { ingress, egress } = policy.enforced(entry.identity);
    const before = desired.enforcement.get(key);
    if (before?.identity === entry.identity && before.ingress === ingress && before.egress === egress) return;
    desired.enforcement.set(key, { endpoint: key, identity: entry.identity, ingress, egress });
  };

  return {
    touch: (key) => void dirty.add(key),
    touchNamespace(namespace) {
      for (const key of byNamespace.get(namespace)) dirty.add(key);
    },
    recompute() {
      // Those that found no number try again.
      for (const key of problems.keys()) dirty.add(key);
      const before = [...dirty].flatMap((key) => known.get(key) ?? []);
      // All that come before any that go: a number that is still wanted is never given back in between.
      for (const key of dirty) replace(key);
      for (const hold of before) identities.release(hold);
      for (const key of dirty) writeEnforcement(key);
      dirty.clear();
    },
    enforce(touched) {
      for (const identity of touched) for (const key of byIdentity.get(identity)) writeEnforcement(key);
    },
    identityOf: (key) => known.get(key)?.identity,
    endpointsOf: (identity) => byIdentity.get(identity).size,
    problems: () => [...problems].map(([endpoint, reason]) => ({ endpoint, reason })),
  };
}

function namespaceOf(key: string): string {
  return key.slice(0, key.indexOf('/'));
}

// Addresses by owner: one that went to a new pod before the old one was forgotten belongs to the new one.
function createAddresses(
  table: Desired['addresses'],
  { node4, node6, gateway4, gateway6 }: NodeAddresses,
): { add(owner: string, ip: Address, to: Omit<AddressRow, 'cidr'>): string; remove(owner: string, key: string): void } {
  const owners = new Map<string, string>();
  const add = (owner: string, ip: Address, { identity, flags }: Omit<AddressRow, 'cidr'>): string => {
    const cidr = { address: ip, bits: 128 };
    const key = formatCidr(cidr);
    owners.set(key, owner);
    const before = table.get(key);
    if (before?.identity !== identity || before.flags !== flags) table.set(key, { cidr, identity, flags });
    return key;
  };
  for (const ip of [node4, node6, gateway4, gateway6]) add('', ip, { identity: RESERVED.host, flags: ADDR_NODE });
  return {
    add,
    remove(owner, key) {
      if (owners.get(key) !== owner) return;
      owners.delete(key);
      table.delete(key);
    },
  };
}

// Endpoints by something they have one of.
function createIndex<K>(): {
  get(key: K): ReadonlySet<string>;
  set(value: string, before: K | undefined, after: K | undefined): void;
} {
  const index = new Map<K, Set<string>>();
  return {
    get: (key) => index.get(key) ?? new Set(),
    set(value, before, after) {
      if (before !== undefined && before !== after) {
        index.get(before)?.delete(value);
        if (index.get(before)?.size === 0) index.delete(before);
      }
      if (after === undefined) return;
      const values = index.get(after);
      if (values) values.add(value);
      else index.set(after, new Set([value]));
    },
  };
}
