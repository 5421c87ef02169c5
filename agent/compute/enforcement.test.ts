// Where policy is asked at all, and what follows from it; and that a change costs what it touches.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Identity, RESERVED } from '#common/ids.ts';
import { address } from '#common/ip.ts';
import { createLabelFilter } from '../identity/label-filter.ts';
import { type EndpointRow, HOST_ENDPOINT } from '../tables.ts';
import { podYaml } from './random.fixture.ts';
import { createScene, endpointOf, type Scene, tcp, verdictOf } from './scene.fixture.ts';
import { DEFAULT_SETTINGS, type EnforcementMode } from './settings.ts';

const PODS = [podYaml('web', { app: 'web' }), podYaml('db', { app: 'db' })].join('\n---\n');
const policy = (spec: string, name = 'p', app = 'web'): string => `
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: { name: ${name} }
spec:
  endpointSelector: { matchLabels: { app: ${app} } }
  ${spec}
---`;
const FROM_DB = 'ingress: [{ fromEndpoints: [{ matchLabels: { app: db } }] }]';
const clusterwide = (spec: string, name = 'cw'): string => `
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: { name: ${name} }
spec:
  ${spec}
---`;

function idOf(scene: Scene, name: string): Identity {
  const id = scene.compute.identityOf(`default/${name}`);
  assert.ok(id !== undefined, `${name} has no identity`);
  return id;
}

function ask(scene: Scene, subject: Identity, peer: Identity, direction: 'ingress' | 'egress' = 'ingress'): string {
  return verdictOf(scene.tables.desired, { subject, peer, direction, l4: tcp(80) }).action;
}

