// The ten policies of the whole cluster, and what they share with those of namespaces.

import { namespaceName, partOf, teamOf } from './world.ts';

/** Every policy can be written in two ways, which differ in a port: what a change goes between. */
export type Variant = 0 | 1;

export const EVERYBODY = { matchLabels: {} };
/** The label of a pod's namespace. */
export const NAMESPACE = 'k8s:io.kubernetes.pod.namespace';
/** Egress to the cluster's DNS. */
export const DNS = {
  toEndpoints: [{ matchLabels: { [NAMESPACE]: 'kube-system', 'k8s-app': 'kube-dns' } }],
  toPorts: [{ ports: [{ port: '53', protocol: 'ANY' }] }],
};

/** Ten policies: for everybody, for a tier, for a team, for one workload that everybody uses, for nodes. */
export function clusterPolicies(variant: Variant): readonly object[] {
  return Object.entries({ ...forEverybody(variant), ...forSome(variant) }).map(([name, spec]) => ({
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumClusterwideNetworkPolicy',
    metadata: { name },
    spec,
  }));
}

const ports = (port: number, protocol = 'TCP') => [{ ports: [{ port: `${port}`, protocol }] }];
const team = (number: number) => ({ matchLabels: { team: teamOf(number) } });
const tier = (name: string) => ({ matchLabels: { tier: name } });

function forEverybody(variant: Variant): Record<string, object> {
  const monitoring = { matchLabels: { [NAMESPACE]: namespaceName(0), tier: 'front' } };
  return {
    monitoring: {
      endpointSelector: EVERYBODY,
      ingress: [{ fromEndpoints: [monitoring], toPorts: ports(9100 + variant) }],
    },
    probes: {
      endpointSelector: EVERYBODY,
      ingress: [{ fromEntities: ['health', 'remote-node', 'kube-apiserver'], toPorts: ports(8081 + variant) }],
    },
    dns: {
      endpointSelector: EVERYBODY,
      enableDefaultDeny: { egress: false },
      egress: [variant === 0 ? DNS : { ...DNS, toPorts: ports(53, 'UDP') }],
    },
    metadata: {
      endpointSelector: EVERYBODY,
      enableDefaultDeny: { egress: false },
      egressDeny: [{ toCIDR: ['169.254.169.254/32'], ...(variant === 0 ? {} : { toPorts: ports(80) }) }],
    },
    quarantine: {
      endpointSelector: EVERYBODY,
      ingressDeny: [{ fromEndpoints: [{ matchLabels: { quarantine: 'true' } }], toPorts: ports(443 + variant) }],
    },
  };
}

function forSome(variant: Variant): Record<string, object> {
  const http = [{ method: 'GET', path: `/catalogue/v${variant + 1}` }];
  return {
    backup: {
      endpointSelector: tier('store'),
      ingress: [{ fromEndpoints: [team(3)], toPorts: ports(5433 + variant) }],
    },
    shared: {
      endpointSelector: { matchLabels: { 'app.kubernetes.io/name': 'app-0', 'app.kubernetes.io/part-of': partOf(0) } },
      ingress: [{ fromEntities: ['cluster'], toPorts: ports(8443 + variant) }],
    },
    catalogue: {
      endpointSelector: team(6),
      ingress: [{ fromEndpoints: [team(7)], toPorts: [{ ...ports(8080)[0], rules: { http } }] }],
    },
    public: {
      endpointSelector: tier('front'),
      ingress: [{ fromEntities: ['world'], toPorts: ports(8443 + variant) }],
    },
    node: {
      nodeSelector: EVERYBODY,
      ingress: [
        { fromEntities: ['remote-node', 'health', 'kube-apiserver'] },
        { fromEntities: ['world'], toPorts: ports(22 + variant) },
      ],
    },
  };
}
