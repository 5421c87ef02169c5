// More wanted than there is room for: 70,000 entries for one subject in the real map, and what is left out when.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { type Identity, identity, type PeerSetId, peerSetId } from '#common/ids.ts';
import { address } from '#common/ip.ts';
import { type L4, l4Key } from '../policy/l4.ts';
import { ANY_PEERS } from '../policy/peer-sets.ts';
import { PRECEDENCE } from '../policy/precedence.ts';
import { decide, type EntryAction, wideness } from '../policy/verdict.ts';
import { createTables } from '../tables.ts';
import { createKernelVerdicts, type KernelVerdicts } from './kernel-verdicts.fixture.ts';
import { type EditionEntry, type Entries, entryKey, fit, NOTHING } from './policy-subject.ts';
import { MAX_SUBJECT_ENTRIES } from './policy-sync.ts';
import { PEERS, PROBES, random, randomStatements, setsOf, tableOf } from './random-tables.fixture.ts';
import { endpointRow, know, only, policyRow } from './random-world.fixture.ts';

const X = identity(300);
const FIRST = 1000; // identity of the first of many peers

describe('fit', () => {
  const tableOfRows = (rows: readonly (readonly [number, EntryAction])[]): Entries =>
    new Map(rows.map(([peers, action]) => entryOf(peers, action)).map((entry) => [entryKey(entry), entry]));
  const entryOf = (peers: number, action: EntryAction): EditionEntry => ({
    ...{ peers: peerSetId(peers), protocol: 0, port: 0, l4Bits: 0 },
    ...{ action, precedence: 1, ruleset: 0, cookie: 0 },
  });
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
      limit: 1,
      left: [],
    },
  ] as const;
  for (const { what, rows, limit, left } of cases) {
    it(`keeps ${what}`, () => {
      const kept = [...fit(tableOfRows(rows), limit, NOTHING).values()];
      assert.deepEqual(kept.map(({ peers }) => peers).sort(), left);
    });
  }

  it('keeps what is in force already before what is not', () => {
    const wanted = tableOfRows([
      [5, 'allow'],
      [6, 'allow'],
    ]);
    const [kept] = fit(wanted, 1, tableOfRows([[6, 'allow']])).values();
    assert.equal(kept?.peers, 6);
  });

  it('never gives anybody more than all of it would', () => {
    for (let seed = 1; seed <= 1000; seed++) {
      const pick = random(seed);
      const wanted = new Map<string, EditionEntry>();
      for (const [peers, entries] of tableOf(randomStatements(pick))) {
        for (const { l4, ...entry } of entries.values()) {
          const written = { ...entry, peers, protocol: l4.protocol, port: l4.port };
          wanted.set(entryKey(written), written);
        }
      }
      const limit = pick(wanted.size + 1);
      const cut = fit(wanted, limit, NOTHING);
      assert.ok(cut.size <= limit);
      for (const peer of [...PEERS, identity(999)]) {
        for (const l4 of PROBES) {
          assert.ok(wideness(say(cut, peer, l4)) <= wideness(say(wanted, peer, l4)), `seed ${seed}`);
        }
      }
    }
  });
});

function say(entries: Entries, peer: Identity, l4: L4) {
  const tables = new Map<PeerSetId, Map<number, EditionEntry>>();
  for (const entry of entries.values()) {
    const table = tables.get(entry.peers) ?? new Map<number, EditionEntry>();
    tables.set(entry.peers, table.set(l4Key({ ...entry, bits: entry.l4Bits }), entry));
  }
  return decide(
    [ANY_PEERS, ...setsOf(peer, tables.keys())].map((set) => tables.get(set)),
    l4,
  );
}

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
      const row = {
        subject: X,
        direction: 'ingress',
        peers: only(peer),
        ...l4,
        action,
        precedence: PRECEDENCE[action],
      } as const;
      desired.policy.set(...policyRow({ ...row, ruleset: 0, cookie: 0 }));
    }
    for (let i = 0; i < 5; i++) {
      // one at the beginning, one at the end, one in the middle
      const peer = identity(FIRST + Math.floor(((count - 1) * i) / 4));
      desired.addresses.set(...addressRow(i, peer));
      know(desired, peer);
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
  const inKernel = async (): Promise<number> => {
    await setImmediate(); // what nobody asks for any more is deleted when nobody waits
    return kernel.topology.datapath.maps.policy.count();
  };

  it('gets 64,000 of 64,000', async () => {
    assert.equal((await load(64_000, 10)).complete, true);
    assert.equal(await inKernel(), 64_000);
    assert.deepEqual(answers(), ['deny', 'allow', 'allow', 'allow', 'allow']);
    assert.equal(policyStatus()?.lastError, '');
  });

  it('gets as many as one may have, all that deny among them, and says so', async () => {
    const { complete } = await load(70_000, 10);
    assert.equal(complete, false);
    assert.equal(await inKernel(), MAX_SUBJECT_ENTRIES);
    assert.deepEqual(answers(), ['deny', 'allow', 'allow', 'allow', 'deny'], 'the last found no room');
    const text = 'Cannot write map "policy": identity 300 wants 70000 entries for ingress, at most 65536 are possible';
    assert.equal(policyStatus()?.lastError, text);
    assert.ok((policyStatus()?.errors ?? 0) > 0);
    assert.deepEqual(kernel.sync.pending().policy, ['300 ingress']);
    assert.equal((await kernel.sync.apply()).complete, false, 'and goes on saying so');
  });

  it('gets nothing if what denies is too much', async () => {
    assert.equal((await load(70_000, 69_999)).complete, false);
    assert.equal(await inKernel(), 0);
    assert.deepEqual(answers(), ['deny', 'deny', 'deny', 'deny', 'deny']);
  });

  it('gets all again when it wants less', async () => {
    assert.equal((await load(60_000, 10)).complete, true);
    assert.equal(await inKernel(), 60_000);
    assert.deepEqual(answers(), ['deny', 'allow', 'allow', 'allow', 'allow']);
    assert.equal(policyStatus()?.lastError, '');
  });
});
