// The runtime with the real plugin and launcher; only the kernel programs are left out.
//
//   agent (this test) ── weir-cni ──> netns weir-r<pid>_default_<pod>  ── weir-run ──> container processes
//                                     cgroup weir-r<pid>/pods/default_<pod>/<container>

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { after, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLogger } from '#common/log.ts';
import type { DeploymentObject, PodSpec } from '#mesh-config/model.ts';
import { buildCni, WEIR_RUN } from '../cni/build.ts';
import { type CniPlugin, createCniPlugin } from '../cni/plugin.ts';
import { type CniServer, startCniServer } from '../cni/server.ts';
import { nodeLayout } from '../layout.ts';
import { cgroupProcesses, findCgroupRoot, killCgroup } from '../node/cgroup.ts';
import { setUpNode } from '../node/setup.ts';
import { writeState } from '../node/state-file.ts';
import { listLeftovers, tearDown } from '../node/teardown.ts';
import { createTables, type PodRow, type Tables } from '../tables.ts';
import { restartDelayMs } from './container.ts';
import { podName } from './names.ts';
import { type Runtime, startRuntime } from './runtime.ts';
import type { PodStatus } from './status.ts';

const root = findCgroupRoot();
const layout = nodeLayout(`r${process.pid}`, root.ok ? root.value : '/nonexistent');
const log = createLogger('test', 'silent');
const origin = { file: 'pods.yaml', line: 1 };

function spec(script: string, more: Partial<PodSpec> = {}): PodSpec {
  const container = {
    ...{ name: 'main', command: ['sh', '-c'], args: [script], workingDir: '/tmp', ports: [] },
    env: [{ name: 'GREETING', value: 'hello' }],
  };
  return { serviceAccount: 'default', containers: [container], restartPolicy: 'Always', ...more };
}

function pod(name: string, podSpec: PodSpec): PodRow {
  const meta = { namespace: 'default', name, labels: { app: name }, annotations: {}, origin };
  return { object: { kind: 'Pod', ...meta, audit: false, spec: podSpec }, workload: { kind: 'Pod', name } };
}

