// The resolver as policy sees it: a workload with the labels that users' DNS policies select.

import { endpointId } from '#common/ids.ts';
import type { NodeAddresses } from './layout.ts';
import type { EndpointRow } from './tables.ts';

export const RESOLVER_KEY = 'kube-system/kube-dns';
export const DNS_PORT = 53;

/** The endpoint row of the node's own resolver. Its id is the highest there is: pods count from below. */
export function resolverEndpoint(addresses: NodeAddresses): EndpointRow {
  return {
    namespace: 'kube-system',
    pod: 'kube-dns',
    id: endpointId(0xffff),
    labels: { 'k8s-app': 'kube-dns' },
    workload: { kind: 'Deployment', name: 'kube-dns' },
    serviceAccount: 'kube-dns',
    device: undefined,
    ip4: addresses.resolver4,
    ip6: addresses.resolver6,
    ready: true,
    namedPorts: [
      { name: 'dns', port: DNS_PORT, protocol: 'UDP' },
      { name: 'dns-tcp', port: DNS_PORT, protocol: 'TCP' },
    ],
  };
}
