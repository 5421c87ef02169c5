// Identities that exist without an endpoint: the node itself, and everything that is not a workload of the mesh.

import { type Identity, identity, RESERVED } from '#common/ids.ts';

/** The reserved identities with their labels. The host's grow where the node is an API server too. */
export const RESERVED_IDENTITIES: readonly { readonly identity: Identity; readonly labels: readonly string[] }[] = [
  { identity: RESERVED.host, labels: ['reserved:host'] },
  { identity: RESERVED.world, labels: ['reserved:world'] },
  { identity: RESERVED.unmanaged, labels: ['reserved:unmanaged'] },
  { identity: RESERVED.health, labels: ['reserved:health'] },
  { identity: RESERVED.init, labels: ['reserved:init'] },
  { identity: RESERVED.remoteNode, labels: ['reserved:remote-node'] },
  { identity: RESERVED.kubeApiserver, labels: ['reserved:kube-apiserver', 'reserved:remote-node'] },
  { identity: RESERVED.ingress, labels: ['reserved:ingress'] },
  { identity: RESERVED.worldIpv4, labels: ['reserved:world-ipv4'] },
  { identity: RESERVED.worldIpv6, labels: ['reserved:world-ipv6'] },
];

/**
 * Stands for pods, nodes and prefixes for which no number is left. Every policy denies it, in each direction that is
 * enforced: taken for the world around it, an address could get more than its own labels give.
 */
export const UNNUMBERED = { identity: identity(99), labels: ['reserved:unnumbered'] } as const;

/** Node-local identities: prefixes and names of the world, nodes with labels. Other nodes have other numbers for them. */
export const LOCAL_RANGE = { name: 'identity of a prefix', min: 1 << 24, max: (1 << 24) + 0xffff } as const;
export const NODE_RANGE = { name: 'identity of a node', min: 2 << 24, max: (2 << 24) + 0xffff } as const;
export const CLUSTER_RANGE = { name: 'identity', min: 256, max: 65535 } as const;
