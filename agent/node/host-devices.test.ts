// Which devices lead outside, and attaching to them as they come and go.
//
//   netns weir-hd<pid>:  lo   up0 -- up1   lxc9 -- lxc8

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { formatAddress } from '#common/ip.ts';
import { createHostDevices, type Link, outsideDevices } from './host-devices.ts';
import { ip } from './ip.ts';
import { parseNameServers } from './name-servers.ts';
import { removeNetns } from './teardown.ts';

const link = (ifname: string, change: Partial<Link> = {}): Link => ({
  ifindex: 2,
  ifname,
  link_type: 'ether',
  ...change,
});
const DEVICES: readonly { readonly what: string; readonly link: Link; readonly outside: boolean }[] = [
  { what: 'an uplink', link: link('eth0'), outside: true },
  { what: 'loopback', link: link('lo', { link_type: 'loopback' }), outside: false },
  { what: "a pod's interface", link: link('lxc0123456789ab'), outside: false },
  { what: 'a port of a bridge', link: link('eth1', { master: 'br0' }), outside: false },
  { what: 'a tunnel without Ethernet headers', link: link('wg0', { link_type: 'none' }), outside: false },
];
for (const { what, link: one, outside } of DEVICES) {
  test(`outsideDevices ${outside ? 'takes' : 'leaves'} ${what}`, () => {
    assert.equal(outsideDevices([one]).length, outside ? 1 : 0);
  });
}

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
  const datapath = {
    attachDevice: (device: string) => {
      calls.push(`+${device}`);
      return 'tcx' as const;
    },
    detachDevice: (device: string) => void calls.push(`-${device}`),
  };
  before(async () => {
    await ip([`netns add ${name}`]);
    await ip(['link add up0 type veth peer name up1', 'link add lxc9 type veth peer name lxc8'], { netns });
  });
  after(() => removeNetns([name]));

  test('attaches once to what leads outside, and again to a device of the same name that is another', async () => {
    const devices = createHostDevices(netns, datapath);
    assert.deepEqual((await devices.refresh()).toSorted(), ['up0', 'up1']);
    assert.deepEqual(calls.splice(0).sort(), ['+up0', '+up1']);
    await devices.refresh();
    assert.deepEqual(calls, []);
    await ip(['link del up0'], { netns });
    assert.deepEqual(await devices.refresh(), []);
    assert.deepEqual(calls.splice(0).sort(), ['-up0', '-up1']);
    await ip(['link add up0 type veth peer name up2'], { netns });
    await devices.refresh();
    assert.deepEqual(calls.splice(0).sort(), ['+up0', '+up2']);
  });

  for (const path of ['/proc/self/ns/net', '/run/netns/other', '/run/netns']) {
    test(`refuses ${path}`, async () => {
      await assert.rejects(createHostDevices(path, datapath).refresh(), /it is not Weir's/);
      assert.deepEqual(calls, []);
    });
  }
});
