// Loading, adopting, attaching and detaching: what outlives the agent, and what it finds when it comes back.
//
//   client 10.244.0.10  --lxca--> node <--lxcb--  server 10.244.0.11

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { ifindex } from '#common/ids.ts';
import { address } from '#common/ip.ts';
import { linkInfo, lookup, openPinned, update } from '#common/native/libbpf.ts';
import { close, mapShared, PROT } from '#common/native/libc.ts';
import { nodeConfig } from './abi.ts';
import { u32 } from './codec.ts';
import { type Datapath, openDatapath } from './loader.ts';
import { CLIENT, createScene, type Scene, SERVER } from './testing/scene.ts';
import { accept, connect, connected, type Socket, serve } from './testing/sockets.ts';
import { type Pod, sh } from './testing/topology.ts';

const WITHOUT_TCX = 'this kernel has no tcx';

let scene: Scene;
let hasTcx: boolean;
before(async () => {
  scene = await createScene('life');
  hasTcx = scene.topology.datapath.pinned().interfaces.length > 0;
});
after(() => scene?.[Symbol.dispose]());
beforeEach(() => scene.reset());

const inside = (pod: Pod): { netns: string } => ({ netns: `/run/netns/${pod.netns}` });
const again = (change: Partial<Parameters<typeof openDatapath>[0]> = {}): Datapath =>
  openDatapath({ bpffs: scene.topology.bpffs, ...change });

/** Interface index, cgroup id and program id behind a pinned link. */
function inspect(...path: string[]): ReturnType<typeof linkInfo> | undefined {
  const fd = openPinned(join(scene.topology.bpffs, ...path));
  if (fd === undefined) return undefined;
  try {
    return linkInfo(fd);
  } finally {
    close(fd);
  }
}

/** Program ids by the name of their pin. */
function programIds(bpffs: string): Record<string, number> {
  const names = readdirSync(join(bpffs, 'programs')).sort();
  return Object.fromEntries(
    names.map((name) => [name, JSON.parse(sh(`bpftool -j prog show pinned ${join(bpffs, 'programs', name)}`)).id]),
  );
}

/** As if the programs that are pinned came from other object files. */
function forgetBuild(bpffs: string, object: string): void {
  const mark = readdirSync(join(bpffs, 'loaded')).find((name) => name.startsWith(`${object}-`)) ?? '';
  rmdirSync(join(bpffs, 'loaded', mark));
  mkdirSync(join(bpffs, 'loaded', `${object}-0`));
}

/** Ids of the programs that police a pod: behind its links, or behind its filters where there is no tcx. */
function programsOf({ device }: Pod): number[] {
  if (hasTcx) return ['from_pod', 'to_pod'].map((name) => inspect('interfaces', device, name)?.program ?? Number.NaN);
  return ['ingress', 'egress'].map((hook) => Number(/ id (\d+)/.exec(sh(`tc filter show dev ${device} ${hook}`))?.[1]));
}

function pair(port: number): { client: Socket; server: Socket } {
  using listener = serve(SERVER.ip4, port, inside(scene.server));
  const client = connected(SERVER.ip4, port, inside(scene.client));
  return { client, server: accept(listener) };
}

/** "" if the server can be reached, else the errno. */
function reach(port: number): string {
  using _listener = serve(SERVER.ip4, port, inside(scene.server));
  const socket = connect(SERVER.ip4, port, { ...inside(scene.client), timeoutMs: 400 });
  if (typeof socket === 'string') return socket;
  socket[Symbol.dispose]();
  return '';
}

