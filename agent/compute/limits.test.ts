// What happens when something runs out: it is said, and nobody gets more than before.

import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { address } from '#common/ip.ts';
import type { AllocatorState } from '../identity/allocator.ts';
import { CLUSTER_RANGE, LOCAL_RANGE, UNNUMBERED } from '../identity/reserved.ts';
import { podYaml } from './random.fixture.ts';
import { createScene, type Scene, tcp, verdictOf } from './scene.fixture.ts';

const policy = (spec: string, name = 'p'): string => `
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: { name: ${name} }
spec:
  endpointSelector: { matchLabels: { app: web } }
  ${spec}
---`;

/** A node whose state leaves no number free: those of `ranges` are taken by others. */
function createFull(ranges: Readonly<Record<string, { min: number; max: number }>>): Scene {
  const directory = mkdtempSync(join(tmpdir(), 'weir-full-'));
  const none = (): AllocatorState => ({ next: 1, numbers: {} });
  const state: Record<string, unknown> = { version: 1, clusterIps: {} };
  for (const name of ['identities', 'rulesets', 'cookies', 'backends', 'services', 'prefixes', 'nodes'])
    state[name] = none();
  for (const [name, { min, max }] of Object.entries(ranges)) {
    const numbers: Record<string, number> = {};
    for (let n = min; n <= max; n++) numbers[`taken ${n}`] = n;
    state[name] = { next: min, numbers };
  }
  writeFileSync(join(directory, 'compute.json'), JSON.stringify(state));
  return createScene({ directory });
}

const problemsOf = (scene: Scene): string =>
  scene.compute
    .problems()
    .map((p) => `${p.object}: ${p.reason}`)
    .join('\n');

describe('limits', () => {
  it('remembered numbers that nobody uses are given away, the oldest first', () => {
    using scene = createFull({ identities: CLUSTER_RANGE, prefixes: LOCAL_RANGE });
    scene.put(podYaml('web', { app: 'web' }));
    scene.put(policy('egress: [{ toCIDR: [10.0.0.0/8] }]'));
    scene.compute.step();
    assert.equal(problemsOf(scene), '');
    assert.equal(scene.compute.identityOf('default/web'), CLUSTER_RANGE.min);
  });

  it('a pod or prefix without number may neither reach nor be reached, until there is one', () => {
    using scene = createScene();
    const { remotePods, endpoints } = scene.tables.inputs;
    scene.put(podYaml('web', { app: 'web' }));
    scene.put(policy('ingress: [{ fromEntities: [all] }]\n  egress: [{ toEntities: [all] }]'));
    const web = endpoints.get('default/web');
    assert.ok(web);
    const add = (n: number): void => {
      const ip4 = address(`10.${1 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}`);
      remotePods.set(`default/r${n}`, { ...web, labels: { n: String(n) }, ip4, ip6: undefined, node: 'n' });
    };
    scene.compute.step();
    const room = CLUSTER_RANGE.max - CLUSTER_RANGE.min; // one is the pod's
    for (let n = 0; n < room + 2; n++) add(n);
    scene.compute.step();
    assert.match(
      problemsOf(scene),
      /^Pod default\/r65279: Cannot allocate identity: all 65280 numbers from 256 are in use\n/,
    );
    const [subject, peer] = [scene.compute.identityOf('default/web'), UNNUMBERED.identity];
    assert.ok(subject !== undefined);
    assert.equal(scene.tables.desired.addresses.get('10.1.255.0/32')?.identity, peer);
    for (const direction of ['ingress', 'egress'] as const) {
      assert.equal(verdictOf(scene.tables.desired, { subject, direction, peer, l4: tcp(80) }).action, 'deny');
    }
    scene.put(podYaml('late', { app: 'late' }));
    scene.compute.step();
    assert.equal(scene.compute.identityOf('default/late'), undefined);
    assert.equal(scene.tables.desired.endpoints.get('default/late'), undefined, 'it is not let in');
    assert.equal(scene.tables.desired.addresses.get('10.244.0.11/32')?.identity, peer);
    for (let n = 0; n < 3; n++) remotePods.delete(`default/r${n}`);
    scene.compute.step();
    scene.compute.step();
    assert.equal(problemsOf(scene), '');
    assert.ok(scene.compute.identityOf('default/late') !== undefined);
    assert.equal(scene.tables.desired.identities.get(String(peer)), undefined);
  });

  it('a direction with too many entries denies everything, until it fits', () => {
    using scene = createScene({ limits: { subject: 8, all: 100 } });
    scene.put(`${podYaml('web', { app: 'web' })}\n---\n${podYaml('db', { app: 'db' })}`);
    const ports = (count: number): string =>
      Array.from({ length: count }, (_, i) => `{ port: "${2 * i + 1}", protocol: TCP }`).join(', ');
    const ingress = (count: number): string =>
      policy(`ingress: [{ fromEndpoints: [{ matchLabels: { app: db } }], toPorts: [{ ports: [${ports(count)}] }] }]`);
    scene.put(ingress(4));
    scene.compute.step();
    const subject = scene.compute.identityOf('default/web');
    const peer = scene.compute.identityOf('default/db');
    assert.ok(subject !== undefined && peer !== undefined);
    const ask = (direction: 'ingress' | 'egress'): string =>
      verdictOf(scene.tables.desired, { subject, direction, peer, l4: tcp(1) }).action;
    assert.deepEqual([ask('ingress'), ask('egress'), problemsOf(scene)], ['allow', 'allow', '']);
    scene.put(ingress(9));
    scene.compute.step();
    assert.deepEqual([ask('ingress'), ask('egress')], ['deny', 'allow']);
    assert.match(
      problemsOf(scene),
      /^Node: Cannot enforce ingress of identity \d+: its 11 entries do not fit; all of it is denied$/,
    );
    scene.put(ingress(2));
    scene.compute.step();
    assert.deepEqual([ask('ingress'), problemsOf(scene)], ['allow', '']);
    // The other direction by itself, whether it comes at once or later.
    const out = `egress: [{ toEndpoints: [{ matchLabels: { app: db } }], toPorts: [{ ports: [${ports(9)}] }] }]`;
    using atOnce = createScene({ limits: { subject: 8, all: 100 } });
    atOnce.put(`${podYaml('web', { app: 'web' })}\n---\n${podYaml('db', { app: 'db' })}\n---${ingress(4)}`);
    for (const one of [atOnce, scene]) {
      one.put(ingress(4));
      one.put(policy(out, 'out'));
      one.compute.step();
      const web = one.compute.identityOf('default/web');
      const rows = [...one.tables.desired.policy.values()].filter((row) => row.subject === web);
      assert.deepEqual([...new Set(rows.map((row) => row.direction))], ['ingress']);
    }
    using other = createScene({ limits: { subject: 100, all: 5 } });
    other.put(`${podYaml('web', { app: 'web' })}\n---\n${podYaml('db', { app: 'db' })}\n---${ingress(9)}`);
    other.compute.step();
    assert.ok(other.tables.desired.policy.size <= 5);
    assert.match(problemsOf(other), /do not fit/);
  });
});
