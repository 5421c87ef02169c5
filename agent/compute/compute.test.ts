import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Identity, RESERVED } from '#common/ids.ts';
import { readRuleset } from '../policy/reading.ts';
import { policyKey } from './random.fixture.ts';
import { createScene, type Scene, tcp, verdictOf } from './scene.fixture.ts';

const pod = (name: string, labels: Record<string, string>, more = ''): string => `
apiVersion: v1
kind: Pod
metadata: { name: ${name}, namespace: default, labels: ${JSON.stringify(labels)} }
spec: { containers: [{ name: c, image: none, command: [sleep], ports: [{ name: web, containerPort: 8080 }] }] }
${more}---`;
const ORG = { empire: { org: 'empire' }, alliance: { org: 'alliance' } };
const EVERYBODY = [
  pod('deathstar', { ...ORG.empire, class: 'deathstar' }),
  pod('tiefighter', { ...ORG.empire, class: 'tiefighter' }),
  pod('xwing', { ...ORG.alliance, class: 'xwing' }),
].join('\n');
const policy = (name: string, spec: string): string => `
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: { name: ${name}, namespace: default }
spec:
  endpointSelector: { matchLabels: { class: deathstar } }
  ${spec}
---`;
const KEY = 'CiliumNetworkPolicy default/';
const FROM_EMPIRE = 'fromEndpoints: [{ matchLabels: { org: empire } }]';
const HTTP = 'rules: { http: [{ method: POST, path: /v1/request-landing }] }';
const PORT_80 = 'ports: [{ port: "80", protocol: TCP }]';

function idOf(scene: Scene, name: string): Identity {
  const id = scene.compute.identityOf(`default/${name}`);
  assert.ok(id !== undefined, `${name} has no identity`);
  return id;
}

function ask(scene: Scene, from: string | Identity, port: number, direction: 'ingress' | 'egress' = 'ingress'): string {
  const peer = typeof from === 'string' ? idOf(scene, from) : from;
  const flow = { subject: idOf(scene, 'deathstar'), direction, peer, l4: tcp(port) };
  const { action, ruleset, policies } = verdictOf(scene.tables.desired, flow);
  const names = policies.join();
  if (action !== 'redirect') return `${action}${names && ` by ${names}`}`;
  const rules = scene.tables.desired.rulesets.get(String(ruleset))?.rules ?? [];
  const own = rules.filter((r) => r.peers === 'any' || r.peers.includes(peer));
  const requests = own.flatMap((r) => [...r.http.map((h) => `${h.method} ${h.path}`), ...(r.wildcard ? ['*'] : [])]);
  return `redirect [${requests.sort().join(', ')}] by ${names}`;
}

