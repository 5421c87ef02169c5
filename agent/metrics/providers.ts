// Values that metrics read when they are scraped. The parts of the agent that know them implement this.

import type { MapStatus } from '#api/node.ts';

/** One entry of the counters map, summed over CPUs. */
export interface PacketCounter {
  /** Drop reason; 0: forwarded. */
  readonly reason: number;
  readonly direction: 'ingress' | 'egress';
  readonly packets: number;
  readonly bytes: number;
}

/** Successful and failed system calls on one map since the agent started. */
export interface MapOperations {
  readonly map: string;
  readonly operation: 'update' | 'delete' | 'lookup' | 'dump';
  readonly success: number;
  readonly failed: number;
}

/** Something that the kernel programs lost for want of room, by the names of enum loss in bpf/lib/abi.h. */
export interface KernelLoss {
  readonly kind: 'flow_event' | 'drop_event' | 'conntrack' | 'fragment' | 'reverse';
  readonly count: number;
}

export interface MetricsProviders {
  /** The counters map. */
  packetCounters(): readonly PacketCounter[];
  /** The losses map. */
  kernelLosses(): readonly KernelLoss[];
  maps(): readonly MapStatus[];
  mapOperations(): readonly MapOperations[];
  policyRevision(): number;
  /** Workers by state. */
  workers(): readonly { readonly state: string; readonly restarts: number }[];
}
