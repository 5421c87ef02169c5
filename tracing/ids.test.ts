import assert from 'node:assert/strict';
import { randomFillSync } from 'node:crypto';
import { test } from 'node:test';
import { createIdSource } from './ids.ts';

test('createIdSource gives ids of the right form, all different', () => {
  const ids = createIdSource();
  const seen = new Set<string>();
  for (let i = 0; i < 20_000; i++) {
    const traceId = ids.traceId();
    const spanId = ids.spanId();
    assert.match(traceId, /^[0-9a-f]{32}$/);
    assert.match(spanId, /^[0-9a-f]{16}$/);
    seen.add(traceId).add(spanId);
  }
  assert.equal(seen.size, 40_000);
});

test('createIdSource draws nothing while somebody waits if it is refilled in time', () => {
  let fills = 0;
  const ids = createIdSource((view) => {
    fills++;
    randomFillSync(view);
  });
  const first = fills;
  for (let i = 0; i < 100; i++) {
    for (let j = 0; j < 500; j++) {
      ids.spanId();
      ids.uint32();
    }
    ids.refill();
  }
  assert.equal(ids.lateRefills, 0);
  assert.ok(fills > first);
});

test('createIdSource counts blocks that ran out', () => {
  const ids = createIdSource();
  for (let i = 0; i < 5_000; i++) ids.spanId();
  assert.equal(ids.lateRefills, 1);
});

test('createIdSource skips an id of zeros', () => {
  const ids = createIdSource((view) => view.fill(0xab).fill(0, 0, 16));
  assert.equal(ids.traceId(), 'ab'.repeat(16));
});
