// The maps are read by the addresses of buffers: these must live as long as the source does.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createTestMaps } from '../testing/maps.ts';
import { createSteeredSource } from './steered.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

test('createSteeredSource still reads its maps after what it made was up for collection', { skip }, () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  using maps = createTestMaps(0xb00);
  const source = createSteeredSource({ listener: -1, conntrack: maps.conntrack, nodeConfig: maps.nodeConfig });
  for (let revision = 1; revision <= 20; revision++) {
    collect();
    // Takes the place of whatever was collected.
    const filler = Array.from({ length: 20_000 }, () => Buffer.alloc(4, 0xff));
    maps.setRevision(revision);
    source.beginTurn();
    assert.equal(source.revision(), revision);
    assert.equal(filler.length, 20_000);
  }
});