describe('openDatapath', () => {
  test('a second start of the same build adopts maps, links and programs', () => {
    const links = [`interfaces/${scene.client.device}/from_pod`, `interfaces/${scene.client.device}/to_pod`];
    const before = links.map((link) => inspect(link));
    const programs = programIds(scene.topology.bpffs);
    using second = again();
    assert.deepEqual(
      links.map((link) => inspect(link)),
      before,
    );
    assert.deepEqual(programIds(scene.topology.bpffs), programs);
    assert.ok(programs.from_pod !== undefined && second.pinned().programs.includes('from_pod'));
  });

  test('a start that finds a program gone loads all of its object', () => {
    const programs = programIds(scene.topology.bpffs);
    unlinkSync(join(scene.topology.bpffs, 'programs/to_pod'));
    using _second = again();
    const now = programIds(scene.topology.bpffs);
    assert.deepEqual(Object.keys(now), Object.keys(programs));
    for (const [name, id] of Object.entries(now)) assert.equal(id === programs[name], !name.endsWith('_pod'), name);
  });

  test('the programs of devices are loaded when they are wanted, and adopted from then on', () => {
    using fresh = again();
    assert.equal(fresh.pinned().programs.includes('to_network'), false);
    assert.ok(fresh.programFd('to_network') > 0);
    const programs = programIds(scene.topology.bpffs);
    forgetBuild(scene.topology.bpffs, 'host');
    using _next = again();
    const now = programIds(scene.topology.bpffs);
    assert.notEqual(now.to_network, programs.to_network, 'another build replaces them at once');
    for (const name of ['from_network', 'to_network']) unlinkSync(join(scene.topology.bpffs, 'programs', name));
  });

  test('a start of another build adopts maps and links, replaces the programs, and no connection notices', () => {
    scene.allowAll();
    const { client, server } = pair(9001);
    client.send('before');
    assert.equal(server.receive(), 'before');
    const programs = programsOf(scene.client);
    const entries = scene.topology.datapath.maps.conntrack.count();
    forgetBuild(scene.topology.bpffs, 'pod');
    using second = again();
    assert.equal(second.maps.conntrack.count(), entries);
    // A filter keeps its program: the agent attaches every pod that it finds.
    for (const pod of hasTcx ? [] : [scene.client, scene.server]) second.attachInterface(pod.device, pod.ifindex);
    programsOf(scene.client).forEach((program, i) => {
      assert.ok(program > 0);
      assert.notEqual(program, programs[i]);
    });
    if (hasTcx) assert.equal(inspect('interfaces', scene.client.device, 'to_pod')?.ifindex, scene.client.ifindex);
    client.send('after');
    assert.equal(server.receive(), 'after');
    client[Symbol.dispose]();
    server[Symbol.dispose]();
    const linked = hasTcx ? [scene.client.device, scene.server.device] : [];
    assert.deepEqual(second.pinned().interfaces.sort(), linked.sort());
    assert.equal(second.pinned().programs.filter((name) => name.endsWith('_new')).length, 0);
  });

  test('a pinned map of another shape is an error that says which and how', () => {
    assert.throws(() => again({ sizes: { conntrack: 4096 } }), /Cannot adopt map "conntrack": .* maxEntries 131072/);
  });

  test('a directory that is no bpffs is refused', () => {
    assert.throws(() => again({ bpffs: '/tmp' }), /\/tmp is not a mounted bpffs/);
    assert.throws(() => again({ bpffs: '/tmp/weir-nowhere' }), /is not a mounted bpffs/);
  });
});

describe('attachInterface', () => {
  test('attaching again changes nothing but the program', (t) => {
    if (!hasTcx) return t.skip(WITHOUT_TCX);
    const { datapath } = scene.topology;
    const before = inspect('interfaces', scene.client.device, 'from_pod');
    datapath.attachInterface(scene.client.device, scene.client.ifindex);
    assert.deepEqual(inspect('interfaces', scene.client.device, 'from_pod'), before);
  });

  test('an interface that came back under its old name gets links of its own', (t) => {
    if (!hasTcx) return t.skip(WITHOUT_TCX);
    const { datapath } = scene.topology;
    const create = (): number => {
      sh('ip link add lxcz type veth peer name lxczp');
      return JSON.parse(sh('ip -j link show lxcz'))[0].ifindex;
    };
    const first = create();
    datapath.attachInterface('lxcz', ifindex(first));
    sh('ip link del lxcz');
    assert.equal(inspect('interfaces/lxcz/to_pod')?.ifindex, 0);
    using _second = again(); // a link without an interface is in nobody's way
    const second = create();
    datapath.attachInterface('lxcz', ifindex(second));
    assert.equal(inspect('interfaces/lxcz/to_pod')?.ifindex, second);
    sh('ip link del lxcz');
    datapath.detachInterface('lxcz');
    assert.ok(!datapath.pinned().interfaces.includes('lxcz'));
    datapath.detachInterface('lxcz'); // and once more
  });

  test('an interface that does not exist leaves nothing behind', () => {
    assert.throws(() => scene.topology.datapath.attachInterface('lxcnone', ifindex(99999)), /Cannot (?:attach|run tc)/);
    assert.equal(existsSync(join(scene.topology.bpffs, 'interfaces/lxcnone')), false);
  });

  test('clsact polices as tcx does, and either gives way to the other', () => {
    using classic = again({ attachMode: 'clsact' });
    for (const pod of [scene.client, scene.server]) {
      assert.equal(classic.attachInterface(pod.device, pod.ifindex), 'clsact');
      assert.match(sh(`tc filter show dev ${pod.device} ingress`), /from_pod/);
      assert.match(sh(`tc filter show dev ${pod.device} egress`), /to_pod/);
    }
    assert.deepEqual(classic.pinned().interfaces, []);
    assert.equal(reach(9002), 'EINPROGRESS');
    scene.allowAll();
    assert.equal(reach(9003), '');
    const { client, server } = pair(9004);
    for (const pod of [scene.client, scene.server]) classic.attachInterface(pod.device, pod.ifindex); // replaced in place
    client.send('still here');
    assert.equal(server.receive(), 'still here');
    client[Symbol.dispose]();
    server[Symbol.dispose]();
    for (const pod of [scene.client, scene.server]) {
      assert.equal(scene.topology.datapath.attachInterface(pod.device, pod.ifindex), hasTcx ? 'tcx' : 'clsact');
      assert.equal(sh(`tc qdisc show dev ${pod.device} clsact`).trim() === '', hasTcx);
    }
    scene.rule(CLIENT.identity, 'egress', 'deny');
    assert.equal(reach(9005), 'EINPROGRESS');
  });

  test('detached interfaces are not policed', () => {
    const { datapath } = scene.topology;
    for (const pod of [scene.client, scene.server]) datapath.detachInterface(pod.device);
    assert.equal(reach(9006), '');
    for (const pod of [scene.client, scene.server]) datapath.attachInterface(pod.device, pod.ifindex);
    assert.equal(reach(9007), 'EINPROGRESS');
  });
});

