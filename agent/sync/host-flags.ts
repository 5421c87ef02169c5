// The bits of node_config that say in which directions the node itself is under policy.

import { NODE_HOST_EGRESS, NODE_HOST_INGRESS, type NodeConfig } from '#bpf/abi.ts';
import type { HostEnforcement } from './policy-change.ts';

/** What the flags say. */
export function hostEnforcement(flags: number): HostEnforcement {
  return { ingress: (flags & NODE_HOST_INGRESS) !== 0, egress: (flags & NODE_HOST_EGRESS) !== 0 };
}

/** The settings with the flags that say so. */
export function withHostFlags(config: NodeConfig, { ingress, egress }: HostEnforcement): NodeConfig {
  const rest = config.flags & ~(NODE_HOST_INGRESS | NODE_HOST_EGRESS);
  return { ...config, flags: rest | (ingress ? NODE_HOST_INGRESS : 0) | (egress ? NODE_HOST_EGRESS : 0) };
}
