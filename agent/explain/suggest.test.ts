import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { stringify } from 'yaml';
import type { Flow } from '#observe/flow/model.ts';
import { explain } from './explain.ts';
import { worldOf } from './mesh.fixture.ts';
import { observedOf } from './observed.ts';
import { httpRules, type SuggestOptions, suggest } from './suggest.ts';

const ALL: SuggestOptions = { namespace: '', pods: [], directions: ['ingress', 'egress'] };
const OBSERVE = { includeDenied: false, http: true };
const labels = (app: string, namespace = 'default', more: string[] = []): string[] => [
  `k8s:app=${app}`,
  ...more,
  'k8s:io.cilium.k8s.policy.cluster=default',
  'k8s:io.cilium.k8s.policy.serviceaccount=default',
  `k8s:io.kubernetes.pod.namespace=${namespace}`,
];
const END: Readonly<Record<string, NonNullable<Flow['source']>>> = {
  web: { pod_name: 'web', namespace: 'default', labels: labels('web'), workloads: [{ kind: 'Pod', name: 'web' }] },
  api: { pod_name: 'api', namespace: 'default', labels: labels('api', 'default', ['k8s:tier=back']) },
  probe: { pod_name: 'probe', namespace: 'other', labels: labels('probe', 'other') },
  world: { labels: ['reserved:world-ipv4'] },
  host: { labels: ['reserved:host'] },
};

function flow(from: string, to: string, change: Partial<Flow> & { port?: number } = {}): Flow {
  const { port = 8080, ...rest } = change;
  return {
    time: { seconds: 1_000 },
    verdict: 'FORWARDED',
    Type: 'L3_L4',
    event_type: { type: 4 },
    is_reply: { value: false },
    IP: { source: '192.0.2.1', destination: '192.0.2.1' },
    l4: { TCP: { source_port: 40_000, destination_port: port } },
    ...(END[from] ? { source: END[from] } : {}),
    ...(END[to] ? { destination: END[to] } : {}),
    ...rest,
  };
}

function get(path: string, method = 'GET'): Partial<Flow> {
  return { l7: { type: 'REQUEST', http: { method, url: `http://api:8080${path}` } } };
}

/** Policies as YAML. */
function suggested(flows: readonly Flow[], options: Partial<SuggestOptions> = {}): string[] {
  return suggest(observedOf(flows, OBSERVE), { ...ALL, ...options }).policies.map((one) => stringify(one));
}