describe('attachCgroup', () => {
  test('a cgroup that came back under its old name gets links of its own, detaching removes them', () => {
    const { datapath, cgroup } = scene.topology;
    const path = `${cgroup}-again`;
    mkdirSync(path);
    datapath.attachCgroup(path);
    const first = inspect('cgroup/connect4')?.cgroupId;
    rmdirSync(path);
    mkdirSync(path);
    try {
      datapath.attachCgroup(path);
      assert.notEqual(inspect('cgroup/connect4')?.cgroupId, first);
      assert.notEqual(inspect('cgroup/connect4')?.cgroupId, 0n);
      assert.equal(datapath.pinned().cgroup, true);
      datapath.detachCgroup();
      assert.equal(datapath.pinned().cgroup, false);
    } finally {
      rmdirSync(path);
    }
  });
});

describe('maps', () => {
  test('a read-only descriptor reads and does not write, not even through memory', () => {
    const { datapath } = scene.topology;
    const config = datapath.readOnlyFd('node_config');
    try {
      assert.throws(() => update(config, u32.encode(0), new Uint8Array(nodeConfig.size)), /EPERM/);
      const bytes = new Uint8Array(nodeConfig.size);
      assert.equal(lookup(config, u32.encode(0), bytes), true);
      assert.equal(nodeConfig.decode(bytes).revision, datapath.maps.node_config.get(0)?.revision);
      assert.throws(() => mapShared({ fd: config, sizeBytes: 4096, protection: PROT.READ | PROT.WRITE }));
    } finally {
      close(config);
    }
  });

  test('every entry of a large map is seen, of hash and of prefix maps', () => {
    const { backends, identities } = scene.topology.datapath.maps;
    const ip = address('192.0.2.1');
    for (let id = 1; id <= 3000; id++) backends.set(id, { ip, port: id, protocol: 6, flags: 0 });
    const seen = new Set(backends.entries().map(([id, value]) => (id === value.port ? id : 0)));
    assert.equal(seen.size, 3000);
    assert.equal(backends.count(), 3000);
    for (let id = 1; id <= 3000; id++) assert.equal(backends.delete(id), true);
    assert.equal(backends.delete(1), false);
    assert.equal(backends.get(1), undefined);
    const before = identities.count();
    for (let i = 0; i < 1500; i++) {
      identities.set({ prefixlen: 128, ip: address(`198.51.${i >> 8}.${i & 255}`) }, { identity: i, flags: 0 });
    }
    assert.equal(identities.count(), before + 1500);
    assert.equal(identities.entries().length, before + 1500);
  });

  test('a full map says so', () => {
    const { endpoints } = scene.topology.datapath.maps;
    const fill = (): void => {
      for (let i = 0; i <= endpoints.capacity; i++) endpoints.set(1_000_000 + i, scene.client.endpoint);
    };
    assert.throws(fill, { code: 'E2BIG', message: 'Cannot write map entry: E2BIG' });
    for (const [key] of endpoints.entries()) if (key >= 1_000_000) endpoints.delete(key);
  });
});
