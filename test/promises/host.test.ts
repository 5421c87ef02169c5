// A policy for the node itself, on a node with an uplink: what it allows and denies, what it cannot take away, and devices
// that come, go or refuse while it is in force.
//
//   client ──┐
//            ├── node :8080 :9100 ──up0── outside: friend, stranger, API server :6443, name server :53
//   server ──┘

import assert from 'node:assert/strict';
import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { nodeLayout } from '#agent/layout.ts';
import { run } from '#cli/demo/mesh.ts';
import { udpFrame } from '../frames.ts';
import { type KubeObject, needsRoot, pod, service, startTestMesh, type TestMesh } from '../mesh.ts';
import { createOutside, MACS, NODE, OUTSIDE, type Outside } from '../outside.ts';

const SUFFIX = 'h';
const NAME = `t${process.pid}${SUFFIX}`;
const FAMILIES = [4, 6] as const;
type Family = (typeof FAMILIES)[number];
const { api, friend, stranger, dns } = OUTSIDE;
const RESOLVER = { 4: '10.244.0.2', 6: 'fd00:10:244::2' };
/** More than the agent needs to hear of a device or a file. */
const NOTICED_MS = 5_000;
const WAIT_MS = 400;
/** An agent that starts on a machine that does other things, or a retry at its latest. */
const READY_MS = 60_000;

const port = (number: number): KubeObject => ({ ports: [{ port: String(number), protocol: 'TCP' }] });
const cidrs = (place: { readonly 4: string; readonly 6: string }): readonly string[] => [
  `${place[4]}/32`,
  `${place[6]}/128`,
];
const NODE_OBJECT = {
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: NAME, labels: { zone: 'edge' } },
  status: { addresses: FAMILIES.map((family) => ({ type: 'InternalIP', address: NODE[family] })) },
};
const apiServer = (family: Family): KubeObject => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name: `kubernetes-${family}`, labels: { 'kubernetes.io/service-name': 'kubernetes' } },
  addressType: `IPv${family}`,
  endpoints: [{ addresses: [api[family]] }],
});
/** The friend may reach port 8080, and the node the friend's port 443. */
const NODE_POLICY = {
  apiVersion: 'cilium.io/v2',
  kind: 'CiliumClusterwideNetworkPolicy',
  metadata: { name: 'edge' },
  spec: {
    nodeSelector: { matchLabels: { zone: 'edge' } },
    ingress: [{ fromCIDR: cidrs(friend), toPorts: [port(8080)] }],
    egress: [{ toCIDR: cidrs(friend), toPorts: [port(443)] }],
  },
};

