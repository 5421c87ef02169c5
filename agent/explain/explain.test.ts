import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readObjects } from '#mesh-config/read.ts';
import { explain } from './explain.ts';
import { policy, worldOf } from './mesh.fixture.ts';
import type { Explanation, HttpRequest, Question } from './model.ts';
import type { World } from './world.ts';

const WEB_TO_API = policy(
  'api',
  'api',
  'ingress:\n  - fromEndpoints: [{ matchLabels: { app: web } }]\n    toPorts: [{ ports: [{ port: "8080", protocol: TCP }] }]',
);
const HTTP = policy(
  'api',
  'api',
  'ingress:\n  - toPorts: [{ ports: [{ port: "8080", protocol: TCP }], rules: { http: [{ method: GET, path: "/v1/.*" }] } }]',
);
const DENY_PROBE = policy(
  'deny',
  'api',
  'ingressDeny:\n  - fromEndpoints: [{ matchLabels: { "k8s:io.kubernetes.pod.namespace": other } }]',
);
const CLOSED = policy('closed', 'web', 'egress: [{}]');
const GET: HttpRequest = { method: 'GET', path: '/v1/x', host: '', headers: [] };
const PUT: HttpRequest = { ...GET, method: 'PUT', path: '/v1/x?a=(b)' };

function ask(world: World, question: Partial<Question>): Explanation {
  const answer = explain({ from: 'web', to: 'api', port: '8080', ...question }, world);
  assert.ok(answer.ok, answer.ok ? '' : answer.error);
  return answer.value;
}

/** "egress allow/no-policy ingress deny/default-deny by CiliumNetworkPolicy default/x:6 spec.ingress[0]". */
function summary(answer: Explanation): string {
  const sides = [answer.egress, answer.ingress].map((side) => {
    if (side === undefined) return 'none';
    const by = side.rules.map(
      ({ kind, namespace, name, line, field }) => `${kind} ${namespace}/${name}:${line} ${field}`,
    );
    const request = side.request ? ` request ${side.request.verdict}` : '';
    return `${side.verdict}/${side.reason}${request}${by.length > 0 ? ` by ${by.join(', ')}` : ''}`;
  });
  return `${answer.verdict}: ${sides.join(' | ')}`;
}

