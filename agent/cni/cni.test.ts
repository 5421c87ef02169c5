// weir-cni against the agent's side, on real namespaces, with hooks that only take notes.
//
//   netns weir-c<pid>_default_a  eth0  10.244.0.3, fd00:10:244::3   <-- veth -->   lxc…  netns weir-c<pid> (the node)
//   netns weir-c<pid>_default_b  eth0  10.244.0.4, fd00:10:244::4   <-- veth -->   lxc…

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, before, beforeEach, describe, test } from 'node:test';
import { createLogger } from '#common/log.ts';
import type { PodObject } from '#mesh-config/model.ts';
import { nodeLayout, podNetns } from '../layout.ts';
import { findCgroupRoot } from '../node/cgroup.ts';
import { ip, ipShow } from '../node/ip.ts';
import { inNetns } from '../node/netns.ts';
import { ensureNetns, setUpNode } from '../node/setup.ts';
import { listLeftovers, removeNetns, tearDown } from '../node/teardown.ts';
import { callCni, type Sandbox } from '../runtime/cni-client.ts';
import { createTables, type PodRow } from '../tables.ts';
import { buildCni } from './build.ts';
import { type CniHooks, type CniPlugin, createCniPlugin } from './plugin.ts';
import { type CniServer, startCniServer } from './server.ts';

const root = findCgroupRoot();
const layout = nodeLayout(`c${process.pid}`, root.ok ? root.value : '/nonexistent');
const log = createLogger('test', 'silent');

function podRow(name: string): PodRow {
  const origin = { file: 'pods.yaml', line: 1 };
  const container = {
    ...{ name: 'main', command: ['true'], args: [], env: [], workingDir: '' },
    ports: [
      { name: 'http', port: 80, protocol: 'TCP' as const },
      { name: '', port: 81, protocol: 'TCP' as const },
    ],
  };
  const object: PodObject = {
    ...{ kind: 'Pod', namespace: 'default', name, labels: { app: name }, annotations: {}, origin, audit: false },
    spec: { serviceAccount: 'default', containers: [container], restartPolicy: 'Always' },
  };
  return { object, workload: { kind: 'Pod', name } };
}

function sandboxOf(pod: string): Sandbox {
  const netns = `/run/netns/${podNetns(layout, { namespace: 'default', name: pod })}`;
  return { containerId: `id-${pod}`, netns, namespace: 'default', pod };
}

/** What a connection to a closed port says: a refusal went there and back. */
function knock(netns: string, target: string): string {
  const script = `exec 3<>/dev/tcp/${target}/9`;
  return inNetns(netns, () => spawnSync('timeout', ['2', 'bash', '-c', script], { encoding: 'utf8' }).stderr);
}