describe('enforcement', () => {
  const cases: readonly {
    readonly mode: EnforcementMode;
    readonly policies: string;
    readonly enforced: string; // of web at ingress and egress
    readonly db: string;
    readonly world: string;
    readonly host: string;
  }[] = [
    { mode: 'default', policies: '', enforced: 'false false', db: 'allow', world: 'allow', host: 'allow' },
    { mode: 'default', policies: policy(FROM_DB), enforced: 'true false', db: 'allow', world: 'deny', host: 'allow' },
    { mode: 'never', policies: policy(FROM_DB), enforced: 'false false', db: 'allow', world: 'allow', host: 'allow' },
    { mode: 'always', policies: '', enforced: 'true true', db: 'deny', world: 'deny', host: 'deny' },
    { mode: 'always', policies: policy(FROM_DB), enforced: 'true true', db: 'allow', world: 'deny', host: 'allow' },
    {
      mode: 'always',
      policies: policy(`enableDefaultDeny: { ingress: false }\n  ${FROM_DB}`),
      enforced: 'true true',
      db: 'allow',
      world: 'deny',
      host: 'allow',
    },
    {
      mode: 'default',
      policies: policy(`enableDefaultDeny: { ingress: false }\n  ${FROM_DB.replace('ingress', 'ingressDeny')}`),
      enforced: 'true false',
      db: 'deny',
      world: 'allow',
      host: 'allow',
    },
    {
      mode: 'default',
      policies: policy('ingressDeny: [{ fromEntities: [host] }]') + policy('ingress: [{ fromEntities: [all] }]', 'q'),
      enforced: 'true false',
      db: 'allow',
      world: 'allow',
      host: 'deny',
    },
  ];
  for (const { mode, policies, enforced, db, world, host } of cases) {
    it(`${mode}: ${policies.replace(/\s+/g, ' ').slice(80, 200) || 'no policy'}`, () => {
      using scene = createScene({ settings: { ...DEFAULT_SETTINGS, enforcement: mode } });
      scene.put(PODS + (policies && `\n---${policies}`));
      scene.compute.step();
      const row = scene.tables.desired.enforcement.get('default/web');
      assert.equal(`${row?.ingress} ${row?.egress}`, enforced);
      const web = idOf(scene, 'web');
      assert.equal(ask(scene, web, idOf(scene, 'db')), db);
      assert.equal(ask(scene, web, RESERVED.worldIpv4), world);
      assert.equal(ask(scene, web, RESERVED.host), host);
    });
  }

  it('enforces both directions of endpoints whose labels are not known yet', () => {
    using scene = createScene();
    scene.put(PODS);
    const web = scene.tables.inputs.endpoints.get('default/web') as EndpointRow;
    scene.tables.inputs.endpoints.set('default/web', { ...web, init: true });
    scene.compute.step();
    assert.equal(idOf(scene, 'web'), RESERVED.init);
    assert.equal(ask(scene, RESERVED.init, idOf(scene, 'db')), 'deny');
    scene.put(
      clusterwide('endpointSelector: { matchLabels: { "reserved:init": "" } }\n  ingress: [{ fromEntities: [all] }]'),
    );
    scene.compute.step();
    assert.equal(ask(scene, RESERVED.init, idOf(scene, 'db')), 'allow');
    assert.equal(ask(scene, RESERVED.init, idOf(scene, 'db'), 'egress'), 'deny');
    scene.tables.inputs.endpoints.set('default/web', web);
    scene.compute.step();
    assert.ok(idOf(scene, 'web') >= 256);
    assert.equal(
      [...scene.tables.desired.policy.values()].some((row) => row.subject === RESERVED.init),
      false,
    );
  });

  it('makes the node a subject while a policy for nodes selects it', () => {
    using scene = createScene();
    scene.put(PODS);
    const { nodes } = scene.tables.inputs;
    const set = (role: string): void =>
      nodes.set('n0', {
        name: 'n0',
        labels: { role },
        addresses: [address('172.16.0.1')],
        local: true,
        apiServer: false,
      });
    const host = (): unknown => scene.tables.desired.enforcement.get(HOST_ENDPOINT);
    set('worker');
    scene.put(
      clusterwide('nodeSelector: { matchLabels: { role: edge } }\n  ingress: [{ fromEntities: [cluster] }]', 'n'),
    );
    scene.put(clusterwide('endpointSelector: {}\n  egress: [{}]', 'e'));
    scene.compute.step();
    assert.equal(host(), undefined);
    set('edge');
    scene.compute.step();
    const row = { endpoint: HOST_ENDPOINT, identity: RESERVED.host, ingress: true, egress: false, audit: false };
    assert.deepEqual(host(), row);
    assert.equal(ask(scene, RESERVED.host, idOf(scene, 'db')), 'allow');
    assert.equal(ask(scene, RESERVED.host, RESERVED.worldIpv4), 'deny');
    assert.equal(
      ask(scene, RESERVED.host, RESERVED.worldIpv4, 'egress'),
      'allow',
      'rules for endpoints are not about it',
    );
    assert.equal(scene.compute.selectedBy('CiliumClusterwideNetworkPolicy /n'), 1);
    assert.equal(scene.compute.selectedBy('CiliumClusterwideNetworkPolicy /e'), 2);
    scene.tables.inputs.policies.delete('CiliumClusterwideNetworkPolicy /n');
    scene.compute.step();
    assert.equal(host(), undefined);
    assert.equal(
      [...scene.tables.desired.policy.values()].some((row) => row.subject === RESERVED.host),
      false,
    );
  });

  it('leaves out labels that do not count', () => {
    using scene = createScene({ settings: { ...DEFAULT_SETTINGS, labels: createLabelFilter(['!version']) } });
    scene.put(`${podYaml('a', { app: 'x', version: '1' })}\n---\n${podYaml('b', { app: 'x', version: '2' })}`);
    scene.compute.step();
    assert.equal(idOf(scene, 'a'), idOf(scene, 'b'));
  });

  it('resolves port names at ingress by the ports of each subject', () => {
    using scene = createScene();
    const pod = (name: string, port: number): string =>
      `{ apiVersion: v1, kind: Pod, metadata: { name: ${name}, labels: { app: web } }, spec: { containers: [{ name: c, image: i, command: [c], ports: [{ name: http, containerPort: ${port} }] }] } }`;
    scene.put([pod('one', 80), pod('two', 81), pod('three', 80)].join('\n---\n'));
    scene.put(policy('ingress: [{ toPorts: [{ ports: [{ port: http, protocol: TCP }] }] }]'));
    scene.compute.step();
    assert.equal(idOf(scene, 'one'), idOf(scene, 'three'));
    const [one, two] = [idOf(scene, 'one'), idOf(scene, 'two')];
    assert.notEqual(one, two, 'the same labels, but other ports');
    assert.deepEqual(scene.tables.desired.identities.get(String(two))?.namedPorts, ['TCP http=81']);
    assert.equal(ask(scene, one, two), 'allow');
    assert.equal(ask(scene, two, one), 'deny');
  });

  it('says by which rules an entry is what it is', () => {
    using scene = createScene();
    scene.put(PODS);
    scene.put(policy(`${FROM_DB}\n  egress: [{ toEntities: [world] }, { toCIDR: [192.0.2.0/24] }]`));
    scene.compute.step();
    const behind = (direction: string): readonly string[] =>
      [...scene.tables.desired.policy.values()]
        .filter((row) => row.subject === idOf(scene, 'web') && row.direction === direction && row.cookie > 0)
        .map((row) => scene.tables.desired.cookies.get(String(row.cookie)))
        .map((row) => row?.rules.map(({ file, line, field }) => `${file}:${line} ${field}`).join(', ') ?? '');
    assert.deepEqual(behind('ingress'), ['test.yaml:7 spec.ingress[0]']);
    assert.deepEqual([...new Set(behind('egress'))].sort(), [
      'test.yaml:8 spec.egress[0]',
      'test.yaml:8 spec.egress[1]',
    ]);
    const entries = [...scene.tables.desired.policy.values()];
    scene.put(`\n\n${policy(`${FROM_DB}\n  egress: [{ toEntities: [world] }, { toCIDR: [192.0.2.0/24] }]`)}`);
    scene.compute.step();
    assert.deepEqual([...scene.tables.desired.policy.values()], entries, 'only its place has changed');
    assert.deepEqual(behind('ingress'), ['test.yaml:9 spec.ingress[0]']);
  });
});

