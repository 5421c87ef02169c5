// What the node API shows beyond the tables. The parts of the agent that know it implement these.

import type { Component, MapStatus, WorkerStatus } from '#api/node.ts';
import type { Runtime } from '../runtime/runtime.ts';

export interface NodeProviders {
  /** Pods as they run. */
  readonly runtime: Pick<Runtime, 'statuses' | 'podHandle'>;
  maps(): readonly MapStatus[];
  /** The parts of the agent, e.g. "source", "datapath", "resolver". */
  components(): readonly Component[];
  workers(): readonly WorkerStatus[];
  policyRevision(): number;
  /** The revision since which the policy with this objectKey is in force as written; undefined: it is not yet. */
  policyRevisionOf(key: string): number | undefined;
  /** Connections that entries have decided, by their key in desired.policy; undefined: not counted here. */
  policyHits(): ReadonlyMap<string, number> | undefined;
  /** Prometheus text of the agent. */
  metricsText(): Promise<string>;
}
