// Every single write of random updates, and after each of them every request: does the mesh let pass what neither the
// state before the update nor the one after it lets pass? Does it refuse what both let pass?

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { type Address, address, formatAddress } from '#common/ip.ts';
import type { DirectionRule, PolicyObject } from '#mesh-config/model.ts';
import { createScene, resolverEndpoint, type Scene } from '../compute/scene.fixture.ts';
import { type FakeKernel, fakeKernel, type Request } from './kernel.fixture.ts';
import { createSync } from './sync.ts';

const UPDATES = 250;
const PODS = ['a', 'b', 'c'];
const PORTS = [80, 90];
const METHODS = ['GET', 'POST'];

// Seeded (mulberry32), so that a failure can be repeated.
function random(seed: number): (below: number) => number {
  let a = seed;
  return (below) => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * below);
  };
}

const SELECTORS = [
  '{}',
  '{ matchLabels: { x: "0" } }',
  '{ matchLabels: { x: "1" } }',
  '{ matchLabels: { y: "1" } }',
  '{ matchLabels: { "k8s:io.kubernetes.pod.namespace": kube-system } }',
  '{ matchLabels: { "io.cilium.k8s.namespace.labels.env": "0" } }',
];
const toPorts = (port: string, rules = ''): string => `toPorts: [{ ports: [{ ${port}, protocol: TCP }]${rules} }]`;
const http = (method: string): string => `, rules: { http: [{ method: ${method} }] }`;
const PORT_LISTS = [
  '',
  toPorts('port: "80"'),
  toPorts('port: "80"', http('GET')),
  toPorts('port: "80"', http('POST')),
  toPorts('port: "0"'),
  toPorts('port: "80", endPort: 95'),
];

function randomPolicy(name: string, pick: (below: number) => number): string {
  const one = <T>(list: readonly T[]): T => list[pick(list.length)] as T;
  const item = (peers: string): string => {
    const parts = [pick(3) > 0 ? `${peers}: [${one(SELECTORS)}]` : '', one(PORT_LISTS)];
    return `{ ${parts.filter((part) => part !== '').join(', ')} }`;
  };
  const list = (peers: string): string => `[${Array.from({ length: 1 + pick(2) }, () => item(peers)).join(', ')}]`;
  const directions = pick(3);
  return `
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: { name: ${name} }
spec:
  endpointSelector: ${one(SELECTORS.slice(0, 4))}
  ${pick(4) === 0 ? 'enableDefaultDeny: { ingress: false, egress: false }' : ''}
  ${directions !== 1 ? `ingress: ${list('fromEndpoints')}` : ''}
  ${directions !== 0 ? `egress: ${list('toEndpoints')}` : ''}
`;
}

// What users cannot write yet: some items of the policy become deny rules.
function denySome(scene: Scene, name: string, pick: (below: number) => number): string {
  const table = scene.tables.inputs.policies;
  const policy = table.get(`default/${name}`) as PolicyObject;
  const deny = (items: readonly DirectionRule[] | undefined): readonly DirectionRule[] | undefined =>
    items?.map((item) => ({ ...item, deny: pick(5) === 0 }));
  const rules = policy.rules.map((r) => ({ ...r, ingress: deny(r.ingress), egress: deny(r.egress) }));
  table.set(`default/${name}`, { ...policy, rules });
  return JSON.stringify(rules.map((r) => [r.ingress?.map((i) => i.deny), r.egress?.map((i) => i.deny)]));
}

/** One or more random edits. Returns what they were. */
function edit(scene: Scene, pick: (below: number) => number): string {
  const done: string[] = [];
  for (let n = 1 + pick(3); n > 0; n--) {
    const name = `p${pick(3)}`;
    const pod = PODS[pick(PODS.length)] ?? 'a';
    switch (pick(8)) {
      case 0:
        scene.remove('policy', `default/${name}`);
        done.push(`remove ${name}`);
        break;
      case 1:
        if (pick(3) > 0) break;
        scene.remove('pod', `default/${pod}`);
        done.push(`remove ${pod}`);
        break;
      case 2: {
        const labels = `{ x: "${pick(2)}", y: "${pick(2)}" }`;
        scene.put(
          `{ apiVersion: v1, kind: Pod, metadata: { name: ${pod}, labels: ${labels} }, spec: { containers: [{ name: c, image: i, command: [c] }] } }`,
        );
        done.push(`${pod} ${labels}`);
        break;
      }
      case 3: {
        const env = pick(2);
        scene.put(`{ apiVersion: v1, kind: Namespace, metadata: { name: kube-system, labels: { env: "${env}" } } }`);
        done.push(`kube-system ${env}`);
        break;
      }
      default: {
        const text = randomPolicy(name, pick);
        scene.put(text);
        done.push(text, denySome(scene, name, pick));
      }
    }
  }
  return done.join('\n');
}

