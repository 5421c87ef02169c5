// Which devices lead outside, and attaching to them as they come and go.
//
//   netns weir-hd<pid>:  lo   up0 -- up1   lxc9 -- lxc8

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { formatAddress } from '#common/ip.ts';
import { createHostDevices, type Link, outsideDevices, unjudgedDevices } from './host-devices.ts';
import { ip } from './ip.ts';
import { parseNameServers } from './name-servers.ts';
import { removeNetns } from './teardown.ts';

const link = (ifname: string, change: Partial<Link> = {}): Link => ({
  ifindex: 2,
  ifname,
  link_type: 'ether',
  flags: ['UP'],
  ...change,
});
const DEVICES: readonly { readonly what: string; readonly link: Link; readonly outside: boolean }[] = [
  { what: 'an uplink', link: link('eth0'), outside: true },
  { what: 'loopback', link: link('lo', { link_type: 'loopback' }), outside: false },
  { what: "a pod's interface", link: link('lxc0123456789ab'), outside: false },
  { what: 'a port of a bridge', link: link('eth1', { master: 'br0' }), outside: false },
  {
    what: 'a port of a VRF',
    link: link('eth1', { master: 'vrf0', linkinfo: { info_slave_kind: 'vrf' } }),
    outside: true,
  },
  { what: 'a tunnel without Ethernet headers', link: link('wg0', { link_type: 'none' }), outside: false },
];
for (const { what, link: one, outside } of DEVICES) {
  test(`outsideDevices ${outside ? 'takes' : 'leaves'} ${what}`, () => {
    assert.equal(outsideDevices([one]).length, outside ? 1 : 0);
  });
}

test('unjudgedDevices names what is up and has no Ethernet headers', () => {
  const links = [
    link('eth0'),
    link('lo', { link_type: 'loopback', flags: ['LOOPBACK', 'UP'] }),
    link('wg0', { link_type: 'none' }),
    link('tunl0', { link_type: 'ipip', flags: [] }),
  ];
  assert.deepEqual(
    unjudgedDevices(links).map(({ ifname }) => ifname),
    ['wg0'],
  );
});

const FILES = [
  { text: 'nameserver 192.0.2.53\nnameserver 2001:db8::53\n', servers: ['192.0.2.53', '2001:db8::53'] },
  { text: '# nameserver 192.0.2.1\nsearch a b\n  nameserver\t192.0.2.2 ', servers: ['192.0.2.2'] },
  { text: 'nameserver fe80::1%eth0\nnameserver nonsense\nnameserver', servers: ['fe80::1'] },
  { text: '', servers: [] },
];
for (const { text, servers } of FILES) {
  test(`parseNameServers reads ${JSON.stringify(text)}`, () => {
    assert.deepEqual(parseNameServers(text).map(formatAddress), servers);
  });
}

describe('createHostDevices', { skip: process.getuid?.() !== 0 && 'needs root' }, () => {
  const name = `weir-hd${process.pid}`;
  const netns = `/run/netns/${name}`;
  const calls: string[] = [];
  const refused = new Set<string>();
  const call = (what: string): void => {
    calls.push(what);
    if (refused.has(what)) throw new Error('refused');
  };
  const datapath = {
    attachDevice(device: string) {
      call(`+${device}`);
      return 'tcx' as const;
    },
    detachDevice: (device: string) => call(`-${device}`),
    pinned: () => ({ maps: [], programs: [], interfaces: ['lxc9', 'gone0'], cgroup: true }),
  };
  before(async () => {
    await ip([`netns add ${name}`]);
    await ip(['link add up0 type veth peer name up1', 'link add lxc9 type veth peer name lxc8'], { netns });
  });
  after(() => removeNetns([name]));

  test('attaches to what leads outside, also again, and detaches from what is gone, of an earlier agent too', async () => {
    const devices = createHostDevices(netns, datapath);
    assert.deepEqual((await devices.refresh()).attached.toSorted(), ['up0', 'up1']);
    assert.deepEqual(calls.splice(0).toSorted(), ['+up0', '+up1', '-gone0']);
    await devices.refresh();
    assert.deepEqual(calls.splice(0).toSorted(), ['+up0', '+up1']);
    await ip(['link set up1 name up3'], { netns });
    await devices.refresh();
    assert.equal(calls[0], '-up1', 'before its new name is attached');
    assert.deepEqual(calls.splice(0).toSorted(), ['+up0', '+up3', '-up1']);
    await ip(['link del up0'], { netns });
    assert.deepEqual(await devices.refresh(), { attached: [], problems: [], unjudged: [] });
    assert.deepEqual(calls.splice(0).toSorted(), ['-up0', '-up3']);
  });

  test('says which device refuses, and does the others', async () => {
    const devices = createHostDevices(netns, datapath);
    await ip(['link add up0 type veth peer name up1'], { netns });
    for (const what of ['+up0', '-gone0']) refused.add(what);
    const problems = ['Cannot stop policing device "gone0": refused', 'Cannot police device "up0": refused'];
    assert.deepEqual(await devices.refresh(), { attached: ['up1'], problems, unjudged: [] });
    refused.clear();
    calls.splice(0);
    const { attached, problems: left } = await devices.refresh();
    assert.deepEqual([attached.toSorted(), left], [['up0', 'up1'], []]);
    assert.deepEqual(calls.splice(0).toSorted(), ['+up0', '+up1', '-gone0'], 'what failed is tried again');
    await ip(['link del up0'], { netns });
  });

  for (const path of ['/proc/self/ns/net', '/run/netns/other', '/run/netns']) {
    test(`refuses ${path}`, async () => {
      await assert.rejects(createHostDevices(path, datapath).refresh(), /it is not Weir's/);
      assert.deepEqual(calls, []);
    });
  }
});