describe('the node under policy', { skip: needsRoot }, () => {
  let mesh: TestMesh;
  let world: Outside;
  let datagrams: { readonly atNode: readonly string[]; readonly atServers: readonly string[] };
  before(async () => {
    const objects = [pod('client'), pod('server', ['server.ts', '80']), service('server', [80])];
    mesh = await startTestMesh([...objects, NODE_OBJECT, ...FAMILIES.map(apiServer)], { suffix: SUFFIX });
    world = await createOutside(NAME);
    await world.setNameServers(Object.values(dns));
    world.start(world.node, ['server.ts', '8080', '9100']);
    world.start(world.outside, ['server.ts', '53', '443', '6443', '8443']);
    datagrams = {
      atNode: world.start(world.node, ['udp.ts', '5000']).lines,
      atServers: world.start(world.outside, ['udp.ts', '53']).lines,
    };
    for (const [from, host] of [
      [world.outside, NODE[4]],
      [world.node, friend[4]],
    ] as const) {
      const number = host === NODE[4] ? 9100 : 443;
      await until('servers answer', async () => (await world.curl(from, { host, port: number })) === 200);
    }
  });
  after(async () => {
    try {
      await world?.[Symbol.asyncDispose]();
    } finally {
      await mesh?.[Symbol.asyncDispose]();
    }
  });

  const until = async (what: string, holds: () => Promise<boolean>): Promise<void> => {
    const deadline = performance.now() + NOTICED_MS;
    while (!(await holds())) {
      assert.ok(performance.now() < deadline, what);
      await sleep(50);
    }
  };
  const fromOutside = (family: Family, source: keyof typeof OUTSIDE, number: number) => (): Promise<number | string> =>
    world.curl(world.outside, { host: NODE[family], port: number, source: OUTSIDE[source][family] });
  const fromNode = (family: Family, to: keyof typeof OUTSIDE, number: number) => (): Promise<number | string> =>
    world.curl(world.node, { host: OUTSIDE[to][family], port: number });
  /** Requests of the client, all at once in one command. */
  const askFromClient = async (urls: readonly string[]): Promise<readonly (number | string)[]> => {
    const one = 'curl -s -o /dev/null --max-time 1.5 -w "$url %{http_code}\\n" "$url" &';
    const { stdout } = await mesh.exec('client', ['sh', '-c', `for url; do ${one} done; wait`, 'sh', ...urls]);
    const codes = new Map(stdout.split('\n').map((line) => line.split(' ') as [string, string]));
    return urls.map((url) => Number(codes.get(url)) || 'hangs');
  };

  /** Whether it passes while the policy is in force. */
  const flows = (family: Family): readonly (readonly [string, boolean, () => Promise<number | string>])[] => [
    ['friend -> node 8080', true, fromOutside(family, 'friend', 8080)],
    ['friend -> node 9100', false, fromOutside(family, 'friend', 9100)],
    ['stranger -> node 8080', false, fromOutside(family, 'stranger', 8080)],
    ['API server -> node 9100', false, fromOutside(family, 'api', 9100)],
    ['node -> friend 443', true, fromNode(family, 'friend', 443)],
    ['node -> friend 8443', false, fromNode(family, 'friend', 8443)],
    ['node -> friend 53', false, fromNode(family, 'friend', 53)],
    ['node -> friend 6443', false, fromNode(family, 'friend', 6443)],
    ['node -> API server 6443', true, fromNode(family, 'api', 6443)],
    ['node -> name server 53', true, fromNode(family, 'dns', 53)],
    ['node -> name server 443', false, fromNode(family, 'dns', 443)],
    [
      'node -> pod 80, a health check',
      true,
      async () => world.curl(world.node, { host: await mesh.address('server', family), port: 80 }),
    ],
    [
      'outside -> pod 80',
      true,
      async () => world.curl(world.outside, { host: await mesh.address('server', family), port: 80 }),
    ],
  ];
  const flowsOfClient = async (family: Family): Promise<readonly (readonly [string, boolean, string])[]> => {
    const url = (host: string, number: number): string => `http://${family === 4 ? host : `[${host}]`}:${number}/`;
    return [
      ['pod -> pod 80', true, url(await mesh.address('server', family), 80)],
      ['pod -> pod 80 by name', true, 'http://server/'],
      ['pod -> outside 8443', true, url(stranger[family], 8443)],
      ['pod -> node 8080', false, url(NODE[family], 8080)],
      ["pod -> resolver's address 8080", false, url(RESOLVER[family], 8080)],
    ];
  };
  const expectFlows = async (family: Family, isPoliced: boolean): Promise<void> => {
    const [direct, ofClient] = [flows(family), await flowsOfClient(family)];
    const outcomes = await Promise.all([
      askFromClient(ofClient.map(([, , url]) => url)),
      ...direct.map(([, , ask]) => ask()),
    ]);
    const all = [...ofClient, ...direct];
    assert.deepEqual(
      all.map(([what], index) => [what, outcomes.flat()[index]]),
      all.map(([what, passes]) => [what, passes || !isPoliced ? 200 : 'hangs']),
    );
  };
  const inForce = async (): Promise<void> => {
    await mesh.setPolicies([NODE_POLICY]);
    await until('name servers are known', async () => (await fromNode(4, 'dns', 53)()) === 200);
  };
  const expectPoliced = async (): Promise<void> => {
    for (const family of FAMILIES) {
      const asked = [fromOutside(family, 'friend', 8080), fromOutside(family, 'friend', 9100)];
      const found = await Promise.all([...asked, fromNode(family, 'friend', 8443)].map((ask) => ask()));
      assert.deepEqual(found, [200, 'hangs', 'hangs']);
    }
  };

  for (const family of FAMILIES) {
    test(`IPv${family}: everything passes without policy, what it says with one, and everything again without`, async () => {
      await mesh.setPolicies([]);
      await expectFlows(family, false);
      await inForce();
      await expectFlows(family, true);
      await mesh.setPolicies([]);
      await expectFlows(family, false);
    });

    test(`IPv${family}: datagrams reach the name server's port 53, and nobody else`, async () => {
      await inForce();
      const send = async (host: string): Promise<void> => {
        const target = `/dev/udp/${host}/53`;
        await run('ip', ['netns', 'exec', world.node, 'bash', '-c', `echo to-${host} >${target}`]);
      };
      for (const place of [api, friend, dns]) await send(place[family]);
      const heard = (): readonly string[] => datagrams.atServers.filter((line) => line.startsWith(NODE[family]));
      await until('the name server heard', async () => heard().length > 0);
      await sleep(WAIT_MS);
      assert.deepEqual(heard(), [`${NODE[family]} to-${dns[family]}`]);
    });

    test(`IPv${family}: a tag of no VLAN does not lead past the policy`, async () => {
      const ends = {
        sourceMac: MACS.outside,
        destinationMac: MACS.node,
        source: stranger[family],
        destination: NODE[family],
      };
      const heard = async (text: string): Promise<boolean> => {
        const frames = [udpFrame({ ...ends, vlan: 0 }, `${text} tagged`), udpFrame(ends, text)];
        const program = join(import.meta.dirname, '../programs/send-frame.ts');
        const { code, stderr } = await run('ip', [
          'netns',
          'exec',
          world.outside,
          process.execPath,
          program,
          ...frames,
        ]);
        assert.equal(code, 0, stderr);
        await sleep(WAIT_MS);
        const lines = datagrams.atNode.filter((line) => line.includes(text));
        assert.ok(lines.length === 0 || lines.length === 2, `${lines}`);
        return lines.length > 0;
      };
      await mesh.setPolicies([]);
      assert.equal(await heard(`open-${family}`), true);
      await inForce();
      assert.equal(await heard(`closed-${family}`), false);
    });
  }

  test('name servers follow the file', async () => {
    await inForce();
    await world.setNameServers([friend[4]]);
    await until('the new one is reached', async () => (await fromNode(4, 'friend', 53)()) === 200);
    assert.equal(await fromNode(4, 'dns', 53)(), 'hangs');
    await world.setNameServers(Object.values(dns));
    await until('the old one is reached', async () => (await fromNode(4, 'dns', 53)()) === 200);
    assert.equal(await fromNode(4, 'friend', 53)(), 'hangs');
  });

  test('a device that goes and comes again is policed again', async () => {
    await inForce();
    world.removeUplink();
    world.addUplink();
    await until('it is policed', async () => (await fromNode(4, 'friend', 8443)()) === 'hangs');
    await expectPoliced();
  });

  test('an agent that is killed leaves the node policed, and the next one finds the devices that came meanwhile', async () => {
    await inForce();
    const { pid } = await mesh.status();
    process.kill(pid, 'SIGKILL');
    await expectPoliced();
    await mesh.until('a new agent is ready', (status) => status.ready && status.pid !== pid, READY_MS);
    await expectPoliced();
    const second = (await mesh.status()).pid;
    process.kill(second, 'SIGKILL');
    world.removeUplink();
    world.addUplink();
    await mesh.until('a third agent is ready', (status) => status.ready && status.pid !== second, READY_MS);
    await expectPoliced();
  });

  test('a device that cannot be policed is seen, and is policed when it can be; the others stay so', async () => {
    await inForce();
    const program = join(nodeLayout(NAME, '').bpffs, 'programs', 'to_network');
    renameSync(program, `${program}_away`);
    try {
      world.addUplink('up9');
      const { components, message } = await mesh.until('it is seen', ({ ready }) => !ready);
      const node = components.find(({ name }) => name === 'node');
      assert.equal(node?.state, 'degraded');
      assert.match(node?.message ?? '', /Cannot police device "up9": .*to_network: nothing is pinned there/);
      assert.match(message, /up9/);
      const { stdout } = await mesh.weir(['status']);
      assert.match(stdout, /node +degraded +Cannot police device/);
      await expectPoliced();
    } finally {
      renameSync(`${program}_away`, program);
    }
    await mesh.until('it is policed', ({ ready }) => ready, READY_MS);
    assert.ok(existsSync(join(nodeLayout(NAME, '').bpffs, 'interfaces', 'up9', 'to_network')));
    world.removeUplink('up9');
    await until('it is forgotten', async () => !existsSync(join(nodeLayout(NAME, '').bpffs, 'interfaces', 'up9')));
  });

  test('"down" leaves nothing of the node or its uplink', async () => {
    await world.stop(); // a namespace in which something runs stays
    await mesh[Symbol.asyncDispose]();
    // The kernel takes a namespace apart after the call that removed it has returned.
    await until('the uplink is gone', async () => {
      const { stdout } = await run('ip', ['-n', world.outside, '-br', 'link']);
      return !stdout.includes('eth0');
    });
    assert.ok(!existsSync(`/run/netns/${world.node}`));
    assert.ok(!existsSync(`/run/weir/${NAME}`));
  });
});