describe('runtime', { skip: process.getuid?.() !== 0 && 'needs root' }, () => {
  let tables: Tables;
  let plugin: CniPlugin | undefined;
  let server: CniServer | undefined;
  let runtime: Runtime | undefined;

  const startAgent = async (): Promise<Runtime> => {
    const unavailable = (): undefined => undefined;
    const hooks = { attach: () => {}, detach: () => {}, ready: () => Promise.resolve(), unavailable };
    plugin = createCniPlugin({ layout, tables, hooks, log });
    await plugin.adopt();
    server = await startCniServer({ path: layout.cniSocket, plugin, log });
    runtime = await startRuntime({ layout, tables: tables.inputs, cni: plugin, log });
    return runtime;
  };
  const stopAgent = async (): Promise<void> => {
    await runtime?.close();
    await server?.close();
    plugin?.close();
    [runtime, server, plugin] = [undefined, undefined, undefined];
  };
  const until = async (name: string, holds: (status: PodStatus | undefined) => boolean): Promise<PodStatus> => {
    for (const deadline = Date.now() + 15_000; ; await sleep(10)) {
      const status = runtime?.statuses.get(`default/${name}`);
      if (holds(status)) return status as PodStatus;
      assert.ok(Date.now() < deadline, `${name}: ${JSON.stringify(status)}`);
    }
  };
  const handle = (name: string): NonNullable<ReturnType<Runtime['podHandle']>> => {
    const found = runtime?.podHandle({ namespace: 'default', name, container: '' });
    assert.ok(found);
    return found;
  };
  const run = (name: string, ...command: string[]): string => {
    const { pid, cgroup, env } = handle(name);
    const variables = Object.fromEntries(env.map((text) => text.split('=') as [string, string]));
    const args = ['--join', `${pid}`, '--cgroup', cgroup, '--', ...command];
    return spawnSync(WEIR_RUN, args, { env: variables, encoding: 'utf8' }).stdout;
  };

  before(buildCni);
  beforeEach(async () => {
    await stopAgent();
    await tearDown(layout);
    await setUpNode(layout);
    tables = createTables();
  });
  after(async () => {
    await stopAgent();
    await tearDown(layout);
    assert.deepEqual(listLeftovers(layout), []);
  });

  test('starts a pod with its own network, names, environment and log, and takes it away', async () => {
    tables.inputs.pods.set('default/a', pod('a', spec('echo "$GREETING from $(hostname) in $PWD"; sleep 1000')));
    await startAgent();
    const status = await until('a', (s) => s?.ready ?? false);
    assert.equal(status.phase, 'Running');
    assert.deepEqual(status.ips, ['10.244.0.3', 'fd00:10:244::3']);
    assert.equal(tables.inputs.endpoints.get('default/a')?.ready, true);
    assert.equal(readFileSync(handle('a').logFile, 'utf8'), 'hello from a in /tmp\n');
    assert.match(
      run('a', 'cat', '/etc/resolv.conf'),
      /^nameserver 10\.96\.0\.10\nnameserver fd00:10:96::a\nsearch default\.svc/,
    );
    assert.match(run('a', 'cat', '/etc/hosts'), /^10\.244\.0\.3 a$/m);
    assert.match(run('a', 'ls', '/sys/class/net'), /^eth0$/m);
    assert.equal(run('a', 'ls', '/run/weir'), '');
    assert.match(run('a', 'grep', 'CapEff', '/proc/self/status'), /00000000a00425fb/);
    tables.inputs.pods.delete('default/a');
    await until('a', (s) => s === undefined);
    assert.deepEqual(cgroupProcesses(`${layout.cgroup}/pods`), []);
    assert.equal(tables.inputs.endpoints.size, 0);
    assert.ok(!existsSync(`${layout.podsDir}/default_a`));
  });

  test('adopts running pods after a restart, and removes those that nobody wants any more', async () => {
    for (const name of ['kept', 'gone']) tables.inputs.pods.set(`default/${name}`, pod(name, spec('sleep 1000')));
    await startAgent();
    const before = await until('kept', (s) => s?.ready ?? false);
    await until('gone', (s) => s?.ready ?? false);
    await stopAgent();
    assert.ok(cgroupProcesses(`${layout.cgroup}/pods`).length > 0);
    tables = createTables();
    tables.inputs.pods.set('default/kept', pod('kept', spec('sleep 1000')));
    await startAgent();
    const after = await until('kept', (s) => s?.ready ?? false);
    assert.equal(after.containers[0]?.pid, before.containers[0]?.pid);
    assert.equal(after.restarts, 0);
    await until('gone', (s) => s === undefined);
    // An adopted container that ends is noticed and started again.
    await killCgroup(`${layout.cgroup}/pods/default_kept/main`);
    const again = await until('kept', (s) => (s?.restarts ?? 0) === 1 && s?.ready === true);
    assert.notEqual(again.containers[0]?.pid, before.containers[0]?.pid);
  });

  test('a process that was started but not written down is not doubled', async () => {
    tables.inputs.pods.set('default/a', pod('a', spec('sleep 1000')));
    await startAgent();
    await until('a', (s) => s?.ready ?? false);
    const { length } = cgroupProcesses(`${layout.cgroup}/pods`);
    await stopAgent();
    const file = `${layout.podsDir}/default_a/pod.json`;
    const state = JSON.parse(readFileSync(file, 'utf8'));
    writeState(file, { ...state, containers: {} });
    await startAgent();
    await until('a', (s) => s?.ready ?? false);
    assert.equal(cgroupProcesses(`${layout.cgroup}/pods`).length, length);
  });

  test('restart policies: Never ends, OnFailure tries again, a finished pod stays finished after an agent restart', async () => {
    tables.inputs.pods.set('default/never', pod('never', spec('exit 3', { restartPolicy: 'Never' })));
    tables.inputs.pods.set('default/done', pod('done', spec('exit 0', { restartPolicy: 'OnFailure' })));
    tables.inputs.pods.set('default/again', pod('again', spec('exit 1', { restartPolicy: 'OnFailure' })));
    await startAgent();
    const never = await until('never', (s) => s?.phase === 'Failed');
    assert.equal(never.containers[0]?.exitCode, 3);
    await until('done', (s) => s?.phase === 'Succeeded');
    await until('again', (s) => (s?.restarts ?? 0) >= 2 && s?.reason === 'CrashLoopBackOff');
    await stopAgent();
    await startAgent();
    await until('never', (s) => s?.phase === 'Failed' && s.restarts === 0);
  });

  test('a container that cannot start says why', async () => {
    const broken = spec('');
    const container = { ...broken.containers[0], command: ['/nonexistent/server'], args: [] };
    tables.inputs.pods.set('default/a', pod('a', { ...broken, containers: [container as never] }));
    await startAgent();
    const status = await until('a', (s) => (s?.reason ?? '').startsWith('CrashLoopBackOff: '));
    assert.equal(status.reason, 'CrashLoopBackOff: Cannot start "/nonexistent/server": No such file or directory');
    assert.equal(status.ready, false);
  });

  test('a changed spec replaces the pod, changed labels do not', async () => {
    tables.inputs.pods.set('default/a', pod('a', spec('sleep 1000')));
    await startAgent();
    const first = await until('a', (s) => s?.ready ?? false);
    const row = pod('a', spec('sleep 1000'));
    tables.inputs.pods.set('default/a', { ...row, object: { ...row.object, labels: { app: 'new' } } });
    await sleep(100);
    assert.equal(runtime?.statuses.get('default/a')?.containers[0]?.pid, first.containers[0]?.pid);
    tables.inputs.pods.set('default/a', pod('a', spec('sleep 2000')));
    const second = await until('a', (s) => s?.ready === true && s.ips[0] !== first.ips[0]);
    assert.notEqual(second.containers[0]?.pid, first.containers[0]?.pid);
  });

  test('a Deployment has the same pods after a restart and new ones for a new template', async () => {
    const deployment = (script: string, replicas: number): DeploymentObject => ({
      ...{ kind: 'Deployment', namespace: 'default', name: 'web', labels: {}, annotations: {}, origin, replicas },
      template: { labels: { app: 'web' }, annotations: {}, audit: false, spec: spec(script) },
    });
    tables.inputs.deployments.set('default/web', deployment('sleep 1000', 2));
    await startAgent();
    const names = [0, 1].map((index) => podName(deployment('sleep 1000', 2), index));
    const pids: (number | undefined)[] = [];
    for (const name of names) pids.push((await until(name, (s) => s?.ready ?? false)).containers[0]?.pid);
    await stopAgent();
    tables = createTables();
    tables.inputs.deployments.set('default/web', deployment('sleep 1000', 2));
    await startAgent();
    for (const [i, name] of names.entries()) {
      assert.equal((await until(name, (s) => s?.ready ?? false)).containers[0]?.pid, pids[i]);
    }
    tables.inputs.deployments.set('default/web', deployment('sleep 2000', 1));
    for (const name of names) await until(name, (s) => s === undefined);
    await until(podName(deployment('sleep 2000', 1), 0), (s) => s?.ready ?? false);
    assert.equal(tables.inputs.pods.size, 1);
  });
});

