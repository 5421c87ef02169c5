// The maps are read by the addresses of buffers: these must live as long as the source does.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { address } from '#common/ip.ts';
import type { Origin } from '../enforce/origin.ts';
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

test('refresh does not take the server for the client, or its rules for those of the connection', { skip }, () => {
  using maps = createTestMaps(0xb00);
  const source = createSteeredSource({ listener: -1, conntrack: maps.conntrack, nodeConfig: maps.nodeConfig });
  const [client, server] = [address('10.0.0.1'), address('10.0.0.2')];
  const ends = { source: client, sourcePort: 40_000, destination: server, destinationPort: 80 };
  const backwards = { source: server, sourcePort: 80, destination: client, destinationPort: 40_000 };
  const origin: Origin = {
    ...ends,
    sourceIdentity: 0,
    destinationIdentity: 0,
    egressRuleset: 0,
    ingressRuleset: 0,
    denied: true,
    revision: 0,
  };
  maps.steer({ ...ends, egressRuleset: 0, ingressRuleset: 5, revision: 1 });
  assert.equal(source.refresh(origin), true);
  assert.deepEqual([origin.ingressRuleset, origin.denied], [5, false]);
  maps.steer({ ...backwards, egressRuleset: 0, ingressRuleset: 0, revision: 2 });
  assert.equal(source.refresh(origin), false);
});
