import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPolicyNames, MAX_RETIRED } from './policies.ts';
import { AT, createSlabMemory, openSlabReader, openSlabWriter, SLOT_BYTES } from './slab.ts';

test('`createPolicyNames` keeps a retired list while a record names it, and a bounded number of others', () => {
  const memory = createSlabMemory();
  const writer = openSlabWriter(memory);
  const policies = createPolicyNames(openSlabReader(memory));
  const slot = writer.take();
  writer.view.setUint32(slot * SLOT_BYTES + AT.egressPolicies, 1);
  writer.view.setUint32(slot * SLOT_BYTES + AT.ingressPolicies, 2);
  const live = 3;
  for (let number = 1; number <= live; number++) policies.learn(number, [`ns/p${number}`]);
  policies.retire([1, 2]);
  for (let number = live + 1; number < 10 * MAX_RETIRED; number++) {
    policies.learn(number, [`ns/p${number}`]);
    policies.retire([number]);
    assert.ok(policies.size <= MAX_RETIRED + 4, `${policies.size} lists`);
  }
  assert.deepEqual([0, 1, 2, 3, 4].map(policies.of), [[], ['ns/p1'], ['ns/p2'], ['ns/p3'], []]);
  // The next record in the slot names others.
  writer.view.setUint32(slot * SLOT_BYTES + AT.egressPolicies, 3);
  writer.view.setUint32(slot * SLOT_BYTES + AT.ingressPolicies, 0);
  policies.retire(Array.from({ length: MAX_RETIRED + 1 }, (_, i) => 1e6 + i));
  assert.deepEqual([1, 2, 3].map(policies.of), [[], [], ['ns/p3']]);
});