function requests(): readonly Request[] {
  const pods = PODS.map((_, i) => address(`10.244.0.${10 + i}`));
  const all: readonly Address[] = [...pods, address('10.244.0.2'), address('192.0.2.1')];
  const pairs = all.flatMap((from) => all.filter((to) => to !== from).map((to) => ({ from, to })));
  return pairs.flatMap((pair) => PORTS.flatMap((port) => METHODS.map((method) => ({ ...pair, port, method }))));
}

/** How each endpoint and address is known now: whoever changes in an update may be out for its duration. */
function known(scene: Scene, kernel: FakeKernel): ReadonlyMap<string, string> {
  const ids = [...kernel.maps.endpoint_addrs.entries()] as unknown as [
    Address,
    { identity: number; ifindex: number },
  ][];
  const resolver = scene.compute.identityOf('kube-system/resolver');
  return new Map([
    ...ids.map(([ip, e]): [string, string] => [formatAddress(ip), `${e.identity} ${e.ifindex}`]),
    ['10.244.0.2', String(resolver)],
  ]);
}

it('no write of an update lets pass what neither state does, or refuses what both let pass', async () => {
  const pick = random(Number(process.env.SEED ?? 7));
  using scene = createScene();
  const kernel = fakeKernel();
  const sync = createSync({
    tables: scene.tables,
    maps: kernel.maps,
    proxies: kernel.proxiesFor(scene.tables),
    conntrack: { purge: async () => 0 },
    config: { workerSlots: 1, proxyMark: 1, steerMark: 2, dropEventsPerSecond: 10, flags: 0 },
  });
  scene.tables.inputs.endpoints.set('kube-system/resolver', resolverEndpoint());
  for (const name of PODS) {
    scene.put(
      `{ apiVersion: v1, kind: Pod, metadata: { name: ${name}, labels: { x: "0" } }, spec: { containers: [{ name: c, image: i, command: [c] }] } }`,
    );
  }
  kernel.interfaceOf = (ip) => (/^10\.244\.0\.1[0-2]$/.test(ip) ? Number(ip.slice(9)) + 100 : undefined);
  scene.compute.step();
  await sync.apply();
  const all = requests();
  const steps = { count: 0, checked: 0 };

  for (let update = 0; update < UPDATES; update++) {
    const before = all.map(kernel.passes);
    const wasKnown = known(scene, kernel);
    const text = edit(scene, pick);
    if (!scene.compute.step()) continue;
    // The steps are recorded and judged once the new state is known.
    const seen: boolean[][] = [];
    kernel.onStep = () => void seen.push(all.map(kernel.passes));
    assert.equal(
      (await sync.apply()).complete,
      true,
      JSON.stringify([sync.pending(), text, sync.maps().map((m) => m.lastError)]),
    );
    kernel.onStep = undefined;
    const after = all.map(kernel.passes);
    const isKnown = known(scene, kernel);
    const steady = ({ from, to }: Request): boolean =>
      [from, to].map(formatAddress).every((ip) => wasKnown.get(ip) === isKnown.get(ip));
    for (const [step, verdicts] of seen.entries()) {
      for (const [i, passes] of verdicts.entries()) {
        const request = all[i] as Request;
        const where = (): string =>
          `update ${update} step ${step} of ${seen.length}: ${request.method} ${formatAddress(request.from)} -> ${formatAddress(request.to)}:${request.port} was ${before[i]}, will be ${after[i]}, is ${passes} after\n${text}`;
        if (passes && !before[i] && !after[i]) assert.fail(`wider: ${where()}`);
        if (!passes && before[i] && after[i] && steady(request)) assert.fail(`refused: ${where()}`);
      }
    }
    steps.count += seen.length;
    steps.checked++;
  }
  sync.close();
  assert.ok(steps.count > 2000 && steps.checked > UPDATES / 2, JSON.stringify(steps));
});
