import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { IP_PROTOCOL, type L4, l4Key } from './l4.ts';
import { PRECEDENCE } from './precedence.ts';
import { decide, type Entry, type EntryAction, longestMatch, type SetTable, wideness } from './verdict.ts';

type Named = Entry & { readonly name: string };
/** "action bits": an entry for port 80 of TCP, as wide as `bits`. */
type Written = `${EntryAction} ${0 | 8 | 20 | 24}`;

const TCP_80: L4 = { protocol: IP_PROTOCOL.TCP, port: 80, bits: 24 };
const WIDER: Readonly<Record<string, L4>> = {
  0: { protocol: 0, port: 0, bits: 0 },
  8: { protocol: IP_PROTOCOL.TCP, port: 0, bits: 8 },
  20: { protocol: IP_PROTOCOL.TCP, port: 80, bits: 20 },
  24: TCP_80,
};

function tableOf(set: number, written: readonly Written[]): SetTable<Named> {
  return new Map(
    written.map((text) => {
      const [action, bits] = text.split(' ') as [EntryAction, string];
      const l4 = WIDER[bits] as L4;
      const precedence = action === 'audit' ? PRECEDENCE.deny : PRECEDENCE[action];
      return [l4Key(l4), { name: `${set} ${text}`, l4Bits: l4.bits, action, precedence }];
    }),
  );
}

/** `any`: entries for any peer. `sets`: of each set that the peer belongs to. `won`: "set action bits". */
const cases: readonly {
  readonly what: string;
  readonly any?: readonly Written[];
  readonly sets?: readonly (readonly Written[] | undefined)[];
  readonly verdict: 'allow' | 'deny' | 'redirect' | 'audit';
  readonly won?: string;
  readonly behind?: readonly string[];
}[] = [
  { what: '5: no entry', verdict: 'deny' },
  { what: '5: no entry in any set of the peer', sets: [undefined, []], verdict: 'deny' },
  { what: '1: an entry for any peer', any: ['allow 0'], verdict: 'allow', won: '0 allow 0' },
  { what: '1: an entry for a set', sets: [undefined, ['allow 8']], verdict: 'allow', won: '2 allow 8' },
  {
    what: '1: in one set the longest prefix, whatever the others say',
    any: ['deny 0', 'redirect 20', 'allow 24'],
    verdict: 'allow',
    won: '0 allow 24',
  },
  {
    what: '2: deny before a narrower redirect',
    any: ['deny 0'],
    sets: [['redirect 24'], ['allow 24']],
    verdict: 'deny',
    won: '0 deny 0',
    behind: ['0 deny 0'],
  },
  {
    what: '2: redirect before a narrower allow',
    any: ['redirect 8'],
    sets: [['allow 24']],
    verdict: 'redirect',
    won: '0 redirect 8',
    behind: ['0 redirect 8', '1 allow 24'],
  },
  { what: '5: refuse alone', any: ['refuse 24'], verdict: 'deny', behind: [] },
  { what: '5: refuse in two sets', any: ['refuse 8'], sets: [['refuse 24']], verdict: 'deny', behind: [] },
  {
    what: '2: refuse with a wider allow of another set',
    sets: [['refuse 24'], ['allow 0']],
    verdict: 'redirect',
    won: '1 refuse 24',
    behind: ['1 refuse 24', '2 allow 0'],
  },
  {
    what: '2: refuse before a narrower allow',
    any: ['refuse 8'],
    sets: [['allow 24']],
    verdict: 'redirect',
    won: '0 refuse 8',
  },
  {
    what: '1: refuse with an allow that its own set says of more ports',
    sets: [['allow 0', 'refuse 24']],
    verdict: 'deny',
  },
  {
    what: '3: refuse and a narrower redirect',
    sets: [['refuse 20'], ['redirect 24']],
    verdict: 'redirect',
    won: '2 redirect 24',
  },
  {
    what: '3: redirect and a narrower refuse',
    sets: [['refuse 24'], ['redirect 20']],
    verdict: 'redirect',
    won: '1 refuse 24',
  },
  { what: '2: deny before refuse', sets: [['refuse 24'], ['deny 0']], verdict: 'deny', won: '2 deny 0' },
  {
    what: '3: the narrower of two, for any peer',
    any: ['allow 24'],
    sets: [['allow 8']],
    verdict: 'allow',
    won: '0 allow 24',
  },
  {
    what: '3: the narrower of two, for a set',
    any: ['deny 8'],
    sets: [['deny 20']],
    verdict: 'deny',
    won: '1 deny 20',
    behind: ['0 deny 8', '1 deny 20'],
  },
  {
    what: '4: one for a set, with equal bits',
    any: ['redirect 24'],
    sets: [['redirect 24']],
    verdict: 'redirect',
    won: '1 redirect 24',
  },
  {
    what: '4: also if the one for any peer allows',
    any: ['allow 24'],
    sets: [['allow 24']],
    verdict: 'allow',
    won: '1 allow 24',
  },
  {
    what: 'audit, which passes',
    any: ['audit 0'],
    sets: [['allow 24']],
    verdict: 'audit',
    won: '0 audit 0',
    behind: ['0 audit 0'],
  },
];

describe('decide', () => {
  for (const { what, any, sets = [], verdict, won, behind } of cases) {
    it(`says ${verdict} by rule ${what}`, () => {
      const tables = [any && tableOf(0, any), ...sets.map((written, i) => written && tableOf(i + 1, written))];
      const decision = decide(tables, TCP_80);
      assert.deepEqual([decision.verdict, decision.entry?.name], [verdict, won]);
      if (behind)
        assert.deepEqual(
          decision.behind.map(({ name }) => name),
          behind,
        );
    });
  }

  it('asks only entries that cover the port', () => {
    const table = tableOf(0, ['allow 24', 'allow 20']);
    const said = (port: number, protocol: number = IP_PROTOCOL.TCP): string | undefined =>
      decide([table], { protocol, port, bits: 24 }).entry?.name;
    assert.deepEqual([said(80), said(95), said(96), said(79)], ['0 allow 24', '0 allow 20', undefined, undefined]);
    assert.equal(said(80, IP_PROTOCOL.UDP), undefined);
  });
});

describe('longestMatch', () => {
  it('finds nothing narrower than what is asked for', () => {
    const table = tableOf(0, ['deny 24', 'allow 8']);
    assert.equal(longestMatch(table, WIDER[20] as L4)?.name, '0 allow 8');
    assert.equal(longestMatch(undefined, TCP_80), undefined);
  });
});

describe('wideness', () => {
  it('is nothing, what the proxy lets through, or everything', () => {
    const verdicts = ['deny', 'redirect', 'allow', 'audit'] as const;
    assert.deepEqual(
      verdicts.map((verdict) => wideness({ verdict })),
      [0, 1, 2, 2],
    );
  });
});