describe('suggest', () => {
  test('allows what was seen, and nothing else', () => {
    const flows = [
      flow('web', 'api', get('/v1/items?page=2')),
      flow('web', 'api', get('/v1/items')),
      flow('web', 'world', { port: 443 }),
      flow('probe', 'api', { port: 9_000 }),
      flow('host', 'api', { port: 1 }),
    ];
    const policies = suggested(flows);
    const world = worldOf(policies);
    const request = { host: '', headers: [] };
    const asked: [string, string, string, string | undefined, string][] = [
      ['web', 'api', '8080', 'GET /v1/items', 'allow'],
      ['web', 'api', '8080', 'GET /v1/items?page=7', 'allow'],
      ['web', 'api', '8080', 'PUT /v1/items', 'deny'],
      ['web', 'api', '8080', 'GET /v1/other', 'deny'],
      ['web', 'api', '8081', undefined, 'deny'],
      ['web', '192.0.2.1', '443', undefined, 'allow'],
      ['web', '192.0.2.2', '443', undefined, 'deny'],
      ['other/probe', 'api', '9000', undefined, 'allow'],
      ['other/probe', 'api', '8080', undefined, 'deny'],
      ['db', 'api', '9000', undefined, 'deny'],
      ['api', 'web', '80', undefined, 'deny'],
      ['entity:host', 'api', '1', undefined, 'allow'],
    ];
    for (const [from, to, port, line, verdict] of asked) {
      const [method = '', path = ''] = (line ?? '').split(' ');
      const question = { from, to, port, ...(line ? { request: { ...request, method, path } } : {}) };
      const answer = explain(question, world);
      assert.ok(answer.ok);
      assert.equal(answer.value.verdict === 'deny' ? 'deny' : 'allow', verdict, `${from} ${to} ${port} ${line}`);
    }
  });

  test('leaves out answers, refusals and what cannot be named', () => {
    const denied = flow('web', 'api', { verdict: 'DROPPED' });
    const reply = flow('web', 'api', { is_reply: { value: true } });
    assert.deepEqual(suggested([denied, reply, flow('world', 'world')]), []);
    const observed = observedOf([denied], { ...OBSERVE, includeDenied: true });
    assert.equal(suggest(observed, ALL).policies.length, 2);
    const { notes } = suggest(observedOf([flow('web', 'nobody'), flow('web', 'api')], OBSERVE), ALL);
    assert.match(notes[0] ?? '', /^1 flows are left out/);
  });

  test('does not allow a port because a refused request was on it, nor what the other end refused', () => {
    const toProxy = flow('web', 'api', { trace_observation_point: 'TO_PROXY' });
    const refused = flow('web', 'api', { ...get('/admin'), verdict: 'DROPPED' });
    assert.deepEqual(suggested([toProxy, refused]), []);
    assert.equal(suggested([toProxy]).length, 2);
    const [, web = ''] = suggested([toProxy, refused, flow('web', 'api', get('/v1'))]);
    assert.match(web, /path: \/v1\n/);
    assert.doesNotMatch(web, /admin/);
    const sent = flow('web', 'api', { event_type: { type: 5 }, traffic_direction: 'EGRESS' });
    assert.deepEqual(suggested([sent, flow('web', 'api', { verdict: 'DROPPED', event_type: { type: 1 } })]), []);
  });

  test('says where connections were not looked into', () => {
    const { notes } = suggest(observedOf([flow('web', 'api'), flow('web', 'api', get('/v1'))], OBSERVE), ALL);
    assert.match(notes.join(), /^default\/web -> default\/api 8080\/TCP: some connections were not looked into/);
  });

  test('keeps to a namespace, to pods and to a direction', () => {
    const flows = [flow('probe', 'api'), flow('web', 'api')];
    const names = (options: Partial<SuggestOptions>): unknown[] =>
      suggest(observedOf(flows, OBSERVE), { ...ALL, ...options }).policies.map(
        (one) => (one.metadata as { name: string }).name,
      );
    assert.deepEqual(names({}), ['api', 'web', 'probe']);
    assert.deepEqual(names({ namespace: 'other' }), ['probe']);
    assert.deepEqual(names({ pods: ['web', 'default/api'] }), ['api', 'web']);
    assert.deepEqual(names({ pods: ['other/web'] }), []);
    assert.deepEqual(names({ directions: ['ingress'] }), ['api']);
    assert.doesNotMatch(suggested(flows, { directions: ['ingress'] })[0] ?? '', /egress/);
  });

  test('puts peers that have the same ports together, and many addresses into the world', () => {
    const [api = ''] = suggested([flow('web', 'api'), flow('probe', 'api')], {
      pods: ['api'],
      directions: ['ingress'],
    });
    assert.equal(api.match(/toPorts/g)?.length, 1);
    assert.match(api, /k8s:io\.kubernetes\.pod\.namespace: other/);
    const crowd = Array.from({ length: 17 }, (_, i) =>
      flow('web', 'world', { IP: { source: '10.0.0.1', destination: `192.0.2.${i + 1}` } }),
    );
    assert.match(suggested(crowd)[0] ?? '', /toEntities:\n {8}- world\n/);
    assert.match(suggested(crowd.slice(1))[0] ?? '', /192\.0\.2\.17\/32/);
  });

  test('names what DNS named', () => {
    const named = flow('web', 'world', { destination_names: ['api.example.com'] });
    assert.match(suggested([named])[0] ?? '', /toFQDNs:\n {8}- matchName: api\.example\.com/);
  });
});

test('`httpRules` quotes paths and makes one pattern of many that only differ in numbers', () => {
  const requests = (paths: string[]): { method: string; path: string }[] =>
    paths.map((path) => ({ method: 'GET', path }));
  const cases: { paths: string[]; rules: string[] }[] = [
    { paths: ['/a.b', '/a(b)'], rules: ['/a\\.b', '/a\\(b\\)'] },
    { paths: ['/x?a=1', '/x'], rules: ['/x(\\?.*)?'] },
    { paths: ['/i/1', '/i/2'], rules: ['/i/1', '/i/2'] },
    { paths: Array.from({ length: 9 }, (_, i) => `/i/${i}/z`), rules: ['/i/[^/?]+/z'] },
  ];
  for (const { paths, rules } of cases) {
    assert.deepEqual(
      httpRules(requests(paths)).map(({ path }) => path),
      rules,
    );
  }
});
