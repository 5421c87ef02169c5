import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { cookie, type Identity, identity, peerSetId } from '#common/ids.ts';
import { createTable } from '#common/table.ts';
import type { PeerSetsRow, PolicyEntryRow } from '../tables.ts';
import { type EntryIndex, indexEntries } from './entry-index.ts';
import { IP_PROTOCOL, type L4 } from './l4.ts';
import { PRECEDENCE } from './precedence.ts';

const [X, Y, P, Q] = [identity(300), identity(301), identity(400), identity(401)];
const TCP_80: L4 = { protocol: IP_PROTOCOL.TCP, port: 80, bits: 24 };
const ALL: L4 = { protocol: 0, port: 0, bits: 0 };

interface Written {
  readonly action: PolicyEntryRow['action'];
  readonly peers?: number;
  readonly l4?: L4;
  readonly subject?: Identity;
  readonly direction?: PolicyEntryRow['direction'];
}

function rowOf({ action, peers = 0, l4 = TCP_80, subject = X, direction = 'ingress' }: Written): PolicyEntryRow {
  const { protocol, port, bits: l4Bits } = l4;
  const [set, precedence] = [peerSetId(peers), PRECEDENCE[action]];
  return {
    subject,
    direction,
    peers: set,
    protocol,
    port,
    l4Bits,
    action,
    precedence,
    ruleset: undefined,
    cookie: cookie(1),
  };
}

function keyOf({ subject, direction, peers, protocol, port, l4Bits }: PolicyEntryRow): string {
  return [subject, direction, peers, protocol, port, l4Bits].join(' ');
}

/** P belongs to the sets 1 and 2, Q to none, nobody else is known. */
function rig(...written: readonly Written[]) {
  const tables = {
    policy: createTable<PolicyEntryRow>('policy'),
    peerSets: createTable<PeerSetsRow>('peer sets'),
  };
  const join = (peer: Identity, ...sets: readonly number[]): void =>
    tables.peerSets.set(String(peer), { identity: peer, sets: sets.map(peerSetId) });
  join(P, 1, 2);
  join(Q);
  const put = (one: Written): void => tables.policy.set(keyOf(rowOf(one)), rowOf(one));
  const remove = (one: Written): void => tables.policy.delete(keyOf(rowOf(one)));
  for (const one of written) put(one);
  return { tables, join, put, remove, index: indexEntries(tables) };
}

/** "verdict set/bits of the entry that wins"; undefined: there are no rows. */
function ask(index: EntryIndex, peer = P, more: { subject?: Identity; direction?: 'egress' } = {}): string | undefined {
  const decision = index.decide({ subject: X, direction: 'ingress', peer, l4: TCP_80, ...more });
  const { entry, verdict } = decision ?? {};
  return entry ? `${verdict} ${entry.peers}/${entry.l4Bits}` : verdict;
}

const cases: readonly {
  readonly what: string;
  readonly rows: readonly Written[];
  readonly p: string;
  readonly q: string;
}[] = [
  { what: 'an entry for any peer (1)', rows: [{ action: 'allow' }], p: 'allow 0/24', q: 'allow 0/24' },
  { what: 'an entry for one of its sets (1)', rows: [{ action: 'allow', peers: 2 }], p: 'allow 2/24', q: 'deny' },
  { what: 'no entry for a set of others (1)', rows: [{ action: 'allow', peers: 3 }], p: 'deny', q: 'deny' },
  {
    what: 'deny of one set before what others allow (2)',
    rows: [{ action: 'deny', peers: 1, l4: ALL }, { action: 'redirect', peers: 2 }, { action: 'allow' }],
    p: 'deny 1/0',
    q: 'allow 0/24',
  },
  {
    what: 'the narrower of equals (3)',
    rows: [
      { action: 'allow', peers: 1, l4: ALL },
      { action: 'allow', peers: 2 },
    ],
    p: 'allow 2/24',
    q: 'deny',
  },
  {
    what: 'an entry for a set before an equal one for any peer (4)',
    rows: [{ action: 'redirect', peers: 1 }, { action: 'redirect' }],
    p: 'redirect 1/24',
    q: 'redirect 0/24',
  },
  { what: 'refuse alone as a denial (5)', rows: [{ action: 'refuse', peers: 1 }], p: 'deny', q: 'deny' },
  {
    what: 'refuse with allow as a redirect (5)',
    rows: [
      { action: 'refuse', peers: 1 },
      { action: 'allow', l4: ALL },
    ],
    p: 'redirect 1/24',
    q: 'allow 0/0',
  },
];

describe('indexEntries', () => {
  for (const { what, rows, p, q } of cases) {
    it(`finds for a peer ${what}`, () => {
      const { index } = rig(...rows);
      assert.deepEqual([ask(index, P), ask(index, Q)], [p, q]);
    });
  }

  it('denies a peer of which nothing is known, whatever any peer may', () => {
    const { index } = rig({ action: 'allow', l4: ALL });
    assert.equal(ask(index, identity(999)), 'deny');
  });

  it('says nothing of a subject or direction without rows', () => {
    const { index } = rig({ action: 'allow' });
    assert.equal(ask(index, P, { subject: Y }), undefined);
    assert.equal(ask(index, P, { direction: 'egress' }), undefined);
  });

  it('follows rows that come, change and go, and who belongs to which set', () => {
    const { index, put, remove, join } = rig();
    assert.equal(ask(index), undefined);
    put({ action: 'allow', peers: 1 });
    put({ action: 'allow', l4: ALL });
    assert.equal(ask(index), 'allow 1/24');
    put({ action: 'deny', peers: 1 });
    assert.equal(ask(index), 'deny 1/24');
    join(P, 2);
    assert.equal(ask(index), 'allow 0/0');
    join(P, 1, 2);
    remove({ action: 'deny', peers: 1 });
    assert.equal(ask(index), 'allow 0/0');
    remove({ action: 'allow', l4: ALL });
    assert.equal(ask(index), undefined, 'no row is left');
  });

  it('keeps subjects and directions apart', () => {
    const egress = { action: 'deny', direction: 'egress' } as const;
    const { index, remove } = rig({ action: 'allow' }, egress, { action: 'redirect', subject: Y });
    const all = (): readonly (string | undefined)[] => [
      ask(index),
      ask(index, P, { direction: 'egress' }),
      ask(index, P, { subject: Y }),
    ];
    assert.deepEqual(all(), ['allow 0/24', 'deny 0/24', 'redirect 0/24']);
    remove(egress);
    assert.deepEqual(all(), ['allow 0/24', undefined, 'redirect 0/24']);
  });

  it('sees no change of entries once it is closed', () => {
    const { index, put } = rig({ action: 'allow' });
    index.close();
    put({ action: 'deny' });
    assert.equal(ask(index), 'allow 0/24');
  });
});
