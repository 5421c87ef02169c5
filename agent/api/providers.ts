// What the node API shows beyond the tables. The parts of the agent that know it implement these.

import type { Component, MapStatus, PodHandle, WorkerStatus } from '#api/node.ts';
import type { Result } from '#common/result.ts';

/** How a pod's processes are doing. */
export interface PodRuntimeStatus {
  /** As Kubernetes says it: "Running", "Pending", "Completed", "Error", "CrashLoopBackOff", … */
  readonly status: string;
  readonly containers: number;
  readonly readyContainers: number;
  readonly restarts: number;
  /** First process of the first container; 0: not running. */
  readonly pid: number;
  /** Why it does not run; '' if it does. */
  readonly message: string;
}

export interface NodeProviders {
  /** `key`: "namespace/name". undefined: not started yet. */
  podStatus(key: string): PodRuntimeStatus | undefined;
  /** Where to run a process inside a pod. `container` '': the first. The error says why it cannot be had. */
  podHandle(key: string, container: string): Result<PodHandle, string>;
  maps(): readonly MapStatus[];
  /** The parts of the agent, e.g. "source", "datapath", "resolver". */
  components(): readonly Component[];
  workers(): readonly WorkerStatus[];
  policyRevision(): number;
  /** Prometheus text of the agent. */
  metricsText(): Promise<string>;
}