test('podName gives each of a thousand replicas a name of its own', () => {
  const template = { labels: {}, annotations: {}, audit: false, spec: spec('true') };
  const meta = { namespace: 'default', name: 'x', labels: {}, annotations: {}, origin };
  const deployment: DeploymentObject = { kind: 'Deployment', ...meta, replicas: 1000, template };
  const names = new Set(Array.from({ length: 1000 }, (_, index) => podName(deployment, index)));
  assert.equal(names.size, 1000);
  assert.match(podName(deployment, 0), /^x-[b-df-hj-np-tv-xz24-9]{9}-[b-df-hj-np-tv-xz24-9]{5}$/);
  const other = { ...deployment, template: { ...template, labels: { a: 'b' } } };
  assert.notEqual(podName(deployment, 0), podName(other, 0));
  const annotated = (key: string, audit = false): DeploymentObject => ({
    ...deployment,
    template: { ...template, annotations: { [key]: 'enabled' }, audit },
  });
  assert.notEqual(podName(deployment, 0), podName(annotated('example.com/restarted-at'), 0));
  assert.equal(podName(deployment, 0), podName(annotated('policy.weir.io/audit-mode', true), 0), 'the same pods');
});

test('restartDelayMs grows to its bound', () => {
  assert.deepEqual(
    [0, 1, 2, 3, 4, 20].map((failures) => restartDelayMs(failures, 0.5)),
    [0, 0, 500, 1000, 2000, 30_000],
  );
});
