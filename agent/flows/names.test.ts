import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createNames } from './names.ts';
import { ADDRESSES, sceneTables } from './scene.fixture.ts';

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