describe('explain', () => {
  const cases: { name: string; policies: string[]; question?: Partial<Question>; answer: string }[] = [
    { name: 'no policy', policies: [], answer: 'allow: allow/no-policy | allow/no-policy' },
    {
      name: 'allowed by a rule',
      policies: [WEB_TO_API],
      answer: 'allow: allow/no-policy | allow/policy by CiliumNetworkPolicy default/api:7 spec.ingress[0]',
    },
    {
      name: 'another port',
      policies: [WEB_TO_API],
      question: { port: '8081' },
      answer: 'deny: allow/no-policy | deny/default-deny',
    },
    {
      name: 'another protocol',
      policies: [WEB_TO_API],
      question: { port: '8080/udp' },
      answer: 'deny: allow/no-policy | deny/default-deny',
    },
    {
      name: 'the name of a port',
      policies: [WEB_TO_API],
      question: { port: 'http' },
      answer: 'allow: allow/no-policy | allow/policy by CiliumNetworkPolicy default/api:7 spec.ingress[0]',
    },
    {
      name: 'both ends refuse',
      policies: [CLOSED, WEB_TO_API],
      question: { to: 'api', port: '1' },
      answer: 'deny: deny/default-deny | deny/default-deny',
    },
    {
      name: 'a deny rule',
      policies: [WEB_TO_API, DENY_PROBE],
      question: { from: 'other/probe' },
      answer: 'deny: allow/no-policy | deny/policy-deny by CiliumNetworkPolicy default/deny:7 spec.ingressDeny[0]',
    },
    {
      name: 'from outside: only one end decides',
      policies: [WEB_TO_API],
      question: { from: '192.0.2.1' },
      answer: 'deny: none | deny/default-deny',
    },
    {
      name: 'from the node',
      policies: [WEB_TO_API],
      question: { from: 'entity:host' },
      answer: 'allow: none | allow/policy',
    },
    {
      name: 'request by request',
      policies: [HTTP],
      answer: 'redirect: allow/no-policy | redirect/policy by CiliumNetworkPolicy default/api:7 spec.ingress[0]',
    },
    {
      name: 'a request that passes',
      policies: [HTTP],
      question: { request: GET },
      answer:
        'allow: allow/no-policy | redirect/policy request allow by CiliumNetworkPolicy default/api:7 spec.ingress[0]',
    },
    {
      name: 'a request that does not',
      policies: [HTTP],
      question: { request: PUT },
      answer:
        'deny: allow/no-policy | redirect/policy request deny by CiliumNetworkPolicy default/api:7 spec.ingress[0]',
    },
    {
      name: 'a service stands for its pods',
      policies: [WEB_TO_API],
      question: { to: 'service:api', port: '80' },
      answer: 'allow: allow/no-policy | allow/policy by CiliumNetworkPolicy default/api:7 spec.ingress[0]',
    },
    {
      name: 'a workload stands for its pods',
      policies: [WEB_TO_API],
      question: { from: 'shop' },
      answer: 'deny: allow/no-policy | deny/default-deny',
    },
  ];
  for (const { name, policies, question = {}, answer } of cases) {
    test(name, () => assert.equal(summary(ask(worldOf(policies), question)), answer));
  }

  test('says what would have to change, and it does', () => {
    const refusals: { name: string; policies: string[]; question: Partial<Question> }[] = [
      { name: 'ingress', policies: [WEB_TO_API], question: { from: 'db' } },
      { name: 'another namespace', policies: [WEB_TO_API], question: { from: 'other/probe' } },
      { name: 'egress', policies: [CLOSED], question: {} },
      { name: 'an address', policies: [WEB_TO_API], question: { from: '192.0.2.1' } },
      { name: 'an IPv6 address', policies: [CLOSED], question: { to: '2001:db8::1' } },
      { name: 'ICMP', policies: [CLOSED], question: { port: '8/ICMP' } },
      { name: 'an entity', policies: [CLOSED], question: { to: 'entity:kube-apiserver' } },
      { name: 'a request', policies: [HTTP], question: { request: PUT } },
    ];
    for (const { name, policies, question } of refusals) {
      const before = ask(worldOf(policies), question);
      assert.equal(before.verdict, 'deny', name);
      const changes = [before.egress, before.ingress].flatMap((side) => side?.change ?? []);
      assert.equal(changes.length, 1, name);
      const yaml = changes[0]?.yaml;
      assert.ok(yaml, name);
      assert.deepEqual(readObjects('change.yaml', yaml).problems, [], name);
      assert.notEqual(ask(worldOf([...policies, yaml]), question).verdict, 'deny', `${name}:\n${yaml}`);
      const other = ask(worldOf([...policies, yaml]), { ...question, port: '9999', request: undefined as never });
      assert.equal(other.verdict, 'deny', `${name} allows more than was asked`);
    }
  });

  test('names the deny rule that stands in the way instead of a policy', () => {
    const { ingress } = ask(worldOf([WEB_TO_API, DENY_PROBE]), { from: 'other/probe' });
    assert.equal(ingress?.change?.yaml, undefined);
    assert.match(
      ingress?.change?.text ?? '',
      /narrow or remove CiliumNetworkPolicy default\/deny \(p2\.yaml:7 spec\.ingressDeny\[0\]\)/,
    );
  });

  test('names the policies that select the refusing end', () => {
    const { ingress } = ask(worldOf([WEB_TO_API, DENY_PROBE, CLOSED]), { from: 'db' });
    assert.deepEqual(
      ingress?.selecting.map(({ name }) => name),
      ['api', 'deny'],
    );
    assert.match(ingress?.change?.text ?? '', /default\/api \(p1\.yaml:1\), .*default\/deny \(p2\.yaml:1\) select it/);
  });

  test('knows names that no DNS has resolved yet', () => {
    const names = policy('names', 'web', 'egress:\n  - toFQDNs: [{ matchPattern: "*.example.com" }]');
    const world = worldOf([names], { names: ['api.example.com', 'example.org'] });
    assert.equal(ask(world, { to: 'name:API.example.com' }).verdict, 'allow');
    assert.equal(ask(world, { to: 'name:example.org' }).verdict, 'deny');
  });

  test('knows audit mode', () => {
    const world = worldOf([WEB_TO_API]);
    const row = world.tables.desired.enforcement.get('default/api');
    assert.ok(row);
    world.tables.desired.enforcement.set('default/api', { ...row, audit: true });
    const { verdict, ingress } = ask(world, { from: 'db' });
    assert.deepEqual([verdict, ingress?.verdict, ingress?.audited], ['allow', 'deny', true]);
  });

  test('says what of a question makes no sense', () => {
    const world = worldOf([HTTP]);
    const cases: { question: Partial<Question>; error: RegExp }[] = [
      { question: { from: 'nobody' }, error: /no pod or workload "default\/nobody"/ },
      { question: { from: 'probe' }, error: /"default\/probe"; there is other\/probe$/ },
      { question: { from: 'a/b/c' }, error: /"a\/b\/c" is no pod/ },
      { question: { from: 'entity:cluster' }, error: /stands for many peers/ },
      { question: { from: 'entity:moon' }, error: /"moon" is not known: host, world/ },
      { question: { from: 'identity:77777' }, error: /no identity "77777"/ },
      { question: { to: 'service:api', port: '81' }, error: /no port 81 of that protocol; it has 80$/ },
      { question: { to: 'service:nobody' }, error: /no service "default\/nobody"/ },
      { question: { to: 'name:nowhere.example' }, error: /no address of "nowhere\.example"/ },
      { question: { port: '0' }, error: /from 1 to 65535/ },
      { question: { port: '80/QUIC' }, error: /"QUIC" is none of/ },
      { question: { port: 'grpc' }, error: /no TCP port called "grpc": it names TCP http=8080/ },
      { question: { port: '256/ICMP' }, error: /from 0 to 255/ },
      { question: { port: '53/UDP', request: GET }, error: /needs a TCP port/ },
    ];
    for (const { question, error } of cases) {
      const answer = explain({ from: 'web', to: 'api', port: '8080', ...question }, world);
      assert.match(answer.ok ? 'answered' : answer.error, error);
    }
  });
});
