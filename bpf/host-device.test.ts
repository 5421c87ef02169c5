// The node's own policy on a real device: connections that live while it begins, a node that shuts itself off, attaching.
//
//   server 10.244.0.11 <--lxcb-- node 192.0.2.1 --up0-- outside: A 192.0.2.7, B 192.0.2.8

import assert from 'node:assert/strict';
import { readdirSync, renameSync } from 'node:fs';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { address } from '#common/ip.ts';
import * as abi from './abi.ts';
import { openDatapath } from './loader.ts';
import { createScene, FAMILIES, type Family, type Scene, SERVER } from './testing/scene.ts';
import { accept, connect, connected, type Socket, serve } from './testing/sockets.ts';
import { sh } from './testing/topology.ts';
import { createUplink, HOST_A, HOST_B, IDENTITY_HOST, NODE, type Uplink } from './testing/uplink.ts';

let scene: Scene;
let uplink: Uplink;
before(async () => {
  scene = await createScene('hostdev');
  uplink = createUplink(scene.topology);
});
after(() => {
  uplink?.[Symbol.dispose]();
  scene?.[Symbol.dispose]();
});
beforeEach(() => {
  scene.reset();
  uplink.publish();
  scene.topology.datapath.attachDevice(uplink.device, uplink.ifindex);
});
afterEach(() => scene.topology.datapath.detachDevice(uplink.device));

const ip = (of: { ip4: string; ip6: string }, family: Family): string => (family === 4 ? of.ip4 : of.ip6);
const outside = (): { netns: string } => ({ netns: `/run/netns/${uplink.netns}` });
const { NODE_HOST_INGRESS: INGRESS, NODE_HOST_EGRESS: EGRESS } = abi;
const enforce = (flags: number): void => scene.revise({ flags: abi.NODE_VERDICT_EVENTS | flags });
const talks = (one: Socket, other: Socket): void => {
  assert.equal(one.send('ping'), '');
  assert.equal(other.receive(), 'ping');
  assert.equal(other.send('pong'), '');
  assert.equal(one.receive(), 'pong');
};

for (const family of FAMILIES) {
  describe(`IPv${family}`, () => {
    test('a connection to the node goes on under a policy that allows it, and ends under one that does not', () => {
      using listener = serve(ip(NODE, family), 8022);
      using client = connected(ip(NODE, family), 8022, outside());
      using server = accept(listener);
      talks(client, server);
      scene.rule(IDENTITY_HOST, 'ingress', 'allow', { protocol: 6, port: 8022 });
      enforce(INGRESS | EGRESS);
      // Whoever speaks first now, it is a connection to the node's port.
      talks(server, client);
      talks(client, server);
      scene.rule(IDENTITY_HOST, 'ingress', 'deny', { protocol: 6, port: 8022 });
      assert.equal(client.send('more'), '');
      assert.equal(server.receive(), '<EAGAIN>');
    });

    test('a connection of the node goes on while nobody may come in', () => {
      using listener = serve(ip(HOST_A, family), 8443, outside());
      using client = connected(ip(HOST_A, family), 8443);
      using server = accept(listener);
      talks(client, server);
      enforce(INGRESS);
      talks(server, client);
      using other = serve(ip(NODE, family), 8444);
      assert.equal(connect(ip(NODE, family), 8444, { ...outside(), timeoutMs: 300 }), 'EINPROGRESS');
      assert.ok(other);
    });

    test('a node that allows itself nothing still has its API server, its name server, and its pods', () => {
      const { lifelines } = scene.topology.datapath.maps;
      lifelines.set({ ip: address(ip(HOST_A, family)), port: 0, protocol: 6 }, 1);
      lifelines.set({ ip: address(ip(HOST_B, family)), port: 53, protocol: 17 }, 1);
      scene.rule(SERVER.identity, 'ingress', 'allow', { peer: IDENTITY_HOST });
      enforce(INGRESS | EGRESS);
      using api = serve(ip(HOST_A, family), 6443, outside());
      using toApi = connected(ip(HOST_A, family), 6443);
      using asApi = accept(api);
      talks(toApi, asApi);
      using dns = serve(ip(HOST_B, family), 53, { ...outside(), type: 'udp' });
      using resolver = connected(ip(HOST_B, family), 53, { type: 'udp' });
      resolver.send('question');
      assert.equal(dns.receive(), 'question');
      using pod = serve(ip(SERVER, family), 8080, { netns: `/run/netns/${scene.server.netns}` });
      using probe = connected(ip(SERVER, family), 8080);
      using inPod = accept(pod);
      talks(probe, inPod);
      using elsewhere = serve(ip(HOST_B, family), 6443, outside());
      assert.equal(connect(ip(HOST_B, family), 6443, { timeoutMs: 300 }), 'EINPROGRESS');
      assert.ok(elsewhere);
    });
  });
}

