// A cluster as one of its agents knows it: nodes, workloads, their pods here and elsewhere. The same in every run.
//
//   100 namespaces of 50 workloads of three tiers, each a set of labels: 5,000 identities
//   100 pods on this node: two in every other namespace, of 90 workloads
//   all other pods spread evenly over workloads and nodes

import { nodeLayout } from '#agent/layout.ts';
import { RESOLVER_KEY, resolverEndpoint } from '#agent/resolver-endpoint.ts';
import type { EndpointRow, Inputs, NamedPort, NodeRow, RemotePodRow } from '#agent/tables.ts';
import { endpointId, ifindex } from '#common/ids.ts';
import { type Address, addOffset, address } from '#common/ip.ts';
import type { Labels } from '#mesh-config/model.ts';

/** How large the cluster is; `pods` counts those of this node too. */
export interface ClusterSize {
  readonly nodes: number;
  readonly pods: number;
}

/** What the figures are about. */
export const CLUSTERS = {
  small: { nodes: 100, pods: 5_100 },
  large: { nodes: 1_000, pods: 50_000 },
} as const satisfies Record<string, ClusterSize>;
export type ClusterName = keyof typeof CLUSTERS;

export const NAMESPACES = 100;
export const WORKLOADS_EACH = 50;
export const TEAMS = 20;
export const LOCAL_PODS = 100;
/** The rest are replicas of others. */
const LOCAL_WORKLOADS = 90;
/** Names that policies mention have been resolved to so many addresses each. */
const ADDRESSES_EACH = 4;

export const TIERS = ['front', 'middle', 'store'] as const;

export interface Workload {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Labels;
  readonly namedPorts: readonly NamedPort[];
}

export const namespaceName = (index: number): string => `ns-${index % NAMESPACES}`;
export const teamOf = (namespace: number): string => `team-${namespace % TEAMS}`;
export const partOf = (namespace: number): string => `system-${namespace}`;
export const partnerName = (index: number): string => `api.partner-${index % 10}.example`;

/** Nodes lie in 172.16.0.0/12, pods of others in 10.64.0.0/10: clear of this node's own ranges. */
const NODE4 = address('172.16.0.1');
const NODE6 = address('fd00:172:16::1');
const REMOTE4 = address('10.64.0.0');
const REMOTE6 = address('fd00:10:64::');
const PARTNER4 = address('203.0.113.0');
const LAYOUT = nodeLayout('bench', '/none').addresses;
const FIRST_LOCAL = 10;

/** All 5,000, in the order of their namespaces. */
export function createWorkloads(): readonly Workload[] {
  const ports: Record<(typeof TIERS)[number], readonly NamedPort[]> = {
    front: [{ name: 'http', port: 8080, protocol: 'TCP' }],
    middle: [
      { name: 'http', port: 8080, protocol: 'TCP' },
      { name: 'metrics', port: 9090, protocol: 'TCP' },
    ],
    store: [{ name: 'sql', port: 5432, protocol: 'TCP' }],
  };
  return Array.from({ length: NAMESPACES * WORKLOADS_EACH }, (_, index): Workload => {
    const [namespace, number] = [Math.floor(index / WORKLOADS_EACH), index % WORKLOADS_EACH];
    const tier = TIERS[number % TIERS.length] ?? 'front';
    const labels = {
      'app.kubernetes.io/name': `app-${number}`,
      'app.kubernetes.io/part-of': partOf(namespace),
      tier,
      team: teamOf(namespace),
      version: 'v1',
      ...(index % 100 === 99 ? { quarantine: 'true' } : {}),
    };
    return { namespace: namespaceName(namespace), name: `app-${number}`, labels, namedPorts: ports[tier] };
  });
}

/** Pod number `index` of those on this node. */
export function localPod(workloads: readonly Workload[], index: number): EndpointRow {
  const own = index < LOCAL_WORKLOADS ? index : index - LOCAL_PODS / 2;
  const namespace = (2 * own) % NAMESPACES;
  // The two of a namespace are of different tiers.
  const number = (own * 7 + (own >= LOCAL_PODS / 2 ? 10 : 0)) % WORKLOADS_EACH;
  const { name, ...facts } = at(workloads, namespace * WORKLOADS_EACH + number);
  const { namespace: inNamespace, labels, namedPorts } = facts;
  const place = FIRST_LOCAL + index;
  const last = place.toString(16).padStart(2, '0');
  return {
    namespace: inNamespace,
    pod: `${name}-here-${index}`,
    id: endpointId(place),
    ip4: addOffset(LAYOUT.podCidr4.address, place),
    ip6: addOffset(LAYOUT.podCidr6.address, place),
    labels,
    serviceAccount: 'default',
    namedPorts,
    workload: { kind: 'Deployment', name },
    device: {
      ifindex: ifindex(1_000 + place),
      name: `lxc${place}`,
      podMac: `02:00:00:00:01:${last}`,
      hostMac: `02:00:00:00:02:${last}`,
      netns: '/run/netns/none',
      containerId: `${name}-${number}`,
    },
    ready: true,
  };
}

/** Pod number `index` of those elsewhere. */
export function remotePod(workloads: readonly Workload[], size: ClusterSize, index: number): RemotePodRow {
  const { namespace, labels, namedPorts } = at(workloads, index % workloads.length);
  return {
    namespace,
    labels,
    namedPorts,
    serviceAccount: 'default',
    node: nodeName(1 + (index % (size.nodes - 1))),
    ip4: addOffset(REMOTE4, index),
    ip6: addOffset(REMOTE6, index),
  };
}

/** Key of a pod elsewhere, in `inputs.remotePods`. */
export function remoteKey({ namespace }: RemotePodRow, index: number): string {
  return `${namespace}/pod-${index}`;
}

/** Fills the tables that no file fills: this node's endpoints, the other nodes with their pods, and resolved names. */
export function fillWorld(inputs: Inputs, workloads: readonly Workload[], size: ClusterSize): void {
  for (let index = 0; index < size.nodes; index++) {
    const row = nodeRow(index);
    inputs.nodes.set(row.name, row);
  }
  for (let index = 0; index < size.pods - LOCAL_PODS; index++) {
    const row = remotePod(workloads, size, index);
    inputs.remotePods.set(remoteKey(row, index), row);
  }
  for (let index = 0; index < 10; index++) {
    const name = partnerName(index);
    const addresses = Array.from({ length: ADDRESSES_EACH }, (_, n) => addOffset(PARTNER4, index * ADDRESSES_EACH + n));
    inputs.names.set(name, { name, addresses });
  }
  inputs.endpoints.set(RESOLVER_KEY, resolverEndpoint(LAYOUT));
  for (let index = 0; index < LOCAL_PODS; index++) {
    const row = localPod(workloads, index);
    inputs.endpoints.set(`${row.namespace}/${row.pod}`, row);
  }
}

function nodeName(index: number): string {
  return `node-${index}`;
}

function nodeRow(index: number): NodeRow {
  const addresses: readonly Address[] = [addOffset(NODE4, index), addOffset(NODE6, index)];
  const labels = { 'kubernetes.io/hostname': nodeName(index), 'topology.kubernetes.io/zone': `zone-${index % 3}` };
  return { name: nodeName(index), labels, addresses, local: index === 0, apiServer: index > 0 && index <= 3 };
}

function at<T>(list: readonly T[], index: number): T {
  const item = list[index];
  if (item === undefined) throw new Error(`Cannot take number ${index}: there are ${list.length}`);
  return item;
}
