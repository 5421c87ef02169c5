// Who a rule is about, as the world changes around it.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Identity, RESERVED } from '#common/ids.ts';
import { address, covers, familyOf } from '#common/ip.ts';
import type { PolicyObject, Requirement } from '#mesh-config/model.ts';
import type { EndpointRow } from '../tables.ts';
import { podYaml } from './random.fixture.ts';
import { createScene, type Scene, tcp, verdictOf } from './scene.fixture.ts';

const LOCAL = podYaml('local', { app: 'local' });
const policy = (egress: string, name = 'p'): string => `
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: { name: ${name} }
spec:
  endpointSelector: { matchLabels: { app: local } }
  egress: [${egress}]
---`;
const POD = '10.244.0.11';
const OTHER_POD = '10.244.0.12';

function identityAt(scene: Scene, text: string): Identity {
  const ip = address(text);
  let best: { readonly bits: number; readonly identity: Identity } | undefined;
  for (const { cidr, identity } of scene.tables.desired.addresses.values()) {
    if (covers(cidr, { address: ip, bits: 128 }) && (!best || cidr.bits > best.bits))
      best = { bits: cidr.bits, identity };
  }
  return best?.identity ?? (familyOf(ip) === 4 ? RESERVED.worldIpv4 : RESERVED.worldIpv6);
}

/** Which of the addresses the local pod may send to at the port. */
function reached(scene: Scene, addresses: readonly string[], port = 80): string[] {
  scene.compute.step();
  const subject = scene.compute.identityOf('default/local');
  assert.ok(subject !== undefined);
  return addresses.filter((text) => {
    const flow = { subject, direction: 'egress' as const, peer: identityAt(scene, text), l4: tcp(port) };
    return verdictOf(scene.tables.desired, flow).action !== 'deny';
  });
}

const node = (
  name: string,
  ip: string,
  more: { local?: boolean; apiServer?: boolean; labels?: Record<string, string> },
) => ({
  name,
  labels: more.labels ?? {},
  addresses: [address(ip)],
  local: more.local ?? false,
  apiServer: more.apiServer ?? false,
});

function world(): Scene {
  const scene = createScene();
  scene.put(`${LOCAL}\n---\n${podYaml('web', { app: 'web' })}\n---\n${podYaml('db', { app: 'db' })}`);
  const { nodes, names } = scene.tables.inputs;
  nodes.set('n0', node('n0', '172.16.0.1', { local: true }));
  nodes.set('n1', node('n1', '172.16.0.2', { apiServer: true, labels: { zone: 'a' } }));
  nodes.set('n2', node('n2', '172.16.0.3', { labels: { zone: 'b' } }));
  names.set('a.example.com', { name: 'a.example.com', addresses: [address('192.0.2.1')] });
  return scene;
}

const ALL = [POD, OTHER_POD, '172.16.0.1', '172.16.0.2', '172.16.0.3', '10.1.2.3', '192.0.2.1', '2001:db8::1', '::9'];
const WORLD = ['10.1.2.3', '192.0.2.1', '2001:db8::1', '::9'];