describe('compute', () => {
  const cases = [
    { name: 'no policy', policies: '', tiefighter: 'allow', xwing: 'allow', world: 'allow', other: 'allow' },
    {
      name: 'L3 and L4',
      policies: policy('l4', `ingress: [{ ${FROM_EMPIRE}, toPorts: [{ ${PORT_80} }] }]`),
      tiefighter: `allow by ${KEY}l4`,
      xwing: 'deny',
      world: 'deny',
      other: 'deny',
    },
    {
      name: 'L7',
      policies: policy('l7', `ingress: [{ ${FROM_EMPIRE}, toPorts: [{ ${PORT_80}, ${HTTP} }] }]`),
      tiefighter: `redirect [POST /v1/request-landing] by ${KEY}l7`,
      xwing: 'deny',
      world: 'deny',
      other: 'deny',
    },
    {
      name: 'L7 for one, plain L4 for anybody: the plain one shows as a wildcard',
      policies:
        policy('l7', `ingress: [{ ${FROM_EMPIRE}, toPorts: [{ ${PORT_80}, ${HTTP} }] }]`) +
        policy('open', `ingress: [{ toPorts: [{ ${PORT_80} }] }]`),
      tiefighter: `redirect [*, POST /v1/request-landing] by ${KEY}l7,${KEY}open`,
      xwing: `allow by ${KEY}open`,
      world: `allow by ${KEY}open`,
      other: 'deny',
    },
    {
      name: 'L7 for anybody, L3 only for one',
      policies:
        policy('l7', `ingress: [{ toPorts: [{ ${PORT_80}, ${HTTP} }] }]`) +
        policy('friends', `ingress: [{ ${FROM_EMPIRE} }]`),
      tiefighter: `redirect [*, POST /v1/request-landing] by ${KEY}friends,${KEY}l7`,
      xwing: `redirect [POST /v1/request-landing] by ${KEY}l7`,
      world: `redirect [POST /v1/request-landing] by ${KEY}l7`,
      other: `allow by ${KEY}friends`,
    },
    {
      name: 'an empty rule denies all',
      policies: policy('closed', 'ingress: [{}]'),
      tiefighter: 'deny',
      xwing: 'deny',
      world: 'deny',
      other: 'deny',
    },
    {
      name: 'an empty peer list selects nobody',
      policies: policy('nobody', `ingress: [{ fromEndpoints: [], toPorts: [{ ${PORT_80} }] }]`),
      tiefighter: 'deny',
      xwing: 'deny',
      world: 'deny',
      other: 'deny',
    },
    {
      name: 'no default deny: L7 only shows',
      policies: policy(
        'see',
        `enableDefaultDeny: { ingress: false }\n  ingress: [{ toPorts: [{ ${PORT_80}, ${HTTP} }] }]`,
      ),
      tiefighter: `redirect [*, POST /v1/request-landing] by ${KEY}see`,
      xwing: `redirect [*, POST /v1/request-landing] by ${KEY}see`,
      world: `redirect [*, POST /v1/request-landing] by ${KEY}see`,
      other: 'allow',
    },
    {
      name: 'a range is cut where a single port says more',
      policies:
        policy('range', `ingress: [{ toPorts: [{ ports: [{ port: "80", endPort: 95, protocol: TCP }], ${HTTP} }] }]`) +
        policy('port', `ingress: [{ ${FROM_EMPIRE}, toPorts: [{ ${PORT_80} }] }]`),
      tiefighter: `redirect [*, POST /v1/request-landing] by ${KEY}port,${KEY}range`,
      xwing: `redirect [POST /v1/request-landing] by ${KEY}range`,
      world: `redirect [POST /v1/request-landing] by ${KEY}range`,
      other: `redirect [POST /v1/request-landing] by ${KEY}range`,
    },
    {
      name: 'a narrow allow of anybody within a redirected range of one',
      policies:
        policy(
          'range',
          `ingress: [{ ${FROM_EMPIRE}, toPorts: [{ ports: [{ port: "80", endPort: 95, protocol: TCP }], ${HTTP} }] }]`,
        ) + policy('port', `ingress: [{ toPorts: [{ ${PORT_80} }] }]`),
      tiefighter: `redirect [*, POST /v1/request-landing] by ${KEY}port,${KEY}range`,
      xwing: `allow by ${KEY}port`,
      world: `allow by ${KEY}port`,
      other: `redirect [POST /v1/request-landing] by ${KEY}range`,
    },
  ];
  for (const { name, policies, tiefighter, xwing, world, other } of cases) {
    it(`decides: ${name}`, () => {
      using scene = createScene();
      scene.put(EVERYBODY + policies);
      assert.equal(scene.compute.step(), true);
      assert.equal(ask(scene, 'tiefighter', 80), tiefighter);
      assert.equal(ask(scene, 'xwing', 80), xwing);
      assert.equal(ask(scene, RESERVED.worldIpv4, 80), world);
      assert.equal(ask(scene, 'tiefighter', 90), other);
      assert.match(ask(scene, 'tiefighter', 80, 'egress'), /^allow$/);
      assert.equal(scene.compute.step(), false);
    });
  }

  it('lets a deny win over every allow, also in the ruleset', () => {
    using scene = createScene();
    const deny = 'ingressDeny: [{ fromEndpoints: [{ matchLabels: { org: alliance } }] }]';
    scene.put(EVERYBODY + policy('l7', `ingress: [{ toPorts: [{ ${PORT_80}, ${HTTP} }] }]\n  ${deny}`));
    scene.compute.step();
    assert.equal(ask(scene, 'xwing', 80), `deny by ${KEY}l7`);
    assert.match(ask(scene, 'tiefighter', 80), /^redirect/);
    const [ruleset] = [...scene.tables.desired.rulesets.values()];
    assert.ok(ruleset);
    assert.equal(readRuleset(ruleset, idOf(scene, 'xwing')).refused, true);
    assert.equal(readRuleset(ruleset, idOf(scene, 'tiefighter')).refused, false);
  });

  it('always lets the local host in, with all requests where others are asked', () => {
    using scene = createScene();
    scene.put(EVERYBODY + policy('l7', `ingress: [{ toPorts: [{ ${PORT_80}, ${HTTP} }] }]`));
    scene.compute.step();
    assert.equal(ask(scene, RESERVED.host, 443), 'allow');
    assert.match(ask(scene, RESERVED.host, 80), /\[\*, POST/);
  });

  it('keeps a ruleset that no entry names any more, saying what L3 and L4 say now', () => {
    using scene = createScene();
    scene.put(EVERYBODY + policy('p', `ingress: [{ ${FROM_EMPIRE}, toPorts: [{ ${PORT_80}, ${HTTP} }] }]`));
    scene.compute.step();
    const [before] = [...scene.tables.desired.rulesets.values()];
    const current = (): unknown =>
      scene.tables.desired.rulesets
        .get(String(before?.id))
        ?.rules.map(({ peers, wildcard, http, policies }) => ({ peers, wildcard, http, policies }));
    scene.put(policy('p', `ingress: [{ ${FROM_EMPIRE}, toPorts: [{ ${PORT_80} }] }]`));
    scene.compute.step();
    const empire = [idOf(scene, 'deathstar'), idOf(scene, 'tiefighter')].sort((a, b) => a - b);
    // The local host may always reach its pods.
    const host = { peers: [RESERVED.host], wildcard: true, http: [], policies: [] };
    assert.deepEqual(current(), [{ peers: empire, wildcard: true, http: [], policies: [`${KEY}p`] }, host]);
    scene.put(policy('p', 'ingress: [{}]'));
    scene.compute.step();
    assert.deepEqual(current(), [host]);
    scene.remove('policy', policyKey('p'));
    scene.compute.step();
    assert.deepEqual(current(), [{ peers: 'any', wildcard: true, http: [], policies: [] }]);
    scene.remove('pod', 'default/deathstar');
    scene.compute.step();
    assert.equal(current(), undefined);
  });
});
