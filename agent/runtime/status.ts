// What people see of a pod.

import { formatAddress, parseCidr } from '#common/ip.ts';
import type { PodRow } from '../tables.ts';
import type { ContainerRunner, ContainerStatus } from './container.ts';
import type { PodName, PodState } from './sandbox.ts';

/** A pod's status for people. */
export interface PodStatus extends PodName {
  readonly phase: 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Terminating';
  readonly ready: boolean;
  /** Why it is not ready; ''. */
  readonly reason: string;
  readonly restarts: number;
  readonly ips: readonly string[];
  readonly workload: PodRow['workload'];
  readonly containers: readonly ContainerStatus[];
}

/** The status of a pod as far as it has been made. `row` is the last one that was wanted. */
export function describePod(pod: {
  readonly name: PodName;
  readonly row: PodRow | undefined;
  readonly state: PodState | undefined;
  readonly runners: readonly ContainerRunner[];
  readonly terminating: boolean;
  readonly problem: string;
}): PodStatus {
  const containers = pod.runners.map(({ status }) => status);
  const isRunning = containers.length > 0 && containers.every(({ state }) => state === 'running');
  return {
    namespace: pod.name.namespace,
    name: pod.name.name,
    phase: pod.terminating ? 'Terminating' : phaseOf(containers),
    ready: isRunning && !pod.terminating,
    reason: pod.problem || (containers.find(({ reason }) => reason !== '')?.reason ?? ''),
    restarts: containers.reduce((sum, { restarts }) => sum + restarts, 0),
    ips: (pod.state?.result?.ips ?? []).map(({ address }) => {
      const cidr = parseCidr(address);
      return cidr.ok ? formatAddress(cidr.value.address) : address;
    }),
    workload: pod.row?.workload ?? { kind: 'Pod', name: pod.name.name },
    containers,
  };
}

function phaseOf(containers: readonly ContainerStatus[]): PodStatus['phase'] {
  if (containers.length === 0) return 'Pending';
  if (containers.every(({ state }) => state === 'terminated')) {
    return containers.every(({ exitCode }) => exitCode === 0) ? 'Succeeded' : 'Failed';
  }
  return containers.some(({ state, restarts }) => state === 'running' || restarts > 0) ? 'Running' : 'Pending';
}