describe('weir-cni', { skip: process.getuid?.() !== 0 && 'needs root' }, () => {
  const [a, b] = [sandboxOf('a'), sandboxOf('b')];
  let tables = createTables();
  let notes: string[] = [];
  let plugin: CniPlugin;
  let server: CniServer | undefined;
  const recorder: CniHooks = {
    attach: async (ifname) => void notes.push(`attach ${ifname.slice(0, 3)} ${await hostState(ifname)}`),
    detach: (ifname) => void notes.push(`detach ${ifname.slice(0, 3)}`),
    ready: async (endpoint) => void notes.push(`ready ${endpoint.pod}`),
    unavailable: () => undefined,
  };
  const hostState = async (device: string): Promise<string> => {
    const [link] = await ipShow<{ operstate: string }>(`link show dev ${device}`, { netns: layout.netnsPath });
    return link?.operstate ?? 'none';
  };
  const start = async (hooks: CniHooks = recorder): Promise<void> => {
    await server?.close();
    plugin?.close();
    plugin = createCniPlugin({ layout, tables, hooks, log });
    await plugin.adopt();
    server = await startCniServer({ path: layout.cniSocket, plugin, log });
  };

  before(buildCni);
  beforeEach(async () => {
    await server?.close();
    server = undefined;
    await tearDown(layout);
    await setUpNode(layout);
    tables = createTables();
    notes = [];
    for (const { pod, netns } of [a, b]) {
      await ensureNetns(netns);
      tables.inputs.pods.set(`default/${pod}`, podRow(pod));
    }
    await start();
  });
  after(async () => {
    await server?.close();
    await tearDown(layout);
    assert.deepEqual(listLeftovers(layout), []);
  });

  test('ADD joins a namespace, attaches before the link is up, waits for policy, and answers by the specification', async () => {
    const result = await callCni(layout, 'ADD', { sandbox: a });
    assert.ok(result.ok, JSON.stringify(result));
    const value = result.value;
    assert.equal(value?.cniVersion, '1.1.0');
    assert.deepEqual(
      value?.ips.map(({ address, gateway }) => [address, gateway]),
      [
        ['10.244.0.3/32', '169.254.1.1'],
        ['fd00:10:244::3/128', 'fe80::1'],
      ],
    );
    assert.equal(value?.interfaces[1]?.sandbox, a.netns);
    assert.deepEqual(value?.dns.nameservers, ['10.96.0.10', 'fd00:10:96::a']);
    assert.deepEqual(notes, ['attach lxc DOWN', 'ready a']);
    const row = tables.inputs.endpoints.get('default/a');
    assert.equal(row?.id, 3);
    assert.equal(row?.device?.name, value?.interfaces[0]?.name);
    assert.deepEqual(row?.namedPorts, [{ name: 'http', port: 80, protocol: 'TCP' }]);
    assert.deepEqual(row?.labels, { app: 'a' });
    plugin.setReady('default/a', true);
    assert.equal(tables.inputs.endpoints.get('default/a')?.ready, true);
  });

  test('ADD makes pods that reach the node and each other at once, by both families, as themselves', async () => {
    for (const sandbox of [a, b]) assert.ok((await callCni(layout, 'ADD', { sandbox })).ok);
    for (const target of ['10.244.0.4', 'fd00:10:244::4', '10.244.0.2', 'fd00:10:244::2', '169.254.1.1']) {
      assert.match(knock(a.netns, target), /Connection refused/, target);
    }
    for (const target of ['10.244.0.4', 'fd00:10:244::4']) {
      assert.match(knock(layout.netnsPath, target), /Connection refused/, target);
      const [route] = await ipShow<{ prefsrc: string }>(`route get ${target}`, { netns: layout.netnsPath });
      assert.match(route?.prefsrc ?? '', /^(10\.244\.0\.1|fd00:10:244::1)$/);
    }
  });

  test('CHECK finds what is right and names what is not', async () => {
    const added = await callCni(layout, 'ADD', { sandbox: a });
    const previous = added.ok ? added.value : undefined;
    assert.deepEqual(await callCni(layout, 'CHECK', { sandbox: a, previous }), { ok: true, value: undefined });
    await ip(['route del default dev eth0'], { netns: a.netns });
    const broken = await callCni(layout, 'CHECK', { sandbox: a, previous });
    assert.match(broken.ok ? '' : broken.error.msg, /no default route \(IPv4\)/);
    const unknown = await callCni(layout, 'CHECK', { sandbox: b });
    assert.equal(unknown.ok ? 0 : unknown.error.code, 3);
  });

  test('DEL takes everything away, can be repeated, and addresses rest before they come again', async () => {
    await callCni(layout, 'ADD', { sandbox: a });
    const device = tables.inputs.endpoints.get('default/a')?.device?.name ?? '';
    assert.ok((await callCni(layout, 'DEL', { sandbox: a })).ok);
    assert.ok((await callCni(layout, 'DEL', { sandbox: a })).ok);
    await assert.rejects(hostState(device), /does not exist/);
    assert.equal(tables.inputs.endpoints.size, 0);
    assert.equal(notes.at(-1), 'detach lxc');
    const again = await callCni(layout, 'ADD', { sandbox: a });
    assert.equal(again.ok && again.value?.ips[0]?.address, '10.244.0.4/32');
  });

  test('DEL works when the namespace is gone already', async () => {
    await callCni(layout, 'ADD', { sandbox: a });
    await removeNetns([a.netns.slice('/run/netns/'.length)]);
    assert.ok((await callCni(layout, 'DEL', { sandbox: a })).ok);
    assert.equal(tables.inputs.endpoints.size, 0);
  });

  test('GC removes what is not in the list', async () => {
    for (const sandbox of [a, b]) await callCni(layout, 'ADD', { sandbox });
    assert.ok((await callCni(layout, 'GC', { valid: [b] })).ok);
    assert.deepEqual(
      [...tables.inputs.endpoints.values()].map(({ pod }) => pod),
      ['b'],
    );
  });

  test('ADD leaves nothing when policy does not become ready', async () => {
    await start({ ...recorder, ready: () => Promise.reject(new Error('no policy')) });
    const failed = await callCni(layout, 'ADD', { sandbox: a });
    assert.match(failed.ok ? '' : failed.error.msg, /no policy/);
    assert.equal(tables.inputs.endpoints.size, 0);
    const links = await ipShow<{ ifname: string }>('link show', { netns: layout.netnsPath });
    assert.deepEqual(
      links.map(({ ifname }) => ifname).filter((name) => name.startsWith('lxc')),
      [],
    );
  });

  test('adopt takes over what is real after a restart, with new labels, and removes the rest', async () => {
    for (const sandbox of [a, b]) await callCni(layout, 'ADD', { sandbox });
    plugin.setReady('default/a', true);
    await removeNetns([b.netns.slice('/run/netns/'.length)]);
    tables = createTables();
    const row = podRow('a');
    tables.inputs.pods.set('default/a', { ...row, object: { ...row.object, labels: { app: 'new' } } });
    notes = [];
    await start();
    assert.deepEqual(notes.sort(), ['attach lxc UP', 'detach lxc']);
    const rows = [...tables.inputs.endpoints.values()];
    assert.deepEqual(
      rows.map(({ pod, labels, ready }) => ({ pod, labels, ready })),
      [{ pod: 'a', labels: { app: 'new' }, ready: true }],
    );
    const again = await callCni(layout, 'ADD', { sandbox: a });
    assert.equal(again.ok ? 0 : again.error.code, 11);
  });

  test('audit mode of a pod that changes reaches its endpoint, and is remembered', async () => {
    await callCni(layout, 'ADD', { sandbox: a });
    const row = podRow('a');
    const audit = (): boolean | undefined => tables.inputs.endpoints.get('default/a')?.audit;
    assert.equal(audit(), false);
    tables.inputs.pods.set('default/a', { ...row, object: { ...row.object, audit: true } });
    assert.equal(audit(), true);
    tables = createTables();
    await start();
    assert.equal(audit(), true, 'before the pod is read');
    tables.inputs.pods.set('default/a', row);
    assert.equal(audit(), false);
  });

  test('labels of a pod that change reach its endpoint', async () => {
    await callCni(layout, 'ADD', { sandbox: a });
    const row = podRow('a');
    tables.inputs.pods.set('default/a', { ...row, object: { ...row.object, labels: { app: 'other' } } });
    assert.deepEqual(tables.inputs.endpoints.get('default/a')?.labels, { app: 'other' });
  });

  test('STATUS and VERSION say what is so', async () => {
    assert.ok((await callCni(layout, 'STATUS', {})).ok);
    await start({ ...recorder, unavailable: () => 'Cannot join pods: starting' });
    const status = await callCni(layout, 'STATUS', {});
    assert.equal(status.ok ? 0 : status.error.code, 50);
    await server?.close();
    server = undefined;
    const version = await callCni(layout, 'VERSION', {});
    assert.deepEqual(version, { ok: true, value: { cniVersion: '1.1.0', supportedVersions: ['1.0.0', '1.1.0'] } });
    const away = await callCni(layout, 'ADD', { sandbox: a });
    assert.equal(away.ok ? 0 : away.error.code, 11);
    const awayStatus = await callCni(layout, 'STATUS', {});
    assert.equal(awayStatus.ok ? 0 : awayStatus.error.code, 50);
  });

  const refused = [
    { name: 'an unknown pod', sandbox: { ...a, pod: 'nobody' }, code: 11 },
    { name: 'a namespace that is none', sandbox: { ...a, netns: '/etc/hostname' }, code: 4 },
    { name: 'a netns with spaces', sandbox: { ...a, netns: '/run/x type vlan' }, code: 4 },
    { name: 'a bad container id', sandbox: { ...a, containerId: '../x' }, code: 4 },
    { name: 'no pod name', sandbox: { ...a, pod: '' }, code: 4 },
  ];
  for (const { name, sandbox, code } of refused) {
    test(`ADD refuses ${name}`, async () => {
      const result = await callCni(layout, 'ADD', { sandbox });
      assert.equal(result.ok ? 0 : result.error.code, code, JSON.stringify(result));
      assert.equal(tables.inputs.endpoints.size, 0);
    });
  }
});
