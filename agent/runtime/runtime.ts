// The embedded stand-in for kubelet and container runtime: keeps a process for every container of tables.inputs.pods.

import type { Logger } from '#common/log.ts';
import { createTable, type ReadonlyTable } from '#common/table.ts';
import type { CniPlugin } from '../cni/plugin.ts';
import type { NodeLayout } from '../layout.ts';
import type { Inputs, PodRow } from '../tables.ts';
import { containerEnv } from './container.ts';
import { runDeployments } from './deployments.ts';
import { createPod, type Pod, type PodContext } from './pod.ts';
import { findPods, podPaths } from './sandbox.ts';
import type { PodStatus } from './status.ts';

/** Where and how to run a process inside a pod; the fields of PodHandle in api/node.proto. */
export interface PodHandle {
  readonly netns: string;
  /** The pod's cgroup, where a process must go so that it ends with the pod. */
  readonly cgroup: string;
  readonly logFile: string;
  readonly resolvConf: string;
  readonly workingDir: string;
  readonly env: readonly string[];
  /** First process of the container, whose namespaces all can be entered; 0: not running. */
  readonly pid: number;
}

export interface Runtime {
  /** Status of every pod, wanted or not yet gone. Key: "namespace/name". */
  readonly statuses: ReadonlyTable<PodStatus>;
  /** The pod's `container`, or its first for ''; undefined: no such pod, or it has no network yet. */
  podHandle(pod: {
    readonly namespace: string;
    readonly name: string;
    readonly container: string;
  }): PodHandle | undefined;
  /** Stops looking after pods; they go on. */
  close(): Promise<void>;
}

/** Pods made or removed at once: each takes a few processes of a few milliseconds. */
const MAX_AT_ONCE = 4;

/**
 * Adopts the pods that an earlier agent left, then follows tables.pods and tables.deployments. Call it when the tables
 * hold what the source has: pods that are in no table are removed. `cni` hears which pods are ready.
 */
export async function startRuntime(options: {
  readonly layout: NodeLayout;
  readonly tables: Pick<Inputs, 'pods' | 'deployments' | 'endpoints'>;
  readonly cni: Pick<CniPlugin, 'setReady'>;
  readonly log: Logger;
}): Promise<Runtime> {
  const { layout, tables, cni, log } = options;
  const statuses = createTable<PodStatus>('pod status');
  const pods = new Map<string, Pod>();
  const context: PodContext = {
    layout,
    log,
    limit: createLimit(MAX_AT_ONCE),
    isJoined: (key) => tables.endpoints.get(key) !== undefined,
    report(key, status) {
      if (status) statuses.set(key, status);
      else statuses.delete(key);
      cni.setReady(key, status?.ready ?? false);
    },
  };
  const follow = (key: string, pod: Pod): void => {
    pods.set(key, pod);
    pod.done.then(() => {
      if (pods.get(key) === pod) pods.delete(key);
      const row = tables.pods.get(key); // written again just as the old one ended
      if (row && !pods.has(key) && !isClosed) make(key, row);
    });
  };
  const make = (key: string, row: PodRow): void => {
    const { namespace, name } = row.object;
    const pod = createPod(context, { namespace, name });
    pod.want(row);
    follow(key, pod);
  };
  let isClosed = false;

  const stopDeployments = runDeployments(tables);
  for (const state of await findPods(layout)) {
    const key = `${state.namespace}/${state.name}`;
    const pod = createPod(context, { namespace: state.namespace, name: state.name }, state);
    pod.want(tables.pods.get(key));
    follow(key, pod);
  }
  const stopPods = tables.pods.subscribe(({ key, after }) => {
    const pod = pods.get(key);
    if (pod) pod.want(after);
    else if (after) make(key, after);
  });
  for (const [key, row] of tables.pods.entries()) if (!pods.has(key)) make(key, row);

  return {
    statuses,
    podHandle: ({ namespace, name, container }) => handleOf(layout, pods.get(`${namespace}/${name}`), container),
    async close() {
      isClosed = true;
      stopDeployments();
      stopPods();
      for (const pod of pods.values()) pod.release();
      await Promise.all([...pods.values()].map(({ done }) => done));
    },
  };
}

function handleOf(layout: NodeLayout, pod: Pod | undefined, containerName: string): PodHandle | undefined {
  const { state, row } = pod ?? {};
  const containers = row?.object.spec.containers ?? [];
  const container = containerName === '' ? containers[0] : containers.find(({ name }) => name === containerName);
  if (!pod || !state?.result || !container) return undefined;
  const paths = podPaths(layout, state);
  return {
    netns: state.sandbox.netns,
    cgroup: paths.cgroup,
    logFile: paths.logFile(container.name),
    resolvConf: paths.resolvConf,
    workingDir: container.workingDir,
    env: Object.entries(containerEnv(state, container)).map(([name, value]) => `${name}=${value}`),
    pid: pod.containerPid(container.name),
  };
}

/** Lets at most `limit` calls run at once; the rest wait in order. */
function createLimit(limit: number): PodContext['limit'] {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (run) => {
    if (running >= limit) await new Promise<void>((resolve) => waiting.push(resolve));
    running++;
    try {
      return await run();
    } finally {
      running--;
      waiting.shift()?.();
    }
  };
}
