// Who is behind an address: pods, services and labels for flows, kept up to date from the agent's tables.

import { type Address, formatAddress } from '#common/ip.ts';
import type { ReadonlyTable } from '#common/table.ts';
import type { Endpoint, Flow, Policy } from '#observe/flow/model.ts';
import { reservedLabel } from '#observe/flow/text.ts';
import { indexEntries, type Question } from '../policy/entry-index.ts';
import type { EndpointRow, FrontendRow, Tables } from '../tables.ts';

/** Names of endpoints that are gone, kept because their last events come after them. The oldest is forgotten first. */
const DEPARTED_LIMIT = 1_024;
/** Endpoints of flows that are kept ready; when it is full it starts anew. */
const CACHE_LIMIT = 4_096;
/** Labels by which clients know where a policy's rules come from. */
const POLICY_LABEL = 'io.cilium.k8s.policy';

export interface Names {
  /** The endpoint row at an address, of now or the latest one that has gone. */
  endpointAt(address: Address): EndpointRow | undefined;
  /** Whether the address belongs to an endpoint of this node that exists now. */
  isLocal(address: Address): boolean;
  /** The flow's endpoint for an address with the identity that the kernel saw; 0: it had not looked yet. */
  endpoint(address: Address, identity: number): Endpoint;
  /** The service whose frontend this is. */
  service(address: Address, port: number, protocol: number): Flow['source_service'];
  /**
   * The policies behind a cookie; undefined: none, or built in. `asked`: what the entry with the cookie was the answer
   * to. As long as it still is one, all policies that say the same are named, not only those of the entry.
   */
  policies(cookie: number, asked?: Question): readonly Policy[] | undefined;
  /** The policy with this objectKey, as flows name it. */
  policy(key: string): Policy;
  /** Whether a direction of the endpoint at an address is under policy. undefined: not known (any more). */
  enforced(address: Address, direction: 'ingress' | 'egress'): boolean | undefined;
  /** Ends the subscriptions. */
  close(): void;
}

/** Names from `tables`, indexed by address as rows come and go. `revision`: the policy revision of the moment. */
export function createNames(tables: Tables, revision: () => number = () => 0): Names {
  const present = new Map<string, EndpointRow>();
  const departed = new Map<string, EndpointRow>();
  const frontends = new Map<string, FrontendRow>();
  const { endpoints } = tables.inputs;
  const { identities, cookies, enforcement } = tables.desired;
  const entries = indexEntries(tables.desired);

  const stops = [
    follow(endpoints, (row, exists) => {
      for (const key of [row.ip4, row.ip6]) {
        if (key === undefined) continue;
        if (exists) {
          present.set(key, row);
          departed.delete(key);
        } else if (present.get(key) === row) {
          present.delete(key);
          remember(departed, key, row);
        }
      }
    }),
    follow(tables.desired.frontends, (row, exists) => {
      const key = frontendKey(row.address, row.port, row.protocol);
      if (exists) frontends.set(key, row);
      else if (frontends.get(key) === row) frontends.delete(key);
    }),
  ];

  const cache = new Map<string, Endpoint>();
  for (const table of [endpoints, identities, enforcement] as const) {
    stops.push((table as ReadonlyTable<unknown>).subscribe(() => cache.clear()));
  }

  const endpointAt = (address: Address): EndpointRow | undefined => {
    return present.get(address) ?? departed.get(address);
  };
  const makeEndpoint = (address: Address, seenIdentity: number): Endpoint => {
    const row = endpointAt(address);
    const identity = seenIdentity || (row ? (enforcement.get(`${row.namespace}/${row.pod}`)?.identity ?? 0) : 0);
    const labels = identities.get(String(identity))?.labels ?? reservedLabels(identity);
    return {
      ...(row ? { ID: row.id } : {}),
      ...(identity ? { identity } : {}),
      ...(row ? { namespace: row.namespace } : {}),
      ...(labels.length > 0 ? { labels } : {}),
      ...(row ? { pod_name: row.pod, workloads: [row.workload], cluster_name: 'default' } : {}),
    };
  };
  const policy = (key: string): Policy => policyOf(key, revision());
  return {
    endpointAt,
    isLocal: (address) => present.has(address),
    endpoint(address, identity) {
      const key = `${identity} ${address}`;
      const known = cache.get(key);
      if (known !== undefined) return known;
      if (cache.size >= CACHE_LIMIT) cache.clear();
      const made = makeEndpoint(address, identity);
      cache.set(key, made);
      return made;
    },
    service(address, port, protocol) {
      const name = frontends.get(frontendKey(address, port, protocol))?.name;
      return name === undefined ? undefined : splitName(name);
    },
    policies(cookie, asked) {
      const behind = (asked && entries.decide(asked)?.behind.map((row) => row.cookie)) ?? [];
      const all = behind.some((one) => one === cookie) ? behind : [cookie];
      const keys = new Set(all.flatMap((one) => cookies.get(String(one))?.policies ?? []));
      return keys.size > 0 ? [...keys].sort().map(policy) : undefined;
    },
    policy,
    enforced(address, direction) {
      const row = present.get(address);
      return row && enforcement.get(`${row.namespace}/${row.pod}`)?.[direction];
    },
    close() {
      entries.close();
      for (const stop of stops) stop();
    },
  };
}

/** The policy with this objectKey ("Kind namespace/name"), as flows name it. `revision` 0: not known. */
function policyOf(key: string, revision: number): Policy {
  const space = key.indexOf(' ');
  const kind = key.slice(0, Math.max(0, space));
  const { name, namespace } = splitName(key.slice(space + 1));
  return {
    name,
    ...(namespace === '' ? {} : { namespace }),
    labels: [
      `k8s:${POLICY_LABEL}.derived-from=${kind}`,
      `k8s:${POLICY_LABEL}.name=${name}`,
      ...(namespace === '' ? [] : [`k8s:${POLICY_LABEL}.namespace=${namespace}`]),
    ],
    ...(revision === 0 ? {} : { revision: String(revision) }),
    kind,
  };
}

function splitName(text: string): { name: string; namespace: string } {
  const slash = text.indexOf('/');
  return { name: text.slice(slash + 1), namespace: slash < 0 ? '' : text.slice(0, slash) };
}

function reservedLabels(identity: number): readonly string[] {
  const label = reservedLabel(identity);
  return label === undefined ? [] : [label];
}

function frontendKey(address: Address, port: number, protocol: number): string {
  return `${formatAddress(address)} ${port} ${protocol}`;
}

function remember(departed: Map<string, EndpointRow>, key: string, row: EndpointRow): void {
  departed.delete(key);
  departed.set(key, row);
  if (departed.size <= DEPARTED_LIMIT) return;
  for (const oldest of departed.keys()) {
    departed.delete(oldest);
    return;
  }
}

/** Calls `apply` for every row that is there and for every later change: the old row as gone, then the new as there. */
function follow<Row>(table: ReadonlyTable<Row>, apply: (row: Row, exists: boolean) => void): () => void {
  for (const row of table.values()) apply(row, true);
  return table.subscribe(({ before, after }) => {
    if (before !== undefined) apply(before, false);
    if (after !== undefined) apply(after, true);
  });
}
