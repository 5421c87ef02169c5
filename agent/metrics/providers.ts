// Values that metrics read when they are scraped. The parts of the agent that know them implement this.

/** One entry of the counters map, summed over CPUs. */
export interface PacketCounter {
  /** Drop reason; 0: forwarded. */
  readonly reason: number;
  readonly direction: 'ingress' | 'egress';
  readonly packets: number;
  readonly bytes: number;
}

/** A map and what was written to it since the agent started. agent/sync's map status rows are of this form. */
export interface MapUse {
  readonly name: string;
  readonly entries: number;
  readonly capacity: number;
  readonly updates: number;
  readonly deletes: number;
  /** Writes that failed. */
  readonly errors: number;
}

/** Something that the kernel programs lost for want of room, by the names of enum loss in bpf/lib/abi.h. */
export interface KernelLoss {
  readonly kind: 'flow_event' | 'drop_event' | 'conntrack' | 'fragment' | 'reverse' | 'policy_counter';
  readonly count: number;
}

export interface MetricsProviders {
  /** The counters map. */
  packetCounters(): readonly PacketCounter[];
  /** The losses map. */
  kernelLosses(): readonly KernelLoss[];
  maps(): readonly MapUse[];
  policyRevision(): number;
  /** Workers by state. */
  workers(): readonly { readonly state: string; readonly restarts: number }[];
}