describe('attachDevice', () => {
  const filters = (): string =>
    sh(`tc filter show dev ${uplink.device} ingress; tc filter show dev ${uplink.device} egress`);

  test('survives a new start, and is undone without a trace', () => {
    using again = openDatapath({ bpffs: scene.topology.bpffs });
    const isAttached = (): boolean =>
      again.pinned().interfaces.includes(uplink.device) || filters().includes('_network');
    assert.ok(isAttached());
    enforce(INGRESS);
    using _listener = serve(NODE.ip4, 8025);
    assert.equal(connect(NODE.ip4, 8025, { ...outside(), timeoutMs: 300 }), 'EINPROGRESS');
    again.detachDevice(uplink.device);
    assert.ok(!isAttached());
    const reached = connect(NODE.ip4, 8025, outside());
    assert.ok(typeof reached !== 'string', String(reached));
    reached[Symbol.dispose]();
  });

  // What /sys shows belongs to the namespace in which it was mounted.
  const elsewhere = readdirSync('/sys/class/net').find((name) => !['lo', 'up0'].includes(name));
  test('is undone for a device that is gone, also if the machine has one of that name', {
    skip: elsewhere === undefined && 'the machine has no device',
  }, () => {
    assert.throws(() => sh(`ip link show ${elsewhere}`), 'the node has none');
    scene.topology.datapath.detachDevice(elsewhere ?? '');
  });

  test('again that fails leaves the device policed', () => {
    const program = `${scene.topology.bpffs}/programs/to_network`;
    renameSync(program, `${program}_away`);
    try {
      assert.throws(() => scene.topology.datapath.attachDevice(uplink.device, uplink.ifindex), /nothing is pinned/);
    } finally {
      renameSync(`${program}_away`, program);
    }
    enforce(INGRESS | EGRESS);
    using _listener = serve(NODE.ip4, 8027);
    assert.equal(connect(NODE.ip4, 8027, { ...outside(), timeoutMs: 300 }), 'EINPROGRESS');
    assert.equal(connect(HOST_A.ip4, 8027, { timeoutMs: 300 }), 'EINPROGRESS');
  });

  test('with clsact leaves what others have put there', () => {
    using old = openDatapath({ bpffs: scene.topology.bpffs, attachMode: 'clsact' });
    sh(`tc qdisc replace dev ${uplink.device} clsact`);
    const other = `${scene.topology.bpffs}/programs/from_pod`;
    sh(`tc filter add dev ${uplink.device} ingress pref 7 bpf direct-action object-pinned ${other}`);
    assert.equal(old.attachDevice(uplink.device, uplink.ifindex), 'clsact');
    assert.match(filters(), /from_network[\s\S]*to_network/);
    enforce(INGRESS);
    using _listener = serve(NODE.ip4, 8026);
    assert.equal(connect(NODE.ip4, 8026, { ...outside(), timeoutMs: 300 }), 'EINPROGRESS');
    old.detachDevice(uplink.device);
    assert.doesNotMatch(filters(), /_network/);
    assert.match(filters(), /from_pod/);
    sh(`tc qdisc del dev ${uplink.device} clsact`);
  });
});
