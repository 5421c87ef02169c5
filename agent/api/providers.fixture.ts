// Providers with fixed answers, for tests of the node API and of the CLI.

import { createTable } from '#common/table.ts';
import type { PodHandle } from '../runtime/runtime.ts';
import type { PodStatus } from '../runtime/status.ts';
import type { NodeProviders } from './providers.ts';

/** The status of a pod of namespace default with one container, to which `change` is applied. */
export function podStatus(name: string, change: Partial<PodStatus> = {}): PodStatus {
  const workload = { kind: 'Pod', name };
  const container = {
    name: 'main',
    state: 'running',
    reason: '',
    restarts: 0,
    exitCode: undefined,
    pid: 4_242,
  } as const;
  const base = { namespace: 'default', name, ready: true, reason: '', restarts: 0, ips: [], workload };
  return { ...base, phase: 'Running', containers: [container], ...change };
}

/** The handle of default/xwing. */
export const XWING_HANDLE: PodHandle = {
  netns: '/run/netns/weir-node0-default-xwing',
  cgroup: '/sys/fs/cgroup/weir-node0/pods/default_xwing',
  logFile: '/nonexistent/xwing.log',
  resolvConf: '/nonexistent/resolv.conf',
  workingDir: '/',
  env: ['SHIP=xwing'],
  pid: 0,
};

/** A node on which the scene's pods run, to which `change` is applied. Only xwing has a handle. */
export function fakeProviders(change: Partial<NodeProviders> = {}): NodeProviders {
  const statuses = createTable<PodStatus>('pod status');
  for (const name of ['deathstar-a', 'tiefighter']) statuses.set(`default/${name}`, podStatus(name));
  statuses.set('default/xwing', podStatus('xwing', { restarts: 2 }));
  return {
    runtime: { statuses, podHandle: ({ name }) => (name === 'xwing' ? XWING_HANDLE : undefined) },
    maps: () => [{ name: 'conntrack', entries: 256, capacity: 1_024, errors: 3, lastError: '' }],
    components: () => [{ name: 'datapath', state: 'ok', message: 'tcx' }],
    workers: () => [{ slot: 0, pid: 77, state: 'attached', version: 5, restarts: 1 }],
    policyRevision: () => 9,
    policyRevisionOf: () => 7,
    policyHits: () => new Map([['rule1', 4]]),
    metricsText: () => Promise.resolve('# HELP weir_test A test.\n# TYPE weir_test gauge\nweir_test{a="b"} 1\n'),
    ...change,
  };
}