describe('peers', () => {
  const cases: readonly { readonly egress: string; readonly reached: readonly string[] }[] = [
    { egress: '{ toEndpoints: [{ matchLabels: { app: web } }] }', reached: [POD] },
    { egress: '{ toEndpoints: [{}] }', reached: [POD, OTHER_POD] },
    { egress: '{ toEndpoints: [] }', reached: [] },
    { egress: '{ toEntities: [all] }', reached: ALL },
    { egress: '{ toEntities: [none] }', reached: [] },
    { egress: '{ toEntities: [world] }', reached: WORLD },
    { egress: '{ toEntities: [cluster] }', reached: ALL.filter((ip) => !WORLD.includes(ip)) },
    { egress: '{ toEntities: [host] }', reached: ['172.16.0.1'] },
    { egress: '{ toEntities: [remote-node] }', reached: ['172.16.0.2', '172.16.0.3'] },
    { egress: '{ toEntities: [kube-apiserver] }', reached: ['172.16.0.2'] },
    { egress: '{ toCIDR: [10.0.0.0/8] }', reached: ['10.1.2.3'] },
    { egress: '{ toCIDR: [0.0.0.0/0] }', reached: ['10.1.2.3', '192.0.2.1'] },
    { egress: '{ toCIDR: ["::/0"] }', reached: ['2001:db8::1', '::9'] },
    { egress: '{ toCIDR: ["::/8"] }', reached: ['::9'] },
    { egress: '{ toCIDR: [10.244.0.11/32] }', reached: [] },
    { egress: '{ toCIDR: [172.16.0.0/16] }', reached: [] },
    { egress: '{ toCIDRSet: [{ cidr: 0.0.0.0/0, except: [10.1.0.0/16] }] }', reached: ['192.0.2.1'] },
    { egress: '{ toCIDRSet: [{ cidr: 0.0.0.0/0, except: [0.0.0.0/0] }] }', reached: [] },
    { egress: '{ toFQDNs: [{ matchName: a.example.com }] }', reached: ['192.0.2.1'] },
    { egress: '{ toFQDNs: [{ matchPattern: "*.example.com" }] }', reached: ['192.0.2.1'] },
    { egress: '{ toFQDNs: [{ matchPattern: "*.com" }] }', reached: [] },
  ];
  for (const { egress, reached: expected } of cases) {
    it(`${egress} reaches ${expected.join(' ') || 'nobody'}`, () => {
      using scene = world();
      scene.put(policy(egress));
      assert.deepEqual(reached(scene, ALL), expected);
      assert.deepEqual(scene.compute.problems(), []);
    });
  }

  it('follows the labels of nodes that rules ask for', () => {
    using scene = world();
    const { nodes, policies } = scene.tables.inputs;
    scene.put(policy('{ toEndpoints: [{ matchLabels: { app: web } }] }'));
    const key = 'CiliumNetworkPolicy default/p';
    const before = policies.get(key) as PolicyObject;
    const requirements: Requirement[] = [
      { source: 'reserved', key: 'remote-node', operator: 'Exists', values: [] },
      { source: 'node', key: 'zone', operator: 'In', values: ['b'] },
    ];
    const peers = [{ kind: 'labels' as const, selector: { requirements } }];
    const rules = before.rules.map((rule) => ({ ...rule, egress: rule.egress?.map((item) => ({ ...item, peers })) }));
    const identities = (): number =>
      [...scene.tables.desired.identities.values()].filter((row) => row.identity >= 2 << 24).length;
    const ips = ['172.16.0.1', '172.16.0.2', '172.16.0.3', POD];
    assert.deepEqual(reached(scene, ips), [POD]);
    assert.equal(identities(), 0, 'nobody asks for labels');
    policies.set(key, { ...before, rules });
    assert.deepEqual(reached(scene, ips), ['172.16.0.3']);
    assert.equal(identities(), 2);
    nodes.set('n1', node('n1', '172.16.0.2', { labels: { zone: 'b', other: 'x' } }));
    assert.deepEqual(reached(scene, ips), ['172.16.0.2', '172.16.0.3']);
    assert.equal(identities(), 1, 'equal labels are one identity');
    policies.set(key, before);
    assert.deepEqual(reached(scene, ips), [POD]);
    assert.equal(identities(), 0);
  });

  it('follows CIDR groups by name and by label', () => {
    const group = (name: string, cidrs: string, labels = '{}'): string =>
      `{ apiVersion: cilium.io/v2, kind: CiliumCIDRGroup, metadata: { name: ${name}, labels: ${labels} }, spec: { externalCIDRs: [${cidrs}] } }`;
    for (const set of ['cidrGroupRef: g', 'cidrGroupSelector: { matchLabels: { team: red } }']) {
      using scene = world();
      scene.put(policy(`{ toCIDRSet: [{ ${set}, except: [10.1.2.0/24] }] }`));
      const ips = ['10.1.2.3', '10.1.3.4', '192.0.2.1', POD];
      assert.deepEqual(reached(scene, ips), [], 'there is no group');
      scene.put(group('g', '10.0.0.0/8', '{ team: red }'));
      assert.deepEqual(reached(scene, ips), ['10.1.3.4']);
      scene.put(group('g', '192.0.2.0/24, 10.1.2.3/32', '{ team: red }'));
      assert.deepEqual(reached(scene, ips), ['192.0.2.1']);
      scene.put(group('g', '0.0.0.0/0', '{ team: red }'));
      assert.deepEqual(reached(scene, ips), ['10.1.3.4', '192.0.2.1']);
      scene.tables.inputs.cidrGroups.delete('g');
      assert.deepEqual(reached(scene, ips), []);
    }
  });

  it('gives the prefixes of a group one identity', () => {
    using scene = world();
    scene.put(policy('{ toCIDRSet: [{ cidrGroupRef: g }] }'));
    scene.put(
      '{ apiVersion: cilium.io/v2, kind: CiliumCIDRGroup, metadata: { name: g }, spec: { externalCIDRs: [10.1.0.0/16, 10.2.0.0/16, 10.3.0.0/16] } }',
    );
    scene.compute.step();
    const ids = ['10.1.0.1', '10.2.0.1', '10.3.0.1'].map((ip) => identityAt(scene, ip));
    assert.equal(new Set(ids).size, 1);
    assert.ok((ids[0] as number) >= 1 << 24);
    assert.deepEqual(scene.tables.desired.identities.get(String(ids[0]))?.labels, [
      'cidrgroup:g',
      'reserved:world-ipv4',
    ]);
  });

  it('follows names', () => {
    using scene = world();
    const { names } = scene.tables.inputs;
    scene.put(policy('{ toFQDNs: [{ matchPattern: "**.example.com" }] }'));
    const ips = ['192.0.2.1', '192.0.2.2', '192.0.2.3', POD];
    assert.deepEqual(reached(scene, ips), ['192.0.2.1']);
    const set = (name: string, ...list: string[]): void => names.set(name, { name, addresses: list.map(address) });
    set('b.a.example.com', '192.0.2.2', POD);
    assert.deepEqual(reached(scene, ips), ['192.0.2.1', '192.0.2.2'], 'an address of a pod is the pod');
    set('other.org', '192.0.2.1', '192.0.2.3');
    assert.deepEqual(reached(scene, ips), ['192.0.2.1', '192.0.2.2']);
    set('a.example.com', '192.0.2.3');
    assert.deepEqual(reached(scene, ips), ['192.0.2.2', '192.0.2.3']);
    names.delete('b.a.example.com');
    assert.deepEqual(reached(scene, ips), ['192.0.2.3']);
    scene.remove('policy', 'CiliumNetworkPolicy default/p');
    scene.compute.step();
    assert.equal(
      [...scene.tables.desired.identities.values()].some((row) => row.identity >= 1 << 24),
      false,
    );
  });

  it('follows services: the pods they select, or the addresses of their slices', () => {
    const service = (selector: string): string =>
      `{ apiVersion: v1, kind: Service, metadata: { name: s, labels: { team: red } }, spec: { ${selector} ports: [{ port: 80 }] } }`;
    for (const peer of [
      'k8sService: { serviceName: s, namespace: default }',
      'k8sServiceSelector: { selector: { matchLabels: { team: red } } }',
    ]) {
      using scene = world();
      scene.put(policy(`{ toServices: [{ ${peer} }] }`));
      const ips = [POD, OTHER_POD, '10.1.2.3'];
      assert.deepEqual(reached(scene, ips), [], 'there is no service');
      scene.put(service('selector: { app: web },'));
      assert.deepEqual(reached(scene, ips), [POD]);
      scene.put(service('selector: { app: db },'));
      assert.deepEqual(reached(scene, ips), [OTHER_POD]);
      scene.put(service(''));
      assert.deepEqual(reached(scene, ips), []);
      scene.put(`apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: s-1, labels: { kubernetes.io/service-name: s } }
addressType: IPv4
endpoints: [{ addresses: [10.1.2.3, ${POD}] }]
ports: []`);
      assert.deepEqual(reached(scene, ips), ['10.1.2.3'], 'a pod is nobody outside');
      scene.remove('service', 'default/s');
      assert.deepEqual(reached(scene, ips), []);
    }
  });

  it('knows API servers that are no nodes as part of the cluster and of the world', () => {
    using scene = world();
    const slices = scene.tables.inputs.endpointSlices;
    slices.set('default/kubernetes', {
      kind: 'EndpointSlice',
      namespace: 'default',
      name: 'kubernetes',
      labels: {},
      annotations: {},
      origin: { file: '', line: 1 },
      service: 'kubernetes',
      addresses: [address('192.0.2.9'), address('172.16.0.3'), address('172.16.0.1')],
    });
    const ips = ['172.16.0.1', '172.16.0.2', '172.16.0.3', '192.0.2.9', '192.0.2.8'];
    scene.put(policy('{ toEntities: [kube-apiserver] }'));
    assert.deepEqual(reached(scene, ips), ips.slice(0, 4));
    for (const egress of ['{ toEntities: [cluster] }', '{ toEntities: [cluster, kube-apiserver] }']) {
      scene.put(policy(egress));
      assert.deepEqual(reached(scene, ips), ips.slice(0, 4));
    }
    for (const egress of ['{ toEntities: [world] }', '{ toCIDR: [192.0.2.0/24] }']) {
      scene.put(policy(egress));
      assert.deepEqual(reached(scene, ips), ['192.0.2.9', '192.0.2.8']);
    }
    scene.put(policy('{ toEntities: [kube-apiserver] }'));
    slices.delete('default/kubernetes');
    assert.deepEqual(reached(scene, ips), ['172.16.0.2']);
  });

  it('resolves port names at each destination, and nowhere outside', () => {
    using scene = world();
    const withPorts = (name: string, ports: string): void =>
      scene.put(
        `{ apiVersion: v1, kind: Pod, metadata: { name: ${name}, labels: { app: ${name} } }, spec: { containers: [{ name: c, image: i, command: [c], ports: [${ports}] }] } }`,
      );
    withPorts('web', '{ name: http, containerPort: 80 }');
    withPorts('db', '{ name: http, containerPort: 81 }');
    const rule = '{ toEntities: [all], toPorts: [{ ports: [{ port: http, protocol: TCP }] }] }';
    scene.put(policy(rule));
    const ips = [POD, OTHER_POD, '172.16.0.2', '192.0.2.1'];
    assert.deepEqual([reached(scene, ips, 80), reached(scene, ips, 81)], [[POD], [OTHER_POD]]);
    withPorts('db', '{ name: http, containerPort: 80 }');
    assert.deepEqual([reached(scene, ips, 80), reached(scene, ips, 81)], [[POD, OTHER_POD], []]);
    withPorts('db', '{ name: other, containerPort: 80 }');
    assert.deepEqual([reached(scene, ips, 80), reached(scene, ips, 81)], [[POD], []]);
    // Two meanings of one name: nothing is allowed by it, both are denied by it.
    const db = scene.tables.inputs.endpoints.get('default/db') as EndpointRow;
    const port = (number: number) => ({ name: 'http', port: number, protocol: 'TCP' });
    scene.tables.inputs.endpoints.set('default/db', { ...db, namedPorts: [port(80), port(81)] });
    assert.deepEqual([reached(scene, ips, 80), reached(scene, ips, 81)], [[POD], []]);
    scene.put(policy('{ toEntities: [all] }').replace('egress:', `egressDeny: [${rule}]\n  egress:`));
    assert.deepEqual(reached(scene, ips, 80), ['172.16.0.2', '192.0.2.1']);
    assert.deepEqual(reached(scene, ips, 81), [POD, '172.16.0.2', '192.0.2.1']);
  });
});
