// Endpoints -> identities, addresses, enforcement: which number the labels of each endpoint have, and where it is.

import { ADDR_MANAGED, ADDR_NODE } from '#bpf/abi.ts';
import { type Identity, RESERVED } from '#common/ids.ts';
import { type Address, formatCidr } from '#common/ip.ts';
import type { Allocator } from '../identity/allocator.ts';
import { identityLabels } from '../identity/labels.ts';
import { RESERVED_IDENTITIES } from '../identity/reserved.ts';
import type { NodeAddresses } from '../layout.ts';
import type { PolicyCompute } from '../policy/compute.ts';
import type { AddressRow, Desired, EndpointRow, Inputs } from '../tables.ts';

/** Name of this cluster in the labels of its pods. */
const CLUSTER = 'default';

export interface EndpointCompute {
  /** Endpoint "namespace/pod" or its namespace has changed. */
  touch(key: string): void;
  touchNamespace(namespace: string): void;
  recompute(): void;
  /** Writes enforcement rows of endpoints with these identities. */
  enforce(identities: ReadonlySet<Identity>): void;
  identityOf(key: string): Identity | undefined;
  endpointsOf(identity: Identity): number;
  problems(): readonly { readonly endpoint: string; readonly reason: string }[];
}

interface Known {
  readonly identity: Identity;
  readonly identityKey: string;
  readonly addresses: ReadonlySet<string>;
  readonly isSubject: boolean;
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
  const { policy, allocator } = parts;
  const known = new Map<string, Known>();
  const byNamespace = new Map<string, Set<string>>();
  const byIdentity = new Map<Identity, Set<string>>();
  const subjects = new Map<Identity, number>();
  const problems = new Map<string, string>();
  const dirty = new Set<string>();
  const addresses = createAddresses(desired.addresses);

  const { node4, node6, gateway4, gateway6 } = parts.addresses;
  for (const row of RESERVED_IDENTITIES) {
    desired.identities.set(String(row.identity), row);
    policy.addIdentity(row.identity, row.labels);
  }
  for (const ip of [node4, node6, gateway4, gateway6])
    addresses.add('', ip, { identity: RESERVED.host, flags: ADDR_NODE });

  const enter = (key: string, endpoint: EndpointRow): Known | undefined => {
    const { namespace, serviceAccount } = endpoint;
    const namespaceLabels = inputs.namespaces.get(namespace)?.labels;
    const labels = identityLabels({
      namespace,
      labels: endpoint.labels,
      namespaceLabels,
      serviceAccount,
      cluster: CLUSTER,
    });
    const identityKey = labels.join(';');
    const number = allocator.acquire(identityKey);
    if (!number.ok) {
      problems.set(key, number.error);
      return undefined;
    }
    problems.delete(key);
    const identity = number.value;
    if (!byIdentity.has(identity)) {
      byIdentity.set(identity, new Set());
      desired.identities.set(String(identity), { identity, labels });
      policy.addIdentity(identity, labels);
    }
    byIdentity.get(identity)?.add(key);
    const isSubject = endpoint.device !== undefined;
    if (isSubject) {
      const count = subjects.get(identity) ?? 0;
      subjects.set(identity, count + 1);
      if (count === 0) policy.addSubject(identity);
    }
    const flags = isSubject ? ADDR_MANAGED : ADDR_NODE;
    const ips = [endpoint.ip4, endpoint.ip6].filter((ip) => ip !== undefined);
    return {
      identity,
      identityKey,
      isSubject,
      addresses: new Set(ips.map((ip) => addresses.add(key, ip, { identity, flags }))),
    };
  };
  const leave = (key: string, { identity, identityKey, isSubject }: Known): void => {
    if (isSubject) {
      const count = (subjects.get(identity) ?? 0) - 1;
      if (count > 0) subjects.set(identity, count);
      else {
        subjects.delete(identity);
        policy.removeSubject(identity);
      }
    }
    allocator.release(identityKey);
    if (known.get(key)?.identity !== identity) byIdentity.get(identity)?.delete(key);
    if (byIdentity.get(identity)?.size) return;
    byIdentity.delete(identity);
    policy.removeIdentity(identity);
    desired.identities.delete(String(identity));
  };
  const writeEnforcement = (key: string): void => {
    const entry = known.get(key);
    if (!entry?.isSubject) return desired.enforcement.delete(key);
    const { ingress, egress } = policy.enforced(entry.identity);
    const before = desired.enforcement.get(key);
    if (before?.identity === entry.identity && before.ingress === ingress && before.egress === egress) return;
    desired.enforcement.set(key, { endpoint: key, identity: entry.identity, ingress, egress });
  };

  return {
    touch: (key) => void dirty.add(key),
    touchNamespace(namespace) {
      for (const key of byNamespace.get(namespace) ?? []) dirty.add(key);
    },
    recompute() {
      // All that come before any that go: a number that is still wanted is never given back in between.
      const gone: [string, Known][] = [];
      for (const key of problems.keys()) dirty.add(key);
      for (const key of dirty) {
        const before = known.get(key);
        const endpoint = inputs.endpoints.get(key);
        const after = endpoint && enter(key, endpoint);
        if (endpoint) put(byNamespace, endpoint.namespace, key);
        else take(byNamespace, key.slice(0, key.indexOf('/')), key);
        if (after) known.set(key, after);
        else known.delete(key);
        if (endpoint && after) desired.endpoints.set(key, { endpoint, identity: after.identity });
        else desired.endpoints.delete(key);
        if (before) gone.push([key, before]);
      }
      for (const [key, before] of gone) {
        for (const cidr of before.addresses) if (!known.get(key)?.addresses.has(cidr)) addresses.remove(key, cidr);
        leave(key, before);
      }
      for (const key of dirty) writeEnforcement(key);
      dirty.clear();
    },
    enforce(identities) {
      for (const identity of identities) for (const key of byIdentity.get(identity) ?? []) writeEnforcement(key);
    },
    identityOf: (key) => known.get(key)?.identity,
    endpointsOf: (identity) => byIdentity.get(identity)?.size ?? 0,
    problems: () => [...problems].map(([endpoint, reason]) => ({ endpoint, reason })),
  };
}

// Addresses by owner: one that went to a new pod before the old one was forgotten belongs to the new one.
function createAddresses(table: Desired['addresses']): {
  add(owner: string, ip: Address, to: Omit<AddressRow, 'cidr'>): string;
  remove(owner: string, key: string): void;
} {
  const owners = new Map<string, string>();
  return {
    add(owner, ip, { identity, flags }) {
      const cidr = { address: ip, bits: 128 };
      const key = formatCidr(cidr);
      owners.set(key, owner);
      const before = table.get(key);
      if (before?.identity !== identity || before.flags !== flags) table.set(key, { cidr, identity, flags });
      return key;
    },
    remove(owner, key) {
      if (owners.get(key) !== owner) return;
      owners.delete(key);
      table.delete(key);
    },
  };
}

function put(index: Map<string, Set<string>>, key: string, value: string): void {
  const set = index.get(key);
  if (set) set.add(value);
  else index.set(key, new Set([value]));
}

function take(index: Map<string, Set<string>>, key: string, value: string): void {
  const set = index.get(key);
  set?.delete(value);
  if (set?.size === 0) index.delete(key);
}