describe('audit mode', () => {
  it('is that of the endpoint or of the node, and changes no identity', () => {
    for (const ofNode of [false, true]) {
      using scene = createScene({ settings: { ...DEFAULT_SETTINGS, audit: ofNode } });
      const { inputs, desired } = scene.tables;
      const row = endpointOf(
        {
          ...meta('web'),
          kind: 'Pod',
          audit: false,
          spec: { serviceAccount: 'default', containers: [], restartPolicy: 'Always' },
        },
        10,
      );
      inputs.endpoints.set('default/web', row);
      scene.compute.step();
      const before = desired.enforcement.get('default/web');
      assert.equal(before?.audit, ofNode);
      inputs.endpoints.set('default/web', { ...row, audit: true });
      scene.compute.step();
      const after = desired.enforcement.get('default/web');
      assert.deepEqual([after?.audit, after?.identity], [true, before?.identity]);
      assert.equal(desired.endpoints.get('default/web')?.endpoint.audit, true);
    }
  });
});

describe('cost', () => {
  it('of a pod or a policy is what it is about, however many others there are', () => {
    using scene = createScene();
    const { inputs, desired } = scene.tables;
    const web = endpointOf(
      {
        ...meta('web'),
        kind: 'Pod',
        audit: false,
        spec: { serviceAccount: 'default', containers: [], restartPolicy: 'Always' },
      },
      10,
    );
    for (let i = 0; i < 400; i++) {
      const at = { ip4: address(`10.244.${4 + (i >> 8)}.${i & 255}`), ip6: undefined };
      inputs.remotePods.set(`default/r${i}`, { ...web, ...at, labels: { app: `r${i}` }, node: 'n' });
      scene.put(policy(`ingress: [{ fromEndpoints: [{ matchLabels: { app: r${i + 1} } }] }]`, `p${i}`, `r${i}`));
    }
    inputs.endpoints.set('default/web', { ...web, labels: { app: 'r7' } });
    inputs.endpoints.set('default/other', { ...web, pod: 'other', ip4: address('10.244.9.9'), labels: { app: 'r9' } });
    scene.compute.step();
    const written = { entries: 0, peers: 0 };
    const stops = [
      desired.policy.subscribe(() => void written.entries++),
      desired.peerSets.subscribe(() => void written.peers++),
    ];
    const changed = (edit: () => void): [entries: number, peers: number] => {
      Object.assign(written, { entries: 0, peers: 0 });
      edit();
      scene.compute.step();
      return [written.entries, written.peers];
    };
    const remote = (n: number, labels: Record<string, string>): void => {
      const at = { ip4: address(`10.244.8.${n}`), ip6: undefined };
      inputs.remotePods.set(`default/new${n}`, { ...web, ...at, labels, node: 'n' });
    };
    assert.deepEqual(
      changed(() => remote(1, { app: 'nobody' })),
      [0, 1],
    );
    assert.deepEqual(
      changed(() => remote(2, { app: 'r8', more: 'x' })),
      [0, 1],
      'a rule of one subject selects it: the rule has its entry already',
    );
    assert.deepEqual(desired.peerSets.get(String(scene.compute.identityOf('default/web')))?.sets, []);
    assert.deepEqual(
      changed(() => inputs.remotePods.delete('default/new2')),
      [0, 1],
    );
    assert.deepEqual(
      changed(() => scene.put(policy('ingress: [{}]', 'p100', 'r100'))),
      [0, 0],
      'nobody here is its subject',
    );
    const [entries, peers] = changed(() => scene.put(policy('ingress: [{}]', 'p9', 'r9')));
    assert.ok(entries <= 2 && peers <= 1, `${entries} entries, ${peers} peers`);
    for (const stop of stops) stop();
  });
});

function meta(name: string) {
  return { namespace: 'default', name, labels: {}, annotations: {}, origin: { file: '', line: 1 } };
}
