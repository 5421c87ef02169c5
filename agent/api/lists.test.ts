import assert from 'node:assert/strict';
import { test } from 'node:test';
import { identity } from '#common/ids.ts';
import { ADDRESSES, sceneTables } from '../flows/scene.fixture.ts';
import { listRows } from './lists.ts';
import { fakeProviders } from './providers.fixture.ts';

const providers = fakeProviders();

test('`listRows` counts the pods of a service, not their addresses, and those of a headless one', () => {
  const own = sceneTables();
  const { inputs, desired } = own;
  const count = (name: string): unknown[] => {
    const reply = listRows({ kind: 'services', namespace: '' }, { node: 'node0', tables: own, providers });
    const services = (reply.ok ? reply.value.rowsJson : []).map((row) => JSON.parse(row));
    const row = services.find((service) => service.name === name);
    return [row?.backends, row?.backendAddresses];
  };
  desired.backends.set('2', { id: 2, address: ADDRESSES.xwing6, port: 80, protocol: 6 });
  desired.backends.set('3', { id: 3, address: ADDRESSES.xwing, port: 80, protocol: 6 });
  const [key, frontend] = [...desired.frontends.entries()][0] ?? [];
  assert.ok(key !== undefined && frontend !== undefined);
  desired.frontends.set(key, { ...frontend, backends: [1, 2, 3] });
  assert.deepEqual(count('deathstar'), [2, ['10.244.0.10:80', '[fd00:10:244::12]:80', '10.244.0.12:80']]);

  const service = inputs.services.get('default/deathstar');
  assert.ok(service !== undefined);
  inputs.services.set('default/rebels', {
    ...service,
    ...{ name: 'rebels', clusterIps: 'None', selector: { class: 'xwing' } },
  });
  assert.deepEqual(count('rebels'), [1, ['10.244.0.12', 'fd00:10:244::12']]);
  const xwing = inputs.endpoints.get('default/xwing');
  assert.ok(xwing !== undefined);
  inputs.endpoints.set('default/xwing', { ...xwing, ready: false });
  assert.deepEqual(count('rebels'), [0, []]);
});

test('`listRows` says which endpoints are enforced, and which would be without audit mode', () => {
  const own = sceneTables();
  const { enforcement } = own.desired;
  const shown = (): unknown[] => {
    const reply = listRows({ kind: 'endpoints', namespace: 'default' }, { node: 'node0', tables: own, providers });
    const rows = (reply.ok ? reply.value.rowsJson : []).map((row) => JSON.parse(row));
    const row = rows.find(({ pod }) => pod === 'default/xwing');
    return [row?.policyIngress, row?.policyEgress];
  };
  const row = enforcement.get('default/xwing');
  assert.ok(row !== undefined);
  const cases = [
    { change: { ingress: false, egress: false, audit: true }, expected: ['Disabled', 'Disabled'] },
    { change: { ingress: true, egress: false, audit: true }, expected: ['Disabled (Audit)', 'Disabled'] },
    { change: { ingress: true, egress: true, audit: true }, expected: ['Disabled (Audit)', 'Disabled (Audit)'] },
    { change: { ingress: false, egress: true, audit: false }, expected: ['Disabled', 'Enabled'] },
  ];
  for (const { change, expected } of cases) {
    enforcement.set('default/xwing', { ...row, ...change });
    assert.deepEqual(shown(), expected);
  }
});

test('`listRows` shows the resolver by the identity that it has without enforcement', () => {
  const own = sceneTables();
  const resolver = 'kube-system/kube-dns';
  const endpoint = own.inputs.endpoints.get(resolver);
  assert.ok(endpoint !== undefined);
  const shown = (): unknown[] => {
    const reply = listRows({ kind: 'endpoints', namespace: 'kube-system' }, { node: 'node0', tables: own, providers });
    return (reply.ok ? reply.value.rowsJson : [])
      .map((row) => JSON.parse(row))
      .map((row) => [row.identity, row.status]);
  };
  own.desired.enforcement.delete(resolver);
  assert.deepEqual(shown(), [[null, 'waiting-for-identity']]);
  own.desired.endpoints.set(resolver, { endpoint, identity: identity(256) });
  assert.deepEqual(shown(), [[256, 'ready']]);
});
