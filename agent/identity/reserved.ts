// Identities that exist without an endpoint: the node itself, and everything that is not a workload of the mesh.

import { RESERVED } from '#common/ids.ts';
import type { IdentityRow } from '../tables.ts';

/** The reserved identities with their labels. */
export const RESERVED_IDENTITIES: readonly IdentityRow[] = [
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
