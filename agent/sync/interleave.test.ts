// Every single write of random updates, and after each of them every request: does the mesh let pass what neither the
// state before the update nor the one after it lets pass? Does it refuse what both let pass?

import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { PolicyKey, PolicyValue, SubjectValue } from '#bpf/abi.ts';
import { type Address, address, formatAddress } from '#common/ip.ts';
import { edit, podYaml, random } from '../compute/random.fixture.ts';
import { createScene, resolverEndpoint, type Scene } from '../compute/scene.fixture.ts';
import { CONFIG, type FakeKernel, fakeKernel, type Request } from './kernel.fixture.ts';
import { createSync, type Sync } from './sync.ts';

const UPDATES = 250;
const PODS = ['a', 'b', 'c'];
const PORTS = [80, 90];
const METHODS = ['GET', 'POST'];

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
    config: CONFIG,
  });
  scene.tables.inputs.endpoints.set('kube-system/resolver', resolverEndpoint());
  for (const name of PODS) scene.put(podYaml(name, { x: '0' }));
  kernel.interfaceOf = (ip) => (/^10\.244\.0\.1[0-2]$/.test(ip) ? Number(ip.slice(9)) + 100 : undefined);
  scene.compute.step();
  await sync.apply();
  const all = requests();
  const steps = { count: 0, checked: 0 };

  for (let update = 0; update < UPDATES; update++) {
    const before = all.map(kernel.passes);
    const wasKnown = known(scene, kernel);
    const text = edit(scene, pick, { pods: PODS, policies: 3 });
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

it('ends right when the tables change while an update is being carried out', async () => {
  const pick = random(11);
  using scene = createScene();
  const kernel = fakeKernel();
  let quiet = false;
  const change = (): void => {
    if (quiet || pick(3) > 0) return;
    edit(scene, pick, { pods: PODS, policies: 3 });
    scene.compute.step();
  };
  const start = (target: FakeKernel): Sync => {
    const proxies = target.proxiesFor(scene.tables);
    return createSync({
      tables: scene.tables,
      maps: target.maps,
      config: CONFIG,
      proxies: {
        publish(what) {
          change();
          return proxies.publish(what);
        },
      },
      conntrack: {
        async purge() {
          change();
          return 0;
        },
      },
    });
  };
  const sync = start(kernel);
  for (let update = 0; update < UPDATES; update++) {
    edit(scene, pick, { pods: PODS, policies: 3 });
    scene.compute.step();
    await sync.apply();
  }
  quiet = true;
  assert.equal((await sync.apply()).complete, true);
  sync.close();
  assert.equal(kernel.maps.policy.size, entriesInForce(kernel).length, 'no edition is left over');

  const fresh = fakeKernel();
  const other = start(fresh);
  await other.apply();
  other.close();
  assert.deepEqual(entriesInForce(kernel), entriesInForce(fresh));
  const rows = (of: FakeKernel, map: 'identities' | 'endpoints' | 'endpoint_addrs'): readonly string[] =>
    of.maps[map]
      .entries()
      .map((row) => JSON.stringify(row))
      .sort();
  for (const map of ['identities', 'endpoints', 'endpoint_addrs'] as const) {
    assert.deepEqual(rows(kernel, map), rows(fresh, map), map);
  }
  const all = requests();
  assert.deepEqual(all.map(kernel.passes), all.map(fresh.passes));
});

/** Entries by who is asked, whatever the number of their edition. */
function entriesInForce({ maps }: FakeKernel): readonly string[] {
  const names = new Map<number, string>();
  for (const [id, { ingress, egress }] of maps.subjects.entries() as readonly (readonly [number, SubjectValue])[]) {
    assert.deepEqual([ingress.also, egress.also], [0, 0]);
    names.set(ingress.edition, `${id} ingress`);
    names.set(egress.edition, `${id} egress`);
  }
  return (maps.policy.entries() as readonly (readonly [PolicyKey, PolicyValue])[])
    .map(([{ edition, ...key }, value]) => JSON.stringify([names.get(edition), key, value]))
    .sort();
}
