// More wanted than there is room for: 70,000 entries for one subject in the real map, and what is left out when.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Identity, identity } from '#common/ids.ts';
import { address } from '#common/ip.ts';
import { type L4, L4_ALL } from '../policy/l4.ts';
import { PRECEDENCE } from '../policy/precedence.ts';
import { createTables } from '../tables.ts';
import { createSharedPeerTables } from './entry-table.ts';
import { createKernelVerdicts, type KernelVerdicts } from './kernel-verdicts.fixture.ts';
import { createSubject, fit, type Subject } from './policy-subject.ts';
import { MAX_SUBJECT_ENTRIES } from './policy-sync.ts';
import { ANY_PEER, PROBES, random, randomStatements, tableOf } from './random-tables.fixture.ts';
import { endpointRow, policyRow } from './random-world.fixture.ts';
import { decide, type EntryAction, isNarrower, NO_ENTRIES } from './verdict.ts';

const X = identity(300);
const FIRST = 1000; // identity of the first of many peers

describe('fit', () => {
  const subjectOf = (rows: readonly (readonly [number, EntryAction])[]): Subject => {
    const subject = createSubject(X, 'ingress', createSharedPeerTables());
    for (const [peer, action] of rows) {
      const entry = { l4: L4_ALL, l4Bits: 0, action, precedence: 1, ruleset: 0, cookie: 0 };
      subject.wantedCount += subject.wanted.put(identity(peer), entry);
    }
    return subject;
  };
  const cases = [
    {
      what: 'all that fits',
      rows: [
        [5, 'allow'],
        [6, 'deny'],
      ],
      limit: 2,
      left: [5, 6],
    },
    {
      what: 'what only allows, least',
      rows: [
        [5, 'allow'],
        [6, 'deny'],
        [7, 'redirect'],
      ],
      limit: 2,
      left: [6, 7],
    },
    {
      what: 'what any peer has',
      rows: [
        [0, 'allow'],
        [5, 'allow'],
        [6, 'allow'],
      ],
      limit: 2,
      left: [0, 5],
    },
    {
      what: 'nothing rather than some denials',
      rows: [
        [0, 'allow'],
        [5, 'deny'],
        [6, 'deny'],
      ],
      limit: 2,
      left: [],
    },
  ] as const;
  for (const { what, rows, limit, left } of cases) {
    it(`keeps ${what}`, () => {
      assert.deepEqual([...fit(subjectOf(rows), limit).keys()].sort(), left);
    });
  }

  it('keeps peers that have entries already before others', () => {
    const subject = subjectOf([
      [5, 'allow'],
      [6, 'allow'],
    ]);
    subject.actual.put(identity(6), { l4: L4_ALL, l4Bits: 0, action: 'allow', precedence: 1, ruleset: 0, cookie: 0 });
    assert.deepEqual([...fit(subject, 1).keys()], [6]);
  });

  it('never gives anybody more than all of it would', () => {
    for (let seed = 1; seed <= 1000; seed++) {
      const pick = random(seed);
      const subject = createSubject(X, 'ingress', createSharedPeerTables());
      for (const [peer, entries] of tableOf(randomStatements(pick))) {
        for (const entry of entries.values()) subject.wantedCount += subject.wanted.put(peer, entry);
      }
      const limit = pick(subject.wantedCount + 1);
      const cut = fit(subject, limit);
      assert.ok([...cut.values()].reduce((sum, entries) => sum + entries.size, 0) <= limit);
      for (const peer of [...subject.wanted.keys(), identity(999)]) {
        const say = (table: typeof cut, l4: L4) =>
          decide(table.get(peer) ?? NO_ENTRIES, table.get(ANY_PEER) ?? NO_ENTRIES, l4);
        for (const l4 of PROBES) assert.ok(isNarrower(say(cut, l4), say(subject.wanted, l4)), `seed ${seed}`);
      }
    }
  });
});

describe('one subject that wants 70,000 entries', () => {
  let kernel: KernelVerdicts;
  before(async () => {
    kernel = await createKernelVerdicts();
  });
  after(() => kernel?.[Symbol.dispose]());

  const load = async (count: number, denied: number) => {
    const { desired } = createTables();
    const [key, endpoint] = endpointRow('x', { id: 1, identity: X });
    desired.endpoints.set(key, endpoint);
    for (let i = 0; i < count; i++) {
      const action = i < denied ? 'deny' : 'allow';
      const peer = identity(FIRST + i);
      const l4 = { protocol: 6, port: 80, l4Bits: 24 };
      const row = { subject: X, direction: 'ingress', peer, ...l4, action, precedence: PRECEDENCE[action] } as const;
      desired.policy.set(...policyRow({ ...row, ruleset: 0, cookie: 0 }));
    }
    for (let i = 0; i < 5; i++) {
      // one at the beginning, one at the end, one in the middle
      desired.addresses.set(...addressRow(i, identity(FIRST + Math.floor(((count - 1) * i) / 4))));
    }
    return await kernel.tryLoad(desired);
  };
  const addressRow = (i: number, id: Identity) => {
    const cidr = { address: address(`192.0.2.${i}`), bits: 128 };
    return [`192.0.2.${i}/32`, { cidr, identity: id, flags: 0 }] as const;
  };
  const answers = (): string[] =>
    [0, 1, 2, 3, 4].map((i) => {
      const flow = { from: { address: `192.0.2.${i}` }, to: { endpoint: 'a/x' }, protocol: 'TCP', port: 80 } as const;
      return kernel.tryAsk(flow)?.ingress?.action ?? 'dropped';
    });
  const policyStatus = () => kernel.sync.maps().find(({ name }) => name === 'policy');
  const inKernel = (): number => kernel.topology.datapath.maps.policy.count();

  it('gets 64,000 of 64,000', async () => {
    assert.equal((await load(64_000, 10)).complete, true);
    assert.equal(inKernel(), 64_000);
    assert.deepEqual(answers(), ['deny', 'allow', 'allow', 'allow', 'allow']);
    assert.equal(policyStatus()?.lastError, '');
  });

  it('gets as many as one may have, all that deny among them, and says so', async () => {
    const { complete } = await load(70_000, 10);
    assert.equal(complete, false);
    assert.equal(inKernel(), MAX_SUBJECT_ENTRIES);
    assert.deepEqual(answers(), ['deny', 'allow', 'allow', 'allow', 'deny'], 'the last found no room');
    const text = 'Cannot write map "policy": identity 300 wants 70000 entries for ingress, at most 65536 are possible';
    assert.equal(policyStatus()?.lastError, text);
    assert.ok((policyStatus()?.errors ?? 0) > 0);
    assert.deepEqual(kernel.sync.pending().policy, ['300 ingress']);
    assert.equal((await kernel.sync.apply()).complete, false, 'and goes on saying so');
  });

  it('gets nothing if what denies is too much', async () => {
    assert.equal((await load(70_000, 69_999)).complete, false);
    assert.equal(inKernel(), 0);
    assert.deepEqual(answers(), ['deny', 'deny', 'deny', 'deny', 'deny']);
  });

  it('gets all again when it wants less', async () => {
    assert.equal((await load(60_000, 10)).complete, true);
    assert.equal(inKernel(), 60_000);
    assert.deepEqual(answers(), ['deny', 'allow', 'allow', 'allow', 'allow']);
    assert.equal(policyStatus()?.lastError, '');
  });
});
