import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSlabMemory, openSlabReader, openSlabWriter, SLOTS } from './slab.ts';

test('slots go out, over and back, and run out when none comes back', () => {
  const memory = createSlabMemory();
  const writer = openSlabWriter(memory);
  const reader = openSlabReader(memory);
  assert.equal(reader.take(), -1);
  for (let round = 0; round < 3; round++) {
    const taken = new Set<number>();
    for (let i = 0; i < SLOTS; i++) taken.add(writer.take());
    assert.equal(taken.size, SLOTS);
    assert.equal(writer.take(), -1);
    for (const slot of taken) writer.put(slot);
    assert.equal(writer.take(), -1);
    for (const slot of taken) {
      assert.equal(reader.take(), slot); // in order
      reader.put(slot);
    }
    assert.equal(reader.take(), -1);
  }
});

test('few slots in use stay the same few', () => {
  const memory = createSlabMemory();
  const writer = openSlabWriter(memory);
  const reader = openSlabReader(memory);
  const used = new Set<number>();
  for (let i = 0; i < 10_000; i++) {
    const slot = writer.take();
    used.add(slot);
    writer.put(slot);
    reader.put(reader.take());
  }
  assert.ok(used.size <= 4, `${used.size} slots`);
});
