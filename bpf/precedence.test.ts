// Which entry answers for a peer that is in several sets: by precedence, bits of the port, set before any peer. By test run.
//
//   client (identity 300) --lxca--> node --lxcb--> server (identity 400), whose ingress is asked

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as abi from './abi.ts';
import { syn } from './testing/scene.ts';
import { type Answer, EDITION, type Entry, useServerPolicy } from './testing/server-policy.ts';

const rig = useServerPolicy('prec');
const NONE: Answer = { action: 'deny', match: abi.MATCH_NONE, cookie: 0 };
const PORT = { protocol: 6, port: 80 } as const;

const { MATCH_ALL: ALL, MATCH_L3_ONLY: OF_SET, MATCH_L3_L4: OF_SET_AND_PORT, MATCH_L4_ONLY: OF_PORT } = abi;
const LETS: readonly { readonly what: string; readonly entries: readonly Entry[]; readonly answer: Answer }[] = [
  {
    what: 'deny wins over allow',
    entries: [
      [1, 'allow'],
      [2, 'deny'],
    ],
    answer: { action: 'deny', match: OF_SET, cookie: 2 },
  },
  {
    what: 'deny wins over redirect',
    entries: [
      [1, 'redirect'],
      [2, 'deny'],
    ],
    answer: { action: 'deny', cookie: 2 },
  },
  {
    what: 'deny of any peer wins too',
    entries: [
      [1, 'allow'],
      [0, 'deny'],
    ],
    answer: { action: 'deny', match: ALL },
  },
  {
    what: 'redirect wins over allow',
    entries: [
      [1, 'allow'],
      [2, 'redirect'],
    ],
    answer: { action: 'redirect', ruleset: 12 },
  },
  { what: 'refuse by itself denies as no entry does', entries: [[1, 'refuse']], answer: NONE },
  {
    what: 'two that refuse let nothing pass',
    entries: [
      [1, 'refuse'],
      [2, 'refuse', PORT],
    ],
    answer: NONE,
  },
  {
    what: 'refuse sends to the proxy what another set allows',
    entries: [
      [1, 'refuse'],
      [2, 'allow', PORT],
    ],
    answer: { action: 'redirect', ruleset: 11, match: OF_SET, cookie: 1 },
  },
  {
    what: 'refuse sends to the proxy what any peer may',
    entries: [
      [1, 'refuse', PORT],
      [0, 'allow'],
    ],
    answer: { action: 'redirect', ruleset: 11, match: OF_SET_AND_PORT },
  },
  {
    what: 'refuse of any peer sends to the proxy what a set allows',
    entries: [
      [0, 'refuse', PORT],
      [2, 'allow'],
    ],
    answer: { action: 'redirect', ruleset: 11, match: OF_PORT },
  },
  {
    what: 'refuse with more bits is the one whose ruleset counts',
    entries: [
      [1, 'refuse', PORT],
      [2, 'redirect'],
    ],
    answer: { action: 'redirect', ruleset: 11 },
  },
  {
    what: 'deny wins over refuse',
    entries: [
      [1, 'refuse'],
      [2, 'deny'],
    ],
    answer: { action: 'deny', match: OF_SET },
  },
  {
    what: 'an audited denial lets nothing pass that is refused',
    entries: [
      [1, 'refuse'],
      [2, 'audit', { precedence: 1 }],
    ],
    answer: NONE,
  },
  {
    what: 'audit wins like deny',
    entries: [
      [1, 'allow'],
      [2, 'audit'],
    ],
    answer: { action: 'audit', match: OF_SET, cookie: 2 },
  },
  {
    what: 'more bits of the port win at equal precedence',
    entries: [
      [1, 'allow', { ...PORT, precedence: 2 }],
      [2, 'redirect'],
    ],
    answer: { action: 'allow', match: OF_SET_AND_PORT },
  },
  {
    what: 'more bits win over a set',
    entries: [
      [0, 'allow', { ...PORT, precedence: 2 }],
      [2, 'redirect'],
    ],
    answer: { action: 'allow', match: OF_PORT },
  },
  {
    what: 'a set comes before any peer',
    entries: [
      [1, 'allow'],
      [0, 'redirect', { precedence: 1 }],
    ],
    answer: { action: 'allow', match: OF_SET },
  },
  {
    what: 'of one set the longest prefix alone is heard',
    entries: [
      [1, 'deny', { protocol: 6 }],
      [1, 'allow', PORT],
    ],
    answer: { action: 'allow', match: OF_SET_AND_PORT },
  },
  { what: 'another port says nothing', entries: [[1, 'allow', { protocol: 6, port: 81 }]], answer: NONE },
  {
    what: 'a set of others says nothing',
    entries: [
      [3, 'deny'],
      [0, 'allow'],
    ],
    answer: { action: 'allow', match: ALL },
  },
];

describe('a peer in several sets', () => {
  for (const { what, entries, answer } of LETS) {
    for (const sets of [
      [1, 2],
      [2, 1],
    ]) {
      test(`in the order ${sets}: ${what}`, () => {
        rig.enforce(...entries);
        rig.join(...sets);
        rig.says(answer);
      });
    }
  }

  for (const { what, entries, reason } of [
    { what: 'nothing but refuse', entries: [[1, 'refuse']], reason: abi.DROP_POLICY_DENIED },
    {
      what: 'refuse and deny',
      entries: [
        [1, 'refuse'],
        [2, 'deny'],
      ],
      reason: abi.DROP_POLICY_DENY,
    },
  ] as const) {
    test(`${what} is reported as ${abi.DROP_REASONS[reason]?.text}`, () => {
      rig.enforce(...entries);
      rig.join(1, 2);
      const outcome = rig.scene.fromPod(rig.scene.client, syn(rig.scene.ends(rig.scene.client, rig.scene.server, 4)));
      assert.deepEqual([outcome.reason, outcome.direction], [reason, abi.POLICY_INGRESS]);
    });
  }

  test('an action that the program does not know denies what another one allows', () => {
    rig.enforce([1, 'deny'], [2, 'allow'], [0, 'redirect']);
    rig.join(1, 2);
    const key = { prefixlen: 72, edition: EDITION, peers: 1, protocol: 0, port: 0 };
    for (const action of [0, 6, 255]) {
      rig.maps.policy.set(key, { precedence: 3, ruleset: 1, cookie: 1, action, l4Bits: 0 });
      rig.says({ action: 'deny', ruleset: 0 }, `${action}`);
    }
  });
});
