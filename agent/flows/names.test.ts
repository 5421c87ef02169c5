import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cookie, identity, peerSetId } from '#common/ids.ts';
import { createNames } from './names.ts';
import { ADDRESSES, IDS, RULE1, sceneTables } from './scene.fixture.ts';

test('`createNames` remembers an endpoint that is gone until its address is used again', () => {
  const tables = sceneTables();
  const names = createNames(tables);
  const row = tables.inputs.endpoints.get('default/xwing');
  assert.ok(row);
  tables.inputs.endpoints.delete('default/xwing');
  assert.equal(names.endpoint(ADDRESSES.xwing, 301).pod_name, 'xwing');
  assert.equal(names.isLocal(ADDRESSES.xwing), false);
  tables.inputs.endpoints.set('default/ywing', { ...row, pod: 'ywing' });
  assert.equal(names.endpoint(ADDRESSES.xwing, 301).pod_name, 'ywing');
  assert.equal(names.endpoint(ADDRESSES.world, 2).pod_name, undefined);
  assert.deepEqual(names.endpoint(ADDRESSES.world, 2).labels, ['reserved:world']);
  names.close();
});

test('`createNames` knows a service by its frontend, and nothing else by it', () => {
  const names = createNames(sceneTables());
  assert.deepEqual(names.service(ADDRESSES.service, 80, 6), { name: 'deathstar', namespace: 'default' });
  assert.equal(names.service(ADDRESSES.service, 80, 17), undefined);
  assert.equal(names.service(ADDRESSES.deathstar, 80, 6), undefined);
});

test('`createNames` names policies with their kind, labels and the revision of the moment', () => {
  let revision = 0;
  const names = createNames(sceneTables(), () => revision);
  const prefix = 'k8s:io.cilium.k8s.policy';
  const rule1 = {
    name: 'rule1',
    namespace: 'default',
    labels: [`${prefix}.derived-from=CiliumNetworkPolicy`, `${prefix}.name=rule1`, `${prefix}.namespace=default`],
    kind: 'CiliumNetworkPolicy',
  };
  assert.deepEqual(names.policies(RULE1), [rule1]);
  revision = 7;
  assert.deepEqual(names.policies(RULE1), [{ ...rule1, revision: '7' }]);
  assert.deepEqual(names.policy('CiliumClusterwideNetworkPolicy /all'), {
    name: 'all',
    labels: [`${prefix}.derived-from=CiliumClusterwideNetworkPolicy`, `${prefix}.name=all`],
    revision: '7',
    kind: 'CiliumClusterwideNetworkPolicy',
  });
  assert.equal(names.policies(0), undefined);
  assert.equal(names.policies(999), undefined);
});

test('all policies that say the same of a flow are named, as long as they still do', () => {
  const tables = sceneTables();
  const { policy, cookies } = tables.desired;
  const rule = policy.get('rule1');
  assert.ok(rule);
  const other = { policy: 'CiliumNetworkPolicy default/other', file: 'o.yaml', line: 1, field: 'spec.ingress[0]' };
  cookies.set('8', { cookie: cookie(8), policies: [other.policy], rules: [other] });
  policy.set('other', { ...rule, peers: peerSetId(0), cookie: cookie(8) });
  const names = createNames(tables);
  const asked = {
    subject: rule.subject,
    direction: 'ingress' as const,
    peer: identity(IDS.tiefighter),
    l4: { protocol: 6, port: 80, bits: 24 },
  };
  const named = (): readonly string[] => (names.policies(RULE1, asked) ?? []).map(({ name }) => name);
  assert.deepEqual(named(), ['other', 'rule1']);
  assert.deepEqual(
    names.policies(RULE1)?.map(({ name }) => name),
    ['rule1'],
    'nobody says what was asked',
  );
  policy.delete('rule1');
  assert.deepEqual(named(), ['rule1'], 'it was its entry, whatever the others say now');
  names.close();
});
