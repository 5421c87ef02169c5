// The maps are read by the addresses of buffers: these must live as long as the source does.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { address } from '#common/ip.ts';
import type { Origin } from '../enforce/origin.ts';
import { createTestMaps, type TestMaps } from '../testing/maps.ts';
import { createSteeredSource } from './steered.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

const sourceOf = ({ conntrack, nodeConfig, endpointAddrs }: TestMaps): ReturnType<typeof createSteeredSource> =>
  createSteeredSource({ listener: -1, conntrack, nodeConfig, endpointAddrs });

test('createSteeredSource still reads its maps after what it made was up for collection', { skip }, () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  using maps = createTestMaps(0xb00);
  const source = sourceOf(maps);
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
  const source = sourceOf(maps);
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
    audited: false,
    revision: 0,
  };
  maps.steer({ ...ends, egressRuleset: 0, ingressRuleset: 5, revision: 1 });
  assert.equal(source.refresh(origin), true);
  assert.deepEqual([origin.ingressRuleset, origin.denied], [5, false]);
  maps.steer({ ...backwards, egressRuleset: 0, ingressRuleset: 0, revision: 2 });
  assert.equal(source.refresh(origin), false);
});

test('audits knows the workload of an address, its own mode and that of the node, as they are now', { skip }, () => {
  using maps = createTestMaps(0xb00);
  const source = sourceOf(maps);
  for (const at of [address('10.0.0.2'), address('fd00::2')]) {
    const cases: { name: string; endpoint?: { identity: number; audit: boolean }; node?: boolean; audits: boolean }[] =
      [
        { name: 'nobody', audits: false },
        { name: 'nobody, on a node in audit mode', node: true, audits: false },
        { name: 'a workload that is enforced', endpoint: { identity: 301, audit: false }, audits: false },
        { name: 'in audit mode', endpoint: { identity: 301, audit: true }, audits: true },
        { name: 'another one, in audit mode', endpoint: { identity: 302, audit: true }, audits: false },
        { name: 'on a node in audit mode', endpoint: { identity: 301, audit: false }, node: true, audits: true },
      ];
    for (const { name, endpoint, node = false, audits } of cases) {
      if (endpoint) maps.setEndpoint(at, endpoint);
      maps.auditNode(node);
      source.beginTurn();
      assert.equal(source.audits(at, 301), audits, name);
    }
    maps.setEndpoint(at, undefined);
    assert.equal(source.audits(at, 301), false, 'gone');
  }
});
