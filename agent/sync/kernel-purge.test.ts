// Forgetting the connections of pods on the kernel's own conntrack: a node without pods, no packets. Needs root.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectionKey, ctEntry, PURGE_ADDRESSES } from '#bpf/abi.ts';
import { build } from '#bpf/build.ts';
import { createTopology } from '#bpf/testing/topology.ts';
import { address } from '#common/ip.ts';
import { conntrackTable, createConntrack } from './conntrack.ts';

test('`purge` forgets the connections of more addresses than one run takes', async () => {
  await build();
  using topology = createTopology({ name: 'forget', pods: [] });
  const { conntrack } = topology.datapath.maps;
  const entry = ctEntry.decode(new Uint8Array(ctEntry.size));
  const addresses = Array.from({ length: 2 * PURGE_ADDRESSES + 2 }, (_, i) => address(`10.1.${i >> 7}.${i & 127}`));
  const server = { address: address('fd00::1'), port: 80 };
  for (const client of addresses) conntrack.set(connectionKey({ address: client, port: 1 }, server, 6), entry);

  const [kept, ...gone] = addresses;
  const forgetful = createConntrack(conntrackTable(topology.datapath), () => 0);
  assert.equal(await forgetful.purge(gone), gone.length);
  assert.deepEqual(
    conntrack.entries().map(([key]) => (key.ipA === server.address ? key.ipB : key.ipA)),
    [kept],
  );
  assert.equal(forgetful.stats().purgedTotal, gone.length);
});
