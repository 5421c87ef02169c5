import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe, it } from 'node:test';
import { type Identity, RESERVED } from '#common/ids.ts';
import { address, formatAddress } from '#common/ip.ts';
import { podYaml } from './random.fixture.ts';
import { createScene, resolverEndpoint, type Scene } from './scene.fixture.ts';

const PODS = ['deathstar', 'xwing'];
const POLICY = `
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: { name: l7 }
spec:
  endpointSelector: { matchLabels: { app: deathstar } }
  ingress: [{ toPorts: [{ ports: [{ port: "80", protocol: TCP }], rules: { http: [{ method: GET }] } }] }]
`;

function idOf(scene: Scene, name: string): Identity {
  const id = scene.compute.identityOf(`default/${name}`);
  assert.ok(id !== undefined, `${name} has no identity`);
  return id;
}

function put(scene: Scene): void {
  for (const name of PODS) scene.put(podYaml(name, { app: name }));
}

describe('numbers of compute', () => {
  it('gives equal labels one identity, follows namespace labels, and forgets what nobody has', () => {
    using scene = createScene();
    for (const [name, labels] of Object.entries({
      a: { app: 'x' },
      b: { app: 'x', 'pod-template-hash': '5f' },
      c: { app: 'y' },
    })) {
      scene.put(podYaml(name, labels));
    }
    scene.compute.step();
    assert.equal(idOf(scene, 'a'), idOf(scene, 'b'));
    assert.notEqual(idOf(scene, 'a'), idOf(scene, 'c'));
    const before = idOf(scene, 'a');
    scene.put('apiVersion: v1\nkind: Namespace\nmetadata: { name: default, labels: { env: prod } }');
    scene.compute.step();
    assert.notEqual(idOf(scene, 'a'), before);
    const row = scene.tables.desired.identities.get(String(idOf(scene, 'a')));
    assert.deepEqual(row?.labels, [
      'k8s:app=x',
      'k8s:io.cilium.k8s.namespace.labels.env=prod',
      'k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=default',
      'k8s:io.cilium.k8s.policy.cluster=default',
      'k8s:io.cilium.k8s.policy.serviceaccount=default',
      'k8s:io.kubernetes.pod.namespace=default',
    ]);
    assert.equal(scene.tables.desired.identities.get(String(before)), undefined);
    scene.remove('namespace', 'default');
    scene.compute.step();
    assert.equal(idOf(scene, 'a'), before, 'the number is remembered');
  });

  it('keeps all numbers over a restart', () => {
    using scene = createScene();
    put(scene);
    scene.put(POLICY);
    scene.put(
      'apiVersion: v1\nkind: Service\nmetadata: { name: s }\nspec: { selector: { app: deathstar }, ports: [{ port: 80 }] }',
    );
    scene.compute.step();
    const next = scene.restart();
    next.compute.step();
    for (const name of [
      'identities',
      'addresses',
      'policy',
      'rulesets',
      'cookies',
      'frontends',
      'backends',
      'dns',
    ] as const) {
      const sorted = (s: Scene): unknown => [...s.tables.desired[name].entries()].sort(([a], [b]) => (a < b ? -1 : 1));
      assert.deepEqual(sorted(next), sorted(scene), name);
    }
    assert.ok(scene.tables.desired.rulesets.size > 0 && scene.tables.desired.backends.size > 0);
  });

  it('refuses to start from a damaged state, instead of mixing up numbers', () => {
    using scene = createScene();
    put(scene);
    scene.compute.step();
    const whole = readFileSync(scene.statePath, 'utf8');
    const good = JSON.parse(whole);
    const [first, second] = Object.keys(good.identities.numbers) as [string, string];
    good.identities.numbers[first] = good.identities.numbers[second];
    for (const text of ['{', '{"version":2}', JSON.stringify(good), `${whole}{"identities":{}}\n`, `${whole}{\n`]) {
      writeFileSync(scene.statePath, text);
      assert.throws(() => scene.restart(), { code: 'WEIR_STATE_UNREADABLE' });
    }
  });

  it('writes only what has changed, and takes half a line for what was never used', () => {
    using scene = createScene();
    put(scene);
    scene.compute.step();
    const before = readFileSync(scene.statePath, 'utf8');
    assert.equal(scene.compute.step(), false);
    assert.equal(readFileSync(scene.statePath, 'utf8'), before);
    scene.put(podYaml('ywing', { app: 'ywing' }));
    scene.compute.step();
    const after = readFileSync(scene.statePath, 'utf8');
    assert.ok(after.startsWith(before) && after.length - before.length < 1000);
    writeFileSync(scene.statePath, after.slice(0, -10));
    const torn = scene.restart();
    torn.compute.step();
    assert.deepEqual(
      [...PODS, 'ywing'].map((name) => idOf(torn, name)),
      [...PODS, 'ywing'].map((name) => idOf(scene, name)),
    );
    assert.equal(readFileSync(scene.statePath, 'utf8').split('\n').length, 2, 'whole again');
  });

  it('carries nothing out whose numbers it cannot write, and writes them when it can', () => {
    using scene = createScene();
    put(scene);
    scene.compute.step();
    rmSync(dirname(scene.statePath), { recursive: true });
    writeFileSync(dirname(scene.statePath), '');
    scene.put(podYaml('ywing', { app: 'ywing' }));
    assert.throws(() => scene.compute.step(), { code: 'ENOTDIR' });
    assert.throws(() => scene.compute.step(), { code: 'EEXIST' });
    rmSync(dirname(scene.statePath));
    scene.compute.step();
    assert.match(readFileSync(scene.statePath, 'utf8'), /ywing/);
  });

  it('marks addresses by whose they are', () => {
    using scene = createScene();
    put(scene);
    scene.tables.inputs.endpoints.set('kube-system/resolver', resolverEndpoint());
    scene.compute.step();
    const row = (key: string): unknown => {
      const found = scene.tables.desired.addresses.get(key);
      return found && [found.identity, found.flags];
    };
    assert.deepEqual(row('10.244.0.1/32'), [RESERVED.host, 1]);
    assert.deepEqual(row('fd00:10:244::1/128'), [RESERVED.host, 1]);
    assert.deepEqual(row('10.244.0.2/32'), [scene.compute.identityOf('kube-system/resolver'), 1]);
    assert.deepEqual(row('10.244.0.10/32'), [idOf(scene, 'deathstar'), 2]);
    const deathstar = scene.tables.inputs.endpoints.get('default/deathstar');
    assert.ok(deathstar);
    // A pod that went to this node while the other one's last word is still on its way.
    scene.tables.inputs.remotePods.set('default/deathstar', { ...deathstar, labels: { app: 'other' }, node: 'n1' });
    scene.tables.inputs.remotePods.set('default/far', {
      ...deathstar,
      ip4: address('10.244.1.9'),
      ip6: undefined,
      node: 'n1',
    });
    scene.compute.step();
    assert.deepEqual(row('10.244.0.10/32'), [idOf(scene, 'deathstar'), 2]);
    assert.deepEqual(row('10.244.1.9/32'), [idOf(scene, 'deathstar'), 0]);
    scene.tables.inputs.remotePods.delete('default/deathstar');
    scene.tables.inputs.remotePods.delete('default/far');
    scene.compute.step();
    assert.equal(row('10.244.1.9/32'), undefined);
    assert.equal(row('10.244.0.99/32'), undefined);
    assert.equal(
      [...scene.tables.desired.policy.values()].some(
        (p) => p.subject === scene.compute.identityOf('kube-system/resolver'),
      ),
      false,
    );
    const dns = scene.tables.desired.frontends.get('10.96.0.10 53 17');
    assert.equal(dns?.backends.length, 1);
    const backend = scene.tables.desired.backends.get(String(dns?.backends[0]));
    assert.equal(backend && formatAddress(backend.address), '10.244.0.2');
  });
});
