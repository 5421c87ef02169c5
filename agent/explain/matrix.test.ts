import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Matrix, type MatrixRequest, verdictMatrix } from './matrix.ts';
import { policy, worldOf } from './mesh.fixture.ts';

const ANY: MatrixRequest = { ports: ['8080'], peers: [], namespace: '' };
const API = policy(
  'api',
  'api',
  `ingress:
  - fromEndpoints: [{ matchLabels: { app: web } }]
    toPorts: [{ ports: [{ port: "8080", protocol: TCP }], rules: { http: [{ method: GET }] } }]`,
);
const WEB = policy('web', 'web', 'egress: [{ toEndpoints: [{ matchLabels: { tier: back } }] }]');

function matrixOf(policies: readonly string[], request: Partial<MatrixRequest> = {}): Matrix {
  const matrix = verdictMatrix({ ...ANY, ...request }, worldOf(policies));
  assert.ok(matrix.ok, matrix.ok ? '' : matrix.error);
  return matrix.value;
}

function cell({ cells }: Matrix, from: string, to: string): string {
  const found = cells.find((one) => one.from === from && one.to === to);
  if (found === undefined) return 'none';
  const { verdict, egress, ingress, policies, parsers } = found;
  return [verdict, egress, ingress, ...parsers, ...policies].join(' ');
}

test('`verdictMatrix` has every pair of workloads, and says who decides', () => {
  const matrix = matrixOf([API, WEB]);
  assert.deepEqual(
    matrix.ends.map(({ name, pods }) => [name, pods.length]),
    [
      ['default/api', 1],
      ['default/db', 1],
      ['default/shop', 2],
      ['default/web', 1],
      ['other/probe', 1],
    ],
  );
  const cases: [string, string, string][] = [
    [
      'default/web',
      'default/api',
      'redirect allow redirect http CiliumNetworkPolicy default/api CiliumNetworkPolicy default/web',
    ],
    ['default/web', 'default/db', 'allow allow allow CiliumNetworkPolicy default/web'],
    ['default/web', 'default/shop', 'deny deny allow'],
    ['other/probe', 'default/api', 'deny allow deny'],
    ['default/shop', 'default/shop', 'allow allow allow'],
    ['default/web', 'default/web', 'none'],
  ];
  for (const [from, to, text] of cases) assert.equal(cell(matrix, from, to), text, `${from} ${to}`);
  assert.equal(matrix.cells.length, 5 * 5 - 4, 'all but each single pod with itself');
});

test('`verdictMatrix` tells pods in audit mode apart, and what passes because of it', () => {
  const world = worldOf([policy('shop', 'shop', 'ingress: [{}]')]);
  const { enforcement } = world.tables.desired;
  const [key, row] = [...enforcement.entries()].find(([name]) => name.startsWith('default/shop')) ?? [];
  assert.ok(key !== undefined && row !== undefined);
  enforcement.set(key, { ...row, audit: true });
  const matrix = verdictMatrix(ANY, world);
  assert.ok(matrix.ok);
  const shops = matrix.value.ends.filter(({ name }) => name.startsWith('default/shop'));
  assert.deepEqual(shops.map(({ pods, audit }) => [pods.length, audit]).sort(), [
    [1, false],
    [1, true],
  ]);
  for (const { name, audit } of shops) {
    assert.equal(cell(matrix.value, 'default/web', name).trim(), audit ? 'audit allow audit' : 'deny allow deny');
  }
});

test('`verdictMatrix` takes peers outside and one namespace', () => {
  const matrix = matrixOf([API], { peers: ['entity:world', '192.0.2.7'], namespace: 'default' });
  assert.deepEqual(matrix.ends.map(({ name }) => name).slice(-3), ['default/web', 'entity:world', '192.0.2.7']);
  assert.equal(cell(matrix, 'entity:world', 'default/api'), 'deny  deny');
  assert.equal(cell(matrix, 'default/web', '192.0.2.7'), 'allow allow ');
  assert.equal(cell(matrix, 'entity:world', '192.0.2.7'), 'none');
});

test('`verdictMatrix` finds the ports of containers and policies, and says which it leaves out', () => {
  assert.deepEqual(matrixOf([WEB], { ports: [] }).ports, ['8080/TCP']);
  const many = [1, 2, 3, 4, 5, 6, 7].map((port) => `{ port: "${port}", protocol: UDP }`).join(', ');
  const matrix = matrixOf([policy('p', 'db', `ingress: [{ toPorts: [{ ports: [${many}] }] }]`)], { ports: [] });
  assert.deepEqual(matrix.ports, ['8080/TCP', '1/UDP', '2/UDP', '3/UDP', '4/UDP', '5/UDP']);
  assert.deepEqual(matrix.morePorts, ['6/UDP', '7/UDP']);
});

test('`verdictMatrix` says what makes no sense', () => {
  const world = worldOf([]);
  const cases: [Partial<MatrixRequest>, RegExp][] = [
    [{ ports: ['http'] }, /a name differs from pod to pod/],
    [{ ports: ['70000'] }, /from 1 to 65535/],
    [{ peers: ['entity:moon'] }, /"moon" is not known/],
    [{ ports: Array.from({ length: 60_000 }, (_, i) => String(i + 1)) }, /more than 1000000 verdicts/],
  ];
  for (const [request, error] of cases) {
    const matrix = verdictMatrix({ ...ANY, ...request }, world);
    assert.match(matrix.ok ? 'answered' : matrix.error, error);
  }
});
