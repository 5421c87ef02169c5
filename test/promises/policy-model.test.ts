// Policies of every kind on real traffic, for both families.
//
//   client ───┐
//             ├── node ── server :80 (named "web") :8080
//   stranger ─┘

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { apps, curl, type KubeObject, needsRoot, pod, ports, startTestMesh, type TestMesh } from '../mesh.ts';

const HANG_SECONDS = 1.5;
const SERVER = { matchLabels: { app: 'server' } };

interface Check {
  readonly from: 'client' | 'stranger';
  readonly port?: number;
  readonly path?: string;
  readonly expected: number | 'hangs';
}

const cilium = (kind: string, spec: KubeObject): KubeObject => ({
  apiVersion: 'cilium.io/v2',
  kind,
  metadata: { name: 'p' },
  spec: { endpointSelector: SERVER, ...spec },
});
const namespaced = (spec: KubeObject): KubeObject => cilium('CiliumNetworkPolicy', spec);
const kubernetes = (spec: KubeObject): KubeObject => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name: 'p' },
  spec: { podSelector: SERVER, ...spec },
});
const everyone = (client: Check['expected'], stranger: Check['expected']): readonly Check[] => [
  { from: 'client', expected: client },
  { from: 'stranger', expected: stranger },
];
const NAMED = [{ ports: [{ port: 'web', protocol: 'TCP' }] }];

const CASES: readonly {
  readonly name: string;
  readonly policies: readonly KubeObject[];
  readonly checks: readonly Check[];
}[] = [
  {
    name: 'a deny wins over every allow',
    policies: [
      namespaced({
        ingress: [{ fromEntities: ['all'] }],
        ingressDeny: [{ fromEndpoints: apps('stranger'), toPorts: ports([80]) }],
      }),
    ],
    checks: [...everyone(200, 'hangs'), { from: 'stranger', port: 8080, expected: 200 }],
  },
  {
    name: 'a denied request is refused though an allow matches',
    policies: [
      namespaced({
        ingress: [{ toPorts: ports([80]) }],
        ingressDeny: [{ fromEndpoints: apps('client'), toPorts: ports([80], [{ path: '/private.*' }]) }],
      }),
    ],
    checks: [...everyone(200, 200), { from: 'client', path: '/private', expected: 403 }],
  },
  {
    name: 'without default deny only what is denied is refused',
    policies: [
      namespaced({
        enableDefaultDeny: { ingress: false },
        ingressDeny: [{ fromEndpoints: apps('client'), toPorts: ports([8080]) }],
      }),
    ],
    checks: [...everyone(200, 200), { from: 'client', port: 8080, expected: 'hangs' }],
  },
  {
    name: 'a clusterwide policy, a named port and a cluster entity',
    policies: [cilium('CiliumClusterwideNetworkPolicy', { ingress: [{ fromEntities: ['cluster'], toPorts: NAMED }] })],
    checks: [...everyone(200, 200), { from: 'client', port: 8080, expected: 'hangs' }],
  },
  {
    name: 'a CIDR rule does not select pods, whatever their addresses',
    policies: [namespaced({ ingress: [{ fromCIDR: ['0.0.0.0/0', '::/0'] }] })],
    checks: everyone('hangs', 'hangs'),
  },
  {
    name: 'a NetworkPolicy with a range of ports',
    policies: [
      kubernetes({
        ingress: [
          {
            from: [{ podSelector: { matchExpressions: [{ key: 'app', operator: 'In', values: ['client'] }] } }],
            ports: [{ port: 79, endPort: 81, protocol: 'TCP' }],
          },
        ],
      }),
    ],
    checks: [...everyone(200, 'hangs'), { from: 'client', port: 8080, expected: 'hangs' }],
  },
  {
    name: 'two policies of different kinds add up',
    policies: [
      kubernetes({
        ingress: [{ from: [{ podSelector: { matchLabels: { app: 'client' } } }], ports: [{ port: 'web' }] }],
      }),
      namespaced({ ingress: [{ fromEndpoints: apps('stranger'), toPorts: ports([8080]) }] }),
    ],
    checks: [...everyone(200, 'hangs'), { from: 'stranger', port: 8080, expected: 200 }],
  },
];

describe('policies of every kind', { skip: needsRoot }, () => {
  let mesh: TestMesh;
  before(async () => {
    const server = pod('server', ['server.ts', '80', '8080']) as { spec: { containers: KubeObject[] } };
    const [container] = server.spec.containers;
    const named = { ...container, ports: [{ name: 'web', containerPort: 80, protocol: 'TCP' }] };
    mesh = await startTestMesh([
      pod('client'),
      pod('stranger'),
      { ...server, spec: { ...server.spec, containers: [named] } },
    ]);
  });
  after(() => mesh?.[Symbol.asyncDispose]());

  for (const { name, policies, checks } of CASES) {
    for (const family of [4, 6] as const) {
      test(`IPv${family}: ${name}`, async () => {
        await mesh.setPolicies(policies);
        const host = await mesh.address('server', family);
        const found = await Promise.all(
          checks.map(async ({ expected, ...check }) => {
            const { outcome } = await curl(mesh, { ...check, host, seconds: expected === 'hangs' ? HANG_SECONDS : 10 });
            return { ...check, expected: outcome };
          }),
        );
        assert.deepEqual(found, checks);
      });
    }
  }
});
