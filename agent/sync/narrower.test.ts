import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Identity, identity, peerSetId } from '#common/ids.ts';
import { createTable } from '#common/table.ts';
import { PRECEDENCE } from '../policy/precedence.ts';
import type { EntryAction } from '../policy/verdict.ts';
import type { PeerSetsRow } from '../tables.ts';
import { isPeerNarrower } from './narrower.ts';
import { type EditionEntry, type Entries, entryKey } from './policy-subject.ts';

const [P, Q, STRANGER] = [identity(400), identity(401), identity(402)];

interface Written {
  readonly action: Exclude<EntryAction, 'audit'>;
  readonly peers?: number;
  readonly port?: number; // none: all
  readonly ruleset?: number;
}

function entriesOf(written: readonly Written[]): Entries {
  const entries = written.map(({ action, peers = 0, port = 0, ruleset = 0 }): EditionEntry => {
    const at = port === 0 ? { protocol: 0, port, l4Bits: 0 } : { protocol: 6, port, l4Bits: 24 };
    return { ...at, peers: peerSetId(peers), action, precedence: PRECEDENCE[action], ruleset, cookie: 1 };
  });
  return new Map(entries.map((entry) => [entryKey(entry), entry]));
}

/** Whether P, in the sets `p`, is given no more than Q in `q` (undefined: not known). */
function isNarrower(written: readonly Written[], p: readonly number[] | undefined, q?: readonly number[]): boolean {
  const table = createTable<PeerSetsRow>('peer sets');
  const join = (peer: Identity, sets: readonly number[]): void =>
    table.set(String(peer), { identity: peer, sets: sets.map(peerSetId) });
  if (p) join(P, p);
  if (q) join(Q, q);
  return isPeerNarrower(entriesOf(written), table, [P, q ? Q : STRANGER]);
}

/** P is in set 1, Q in set 2. `pq`: P is given no more than Q, `qp`: the other way. */
const cases: readonly {
  readonly what: string;
  readonly rows: readonly Written[];
  readonly pq: boolean;
  readonly qp: boolean;
}[] = [
  { what: 'no entry', rows: [], pq: true, qp: true },
  { what: 'what any peer may', rows: [{ action: 'allow' }], pq: true, qp: true },
  { what: 'allow for one', rows: [{ action: 'allow', peers: 1 }], pq: false, qp: true },
  { what: 'deny of one', rows: [{ action: 'allow' }, { action: 'deny', peers: 1 }], pq: true, qp: false },
  {
    what: 'a denial of one port only',
    rows: [{ action: 'allow' }, { action: 'deny', peers: 1, port: 80 }],
    pq: true,
    qp: false,
  },
  {
    what: 'a port more for each',
    rows: [
      { action: 'allow', peers: 1, port: 80 },
      { action: 'allow', peers: 2, port: 81 },
    ],
    pq: false,
    qp: false,
  },
  {
    what: 'a redirect of what the other may by all means',
    rows: [
      { action: 'redirect', peers: 1, port: 80, ruleset: 7 },
      { action: 'allow', peers: 2 },
    ],
    pq: true,
    qp: false,
  },
  {
    what: 'redirects by one ruleset',
    rows: [
      { action: 'redirect', peers: 1, port: 80, ruleset: 7 },
      { action: 'redirect', peers: 2, port: 80, ruleset: 7 },
    ],
    pq: true,
    qp: true,
  },
  {
    what: 'redirects by different rulesets',
    rows: [
      { action: 'redirect', peers: 1, port: 80, ruleset: 7 },
      { action: 'redirect', peers: 2, port: 80, ruleset: 8 },
    ],
    pq: false,
    qp: false,
  },
];

describe('isPeerNarrower', () => {
  for (const { what, rows, pq, qp } of cases) {
    it(`says of ${what}: ${pq}, and ${qp} the other way`, () => {
      assert.deepEqual([isNarrower(rows, [1], [2]), isNarrower(rows, [2], [1])], [pq, qp]);
    });
  }

  it('is true of peers in the same sets, without a look at the entries', () => {
    const entries = entriesOf([{ action: 'redirect', ruleset: 7, port: 80 }]);
    entries.values = () => assert.fail('it looked');
    const table = createTable<PeerSetsRow>('peer sets');
    for (const peer of [P, Q]) table.set(String(peer), { identity: peer, sets: [peerSetId(1)] });
    assert.equal(isPeerNarrower(entries, table, [P, Q]), true);
  });

  it('is never true of a peer of which nothing is known: the map may still have it', () => {
    assert.equal(isNarrower([], undefined, [2]), false);
    assert.equal(isNarrower([], undefined), false);
  });

  it('takes a peer to compare with of which nothing is known for denied', () => {
    assert.equal(isNarrower([{ action: 'allow' }], [1]), false);
    assert.equal(isNarrower([{ action: 'allow', peers: 2 }], [1]), true);
  });
});
