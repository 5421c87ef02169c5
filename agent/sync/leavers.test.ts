// Peers that leave a set which policy goes on naming: the node, when its labels change, and whoever has a number that is
// given to others.
//
//   X, in the kernel: may reach port 80 of set 5

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { type Identity, identity, peerSetId, RESERVED } from '#common/ids.ts';
import { address, parseCidr } from '#common/ip.ts';
import { PRECEDENCE } from '../policy/precedence.ts';
import { createTables } from '../tables.ts';
import { fakeKernel, syncInto } from './kernel.fixture.ts';
import { endpointRow, policyRow } from './random-world.fixture.ts';

const [X, P, Q] = [identity(300), identity(16_777_217), identity(16_777_218)];
const [POD, NODE, FIRST, SECOND] = ['10.0.0.11', '10.0.0.1', '192.0.2.1', '198.51.100.1'];

function rig() {
  const tables = createTables();
  const { desired } = tables;
  const kernel = fakeKernel();
  const sync = syncInto(kernel, tables);
  const join = (id: Identity, ...sets: readonly number[]): void =>
    desired.peerSets.set(String(id), { identity: id, sets: sets.map(peerSetId) });
  const give = (ip: string, id: Identity, flags = 0): void => {
    const cidr = parseCidr(`${ip}/32`);
    assert.ok(cidr.ok);
    desired.addresses.set(`${ip}/32`, { cidr: cidr.value, identity: id, flags });
  };
  const reaches = (ip: string): boolean =>
    kernel.passes({ from: address(POD), to: address(ip), port: 80, method: 'GET' });
  desired.policy.set(...egress(5, 80));
  desired.endpoints.set(...endpointRow('x', { id: 11, identity: X, ip4: address(POD) }));
  give(POD, X, 2);
  return { desired, kernel, sync, join, give, reaches };
}

it('the node is not in a set any more that its labels have left, though policy has not changed', async () => {
  const r = rig();
  r.give(NODE, RESERVED.host, 1);
  r.join(RESERVED.host, 4, 5);
  await r.sync.apply();
  assert.equal(r.reaches(NODE), true);
  const { revision } = await r.sync.apply();
  r.join(RESERVED.host, 4);
  const result = await r.sync.apply();
  assert.deepEqual([r.reaches(NODE), result], [false, { revision: revision + 1, complete: true, lateWorkers: [] }]);
  await setImmediate();
  r.join(RESERVED.host, 4, 5);
  await r.sync.apply();
  assert.equal(r.reaches(NODE), true);
  r.sync.close();
});

for (const before of [[4], []])
  it(`whoever had a number does not have what those have that it is given to (in ${before.length} sets before)`, async () => {
    const r = rig();
    r.give(FIRST, P);
    r.join(P, ...before);
    await r.sync.apply();
    r.desired.policy.set(...egress(4, 81));
    r.give(FIRST, Q);
    r.join(Q, ...before);
    r.give(SECOND, P);
    r.join(P, 5);
    const seen = new Set<boolean>();
    r.kernel.onStep = () => void seen.add(r.reaches(FIRST));
    assert.equal((await r.sync.apply()).complete, true);
    assert.deepEqual([[...seen], r.reaches(FIRST), r.reaches(SECOND)], [[false], false, true]);
    r.sync.close();
  });

/** The row that lets X reach a port of a set. */
function egress(set: number, port: number): ReturnType<typeof policyRow> {
  return policyRow({
    ...{ subject: X, peers: peerSetId(set), direction: 'egress', protocol: 6, port, l4Bits: 24 },
    ...{ action: 'allow', precedence: PRECEDENCE.allow, ruleset: 0, cookie: 1 },
  });
}
