import assert from 'node:assert/strict';
import { it } from 'node:test';
import { type PolicyKey, type PolicyValue, policyKey } from '#bpf/abi.ts';
import { peerSetId } from '#common/ids.ts';
import { createEditions } from './editions.ts';
import { fakeMap } from './fake-map.ts';
import { countMap } from './map.ts';
import { type EditionEntry, entryKey } from './policy-subject.ts';

it('goes on deleting an edition where a deletion failed, and counts each entry once', () => {
  const map = fakeMap<PolicyKey, PolicyValue>(policyKey);
  const remove = map.delete;
  let left = 2;
  map.delete = (key) => {
    if (left-- === 0) throw new Error('no memory');
    return remove(key);
  };
  const counted = countMap('policy', map);
  const editions = createEditions(counted);
  const entries = [1, 2, 3, 4].map(
    (set): EditionEntry => ({
      ...{ peers: peerSetId(set), protocol: 0, port: 0, l4Bits: 0 },
      ...{ action: 'allow', precedence: 1, ruleset: 0, cookie: 0 },
    }),
  );
  const [edition] = editions.write([new Map(entries.map((entry) => [entryKey(entry), entry]))]);
  assert.ok(edition);
  editions.discard(edition);
  editions.clean();
  assert.deepEqual([map.size, counted.size], [2, 2]);
  editions.clean();
  assert.deepEqual([map.size, counted.size, counted.status().deletes], [0, 0, 4]);
});
