// Setting up and tearing down a node, on the real machine.
//
//   netns weir-t<pid>:  lo  10.244.0.1, .2, fd00:10:244::1, ::2     rule 100: fwmark 0x200 -> table 100 (local, lo)
//   netns weir-t<pid>_<pod>   cgroup weir-t<pid>/{node,pods}   bpffs /run/weir/t<pid>/bpf

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { after, beforeEach, describe, test } from 'node:test';
import { nodeLayout, podNetns } from '../layout.ts';
import { isBpffs } from './bpffs.ts';
import { cgroupProcesses, enterCgroup, findCgroupRoot } from './cgroup.ts';
import { ip, ipShow } from './ip.ts';
import { parseNodeName } from './names.ts';
import { inNetns, isNetns } from './netns.ts';
import { isAlive, processId } from './process.ts';
import { agentCgroup, ensureNetns, setUpNode } from './setup.ts';
import { listLeftovers, tearDown } from './teardown.ts';

const root = findCgroupRoot();
const layout = nodeLayout(`t${process.pid}`, root.ok ? root.value : '/nonexistent');
const other = nodeLayout(`t${process.pid}-b`, root.ok ? root.value : '/nonexistent');

describe('node', { skip: process.getuid?.() !== 0 && 'needs root' }, () => {
  beforeEach(() => tearDown(layout));
  after(async () => {
    await tearDown(layout);
    await tearDown(other);
  });

  test('setUpNode makes what the layout names', async () => {
    const steps: string[] = [];
    await setUpNode(layout, (name) => steps.push(name));
    assert.equal(steps.length, 5);
    assert.ok(isNetns(layout.netnsPath));
    assert.ok(isBpffs(layout.bpffs));
    const read = (name: string): string =>
      inNetns(layout.netnsPath, () => readFileSync(`/proc/sys/net/${name}`, 'latin1').trim());
    assert.equal(read('ipv4/ip_forward'), '1');
    assert.equal(read('ipv4/tcp_max_tw_buckets'), '0');
    assert.deepEqual(await describeNetwork(), expectedNetwork);
    assert.notDeepEqual(listLeftovers(layout), []);
  });

  test('ipShow has no row for what ip leaves out', async () => {
    await ensureNetns(layout.netnsPath);
    const names = async (command: string): Promise<(string | undefined)[]> =>
      (await ipShow<{ ifname?: string }>(command, { netns: layout.netnsPath })).map(({ ifname }) => ifname);
    assert.deepEqual(await names('link show'), ['lo']);
    assert.deepEqual(await names('link show type unheardof'), []); // as "veth" is while its module is not loaded
  });

  test('setUpNode adopts what is right and repairs what is not', async () => {
    await setUpNode(layout);
    await ip(
      [
        'addr del 10.244.0.2/32 dev lo',
        'route del local 0.0.0.0/0 dev lo table 100',
        'rule add fwmark 0x300 lookup 100 pref 7',
        'link set lo down',
      ],
      { netns: layout.netnsPath },
    );
    await ip(['rule add fwmark 0x200 lookup 100 pref 101', 'rule del pref 100'], {
      netns: layout.netnsPath,
      family: 6,
    });
    writeFileSync(`${layout.stateDir}/kept`, 'x');
    await setUpNode(layout);
    assert.deepEqual(await describeNetwork(), expectedNetwork);
    assert.equal(readFileSync(`${layout.stateDir}/kept`, 'latin1'), 'x');
    await setUpNode(layout);
    assert.deepEqual(await describeNetwork(), expectedNetwork);
  });

  test('tearDown twenty times leaves nothing', async () => {
    for (let round = 0; round < 20; round++) {
      await setUpNode(layout);
      await ensureNetns(`/run/netns/${podNetns(layout, { namespace: 'default', name: 'a' })}`);
      await tearDown(layout);
      assert.deepEqual(listLeftovers(layout), [], `round ${round}`);
    }
  });

  test('tearDown removes half-built states, and processes, and nothing of another node', async () => {
    await setUpNode(other);
    mkdirSync(`${layout.cgroup}/pods/x_y/main`, { recursive: true });
    writeFileSync(`/run/netns/${layout.netns}_x_y`, '');
    await setUpNode(layout);
    mkdirSync(`${layout.bpffs}/maps`);
    const child = spawn('sleep', ['1000'], { stdio: 'ignore', detached: true });
    enterCgroup(agentCgroup(layout), child.pid ?? 0);
    const id = processId(child.pid ?? 0);
    assert.ok(id && isAlive(id));
    assert.deepEqual(cgroupProcesses(layout.cgroup), [child.pid]);
    const ended = once(child, 'exit');
    await tearDown(layout);
    assert.deepEqual((await ended)[1], 'SIGKILL');
    assert.ok(!isAlive(id));
    assert.deepEqual(listLeftovers(layout), []);
    assert.equal(listLeftovers(other).length, 4);
  });

  test('ip names the command that fails', async () => {
    await setUpNode(layout);
    await assert.rejects(
      ip(['link set lo up', 'link set nosuch up'], { netns: layout.netnsPath }),
      /Cannot run "ip link set nosuch up" in .*: Cannot find device "nosuch"/,
    );
    await assert.rejects(ip(['link show'], { netns: '/run/netns/weir-none' }), /ENOENT/);
  });
});

