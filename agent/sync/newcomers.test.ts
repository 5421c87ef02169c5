// A pod that comes with a policy of many entries, while a policy that is in force changes.
//
//   X, in the kernel: peer P may reach port 80 before and after     Y: not let in yet, tens of thousands of entries

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { ENTRY_ALLOW, type SubjectValue } from '#bpf/abi.ts';
import { identity } from '#common/ids.ts';
import { address } from '#common/ip.ts';
import { PRECEDENCE } from '../policy/precedence.ts';
import { createTables } from '../tables.ts';
import { fakeKernel, syncInto } from './kernel.fixture.ts';
import { endpointRow, know, only, policyRow } from './random-world.fixture.ts';

const [X, Y, P] = [identity(300), identity(301), identity(302)];
const MANY = 10_000;
const ALLOW = {
  protocol: 6,
  l4Bits: 24,
  action: 'allow',
  precedence: PRECEDENCE.allow,
  ruleset: 0,
  cookie: 1,
} as const;

function rig(capacity: number) {
  const tables = createTables();
  const kernel = fakeKernel();
  kernel.maps.policy.capacity = capacity;
  const sync = syncInto(kernel, tables);
  const { desired } = tables;
  const allow = (port: number): [string, ReturnType<typeof policyRow>[1]] =>
    policyRow({ ...ALLOW, subject: X, peers: only(P), direction: 'ingress', port });
  const endpoint = (name: string, id: number, at: typeof X): void => {
    const ip4 = address(`10.0.0.${id}`);
    const [key, row] = endpointRow(name, { id, identity: at, ip4 });
    desired.addresses.set(`10.0.0.${id}/32`, { cidr: { address: ip4, bits: 128 }, identity: at, flags: 1 });
    desired.endpoints.set(key, row);
  };
  know(desired, P);
  const editionOfX = (): number => (kernel.maps.subjects.get(X) as SubjectValue | undefined)?.ingress.edition ?? 0;
  /** Actions of the map's entries for X, P and the port. */
  const said = (port: number): number[] =>
    kernel.maps.policy
      .entries()
      .filter(([key]) => key.edition === editionOfX() && key.peers === P && key.port === port)
      .map(([, value]) => value.action);
  return { desired, kernel, sync, allow, endpoint, said };
}

function arrive({ desired, endpoint }: ReturnType<typeof rig>): void {
  for (const direction of ['ingress', 'egress'] as const) {
    for (let i = 0; i < MANY; i++) {
      desired.policy.set(...policyRow({ ...ALLOW, subject: Y, peers: only(identity(1_000 + i)), direction, port: 80 }));
    }
  }
  endpoint('y', 12, Y);
}

it('a newcomer does not have running pods refuse what they allow before and after', async () => {
  const r = rig(524_288);
  for (const port of [80, 81]) r.desired.policy.set(...r.allow(port));
  r.endpoint('x', 11, X);
  await r.sync.apply();
  assert.deepEqual(r.said(80), [ENTRY_ALLOW]);
  arrive(r);
  r.desired.policy.delete(r.allow(81)[0]);
  r.desired.policy.set(...r.allow(82));
  let looks = 0;
  const refusals: string[] = [];
  const policy = r.kernel.maps.policy;
  policy.onWrite = () => {
    if (policy.writes % 1_000 > 4 && policy.size > 20) return; // each look goes through the whole map
    looks++;
    if (!r.said(80).every((action) => action === ENTRY_ALLOW)) refusals.push(`write ${policy.writes}`);
  };
  const { complete } = await r.sync.apply();
  await setImmediate(); // the last edition goes when nobody waits
  assert.deepEqual([refusals, complete], [[], true]);
  assert.ok(looks > 50, `${looks} looks`);
  assert.deepEqual([r.said(81), r.said(82), policy.size], [[], [ENTRY_ALLOW], 2 * MANY + 2]);
});

it('a newcomer that finds no room leaves what is in force its own, and waits', async () => {
  const r = rig(100);
  for (const port of [80, 81]) r.desired.policy.set(...r.allow(port));
  r.endpoint('x', 11, X);
  await r.sync.apply();
  arrive(r);
  r.desired.policy.delete(r.allow(81)[0]);
  r.desired.policy.set(...r.allow(82));
  const { complete } = await r.sync.apply();
  assert.equal(complete, false);
  assert.deepEqual([r.said(80), r.said(81), r.said(82)], [[ENTRY_ALLOW], [], [ENTRY_ALLOW]]);
  assert.ok(r.sync.pending().endpoints.includes('a/y'));
  assert.equal(r.kernel.maps.endpoints.size, 1, 'it is not let in');
  r.sync.close();
});
