// Allow and deny at L3, L4 and L7, for ingress and egress, for IPv4 and IPv6.
//
//   client ───┐
//             ├── node ── server :80 :8080
//   stranger ─┘

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  apps,
  curl,
  type KubeObject,
  needsRoot,
  pod,
  policy,
  ports,
  service,
  startTestMesh,
  type TestMesh,
} from '../mesh.ts';

interface Check {
  readonly from: 'client' | 'stranger';
  readonly port?: number;
  readonly method?: string;
  readonly path?: string;
  readonly expected: number | 'hangs';
}

const HANG_SECONDS = 1.5;
const GET_PUBLIC = [{ method: 'GET', path: '/public' }];

/** Both callers, port 80, path /public. */
const everyone = (client: Check['expected'], stranger: Check['expected']): readonly Check[] => [
  { from: 'client', path: '/public', expected: client },
  { from: 'stranger', path: '/public', expected: stranger },
];

const CASES: readonly {
  readonly name: string;
  readonly policies: readonly KubeObject[];
  readonly checks: readonly Check[];
}[] = [
  { name: 'no policy: all pass', policies: [], checks: everyone(200, 200) },
  {
    name: 'ingress L3: the selected peer passes on every port, others are cut',
    policies: [policy('p', 'server', { ingress: [{ fromEndpoints: apps('client') }] })],
    checks: [...everyone(200, 'hangs'), { from: 'client', port: 8080, expected: 200 }],
  },
  {
    name: 'ingress L4: only the named port',
    policies: [policy('p', 'server', { ingress: [{ fromEndpoints: apps('client'), toPorts: ports([80]) }] })],
    checks: [...everyone(200, 'hangs'), { from: 'client', port: 8080, expected: 'hangs' }],
  },
  {
    name: 'ingress L4 for any peer',
    policies: [policy('p', 'server', { ingress: [{ toPorts: ports([8080]) }] })],
    checks: [...everyone('hangs', 'hangs'), { from: 'stranger', port: 8080, expected: 200 }],
  },
  {
    name: 'ingress L7: only the named request, others get 403, other peers are cut',
    policies: [
      policy('p', 'server', { ingress: [{ fromEndpoints: apps('client'), toPorts: ports([80], GET_PUBLIC) }] }),
    ],
    checks: [
      ...everyone(200, 'hangs'),
      { from: 'client', path: '/private', expected: 403 },
      { from: 'client', path: '/public/', expected: 403 },
      { from: 'client', method: 'POST', path: '/public', expected: 403 },
      { from: 'client', port: 8080, path: '/public', expected: 'hangs' },
    ],
  },
  {
    name: 'egress L3: the policed caller reaches nobody but the selected peer',
    policies: [policy('p', 'client', { egress: [{ toEndpoints: apps('server') }] })],
    checks: everyone(200, 200),
  },
  {
    name: 'egress L3: not the selected peer',
    policies: [policy('p', 'client', { egress: [{ toEndpoints: apps('stranger') }] })],
    checks: everyone('hangs', 200),
  },
  {
    name: 'egress L4: only the named port',
    policies: [policy('p', 'client', { egress: [{ toEndpoints: apps('server'), toPorts: ports([8080]) }] })],
    checks: [...everyone('hangs', 200), { from: 'client', port: 8080, expected: 200 }],
  },
  {
    name: 'egress L7: only the named request',
    policies: [policy('p', 'client', { egress: [{ toEndpoints: apps('server'), toPorts: ports([80], GET_PUBLIC) }] })],
    checks: [
      ...everyone(200, 200),
      { from: 'client', path: '/private', expected: 403 },
      { from: 'stranger', path: '/private', expected: 200 },
      { from: 'client', port: 8080, expected: 'hangs' },
    ],
  },
  {
    name: 'egress and ingress L7 on one node: what both allow',
    policies: [
      policy('out', 'client', {
        egress: [{ toEndpoints: apps('server'), toPorts: ports([80], [{ path: '/(public|out)' }]) }],
      }),
      policy('in', 'server', {
        ingress: [{ fromEndpoints: apps('client', 'stranger'), toPorts: ports([80], [{ path: '/(public|in)' }]) }],
      }),
    ],
    checks: [
      ...everyone(200, 200),
      { from: 'client', path: '/out', expected: 403 },
      { from: 'client', path: '/in', expected: 403 },
      { from: 'stranger', path: '/in', expected: 200 },
      { from: 'stranger', path: '/out', expected: 403 },
    ],
  },
  {
    name: 'an empty rule selects nobody',
    policies: [policy('p', 'server', { ingress: [{}] })],
    checks: everyone('hangs', 'hangs'),
  },
];

/** The same verdicts wherever the programs are attached. */
const MODES = [
  { title: 'policy between pods', env: {}, cases: CASES },
  {
    title: 'policy between pods, attached as on kernels without tcx',
    env: { WEIR_ATTACH_MODE: 'clsact' },
    cases: CASES.filter(({ name }) => /L4: only|L7: only/.test(name)),
  },
] as const;

for (const { title, env, cases } of MODES) {
  describe(title, { skip: needsRoot }, () => {
    let mesh: TestMesh;
    before(async () => {
      const objects = [
        pod('client'),
        pod('stranger'),
        pod('server', ['server.ts', '80', '8080']),
        service('server', [80]),
      ];
      mesh = await startTestMesh(objects, { env });
    });
    after(() => mesh?.[Symbol.asyncDispose]());

    for (const { name, policies, checks } of cases) {
      for (const family of [4, 6] as const) {
        test(`IPv${family}: ${name}`, async () => {
          await mesh.setPolicies(policies);
          const host = await mesh.address('server', family);
          const found = await Promise.all(
            checks.map(async ({ expected, ...check }) => {
              const seconds = expected === 'hangs' ? HANG_SECONDS : 10;
              const { outcome, body } = await curl(mesh, { ...check, host, seconds });
              if (outcome === 403) assert.equal(body, 'Access denied\r\n');
              if (outcome === 200) {
                const { client, server } = JSON.parse(body);
                assert.equal(client, await mesh.address(check.from, family), "the server sees the client's address");
                assert.equal(server, host);
              }
              return { ...check, expected: outcome };
            }),
          );
          assert.deepEqual(found, checks);
        });
      }
    }

    for (const family of [4, 6] as const) {
      test(`IPv${family}: a name leads to the service, by its short and its full form`, async () => {
        await mesh.setPolicies([]);
        for (const host of ['server', 'server.default', 'server.default.svc.cluster.local']) {
          const { outcome, body } = await curl(mesh, { from: 'client', host, arguments: [`-${family}`] });
          assert.equal(outcome, 200, body);
          assert.equal(JSON.parse(body).client, await mesh.address('client', family));
        }
        const unknown = await curl(mesh, { from: 'client', host: 'nobody.default', arguments: [`-${family}`] });
        assert.equal(unknown.outcome, 'curl 6', unknown.body);
      });
    }
  });
}