const cgroupCases = [
  { name: 'unified', mounts: 'cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n', root: '/sys/fs/cgroup' },
  { name: 'hybrid', mounts: 'cgroup /c/cpu cgroup rw 0 0\nx /c/unified cgroup2 rw 0 0\n', root: '/c/unified' },
  { name: 'v1 only', mounts: 'cgroup /c/cpu cgroup rw 0 0\n', root: undefined },
];
for (const { name, mounts, root: expected } of cgroupCases) {
  test(`findCgroupRoot reads ${name} mounts`, () => {
    const found = findCgroupRoot(mounts);
    assert.equal(found.ok ? found.value : undefined, expected);
  });
}

const nameCases = [
  { name: 'node0', ok: true },
  { name: 'a-b', ok: true },
  { name: '', ok: false },
  { name: 'a_b', ok: false },
  { name: '../x', ok: false },
  { name: 'x'.repeat(33), ok: false },
];
for (const { name, ok } of nameCases) {
  test(`parseNodeName ${ok ? 'takes' : 'refuses'} "${name}"`, () => assert.equal(parseNodeName(name).ok, ok));
}

const expectedNetwork = {
  addresses: ['10.244.0.1/32', '10.244.0.2/32', '127.0.0.1/8', '::1/128', 'fd00:10:244::1/128', 'fd00:10:244::2/128'],
  rules4: ['100 0x200 100'],
  rules6: ['100 0x200 100'],
  routes4: ['local default lo'],
  routes6: ['local default lo'],
};

async function describeNetwork(): Promise<typeof expectedNetwork> {
  const netns = layout.netnsPath;
  type Link = { addr_info: { local: string; prefixlen: number }[] };
  const [link] = await ipShow<Link>('addr show dev lo', { netns });
  const rules = async (family: 4 | 6): Promise<string[]> =>
    (await ipShow<{ priority: number; fwmark: string; table: string }>('rule show', { netns, family }))
      .filter((rule) => rule.table === '100' || rule.priority === 100)
      .map((rule) => `${rule.priority} ${rule.fwmark} ${rule.table}`);
  const routes = async (family: 4 | 6): Promise<string[]> =>
    (await ipShow<{ type: string; dst: string; dev: string }>('route show table 100', { netns, family })).map(
      (route) => `${route.type} ${route.dst} ${route.dev}`,
    );
  return {
    addresses: (link?.addr_info ?? []).map((a) => `${a.local}/${a.prefixlen}`).sort(),
    rules4: await rules(4),
    rules6: await rules(6),
    routes4: await routes(4),
    routes6: await routes(6),
  };
}
