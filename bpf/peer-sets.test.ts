// Blocks of a peer's sets, editions and filters of a subject: what is found, and what denies. By test run.
//
//   client (identity 300) --lxca--> node --lxcb--> server (identity 400), whose ingress is asked

import { describe, test } from 'node:test';
import * as abi from './abi.ts';
import { filterOf } from './testing/policy.ts';
import { CLIENT, SERVER } from './testing/scene.ts';
import { type Answer, EDITION, type Entry, NO_EDITION, useServerPolicy } from './testing/server-policy.ts';

const rig = useServerPolicy('sets');
const ALSO = EDITION + 1;
const NONE: Answer = { action: 'deny', match: abi.MATCH_NONE, cookie: 0 };
const ANY_ALLOWED: Answer = { action: 'allow', match: abi.MATCH_ALL };
const { MATCH_L3_ONLY: OF_SET } = abi;
const ALL_BITS = Array<number>(8).fill(0xffffffff);

const many = (count: number): number[] => Array.from({ length: count }, (_, i) => 1000 + i);
const ROOM = abi.PEER_SETS_EACH * abi.PEER_SET_BLOCKS;

describe('blocks of sets', () => {
  for (const { what, place } of [
    { what: 'the first', place: 1 },
    { what: 'the second', place: abi.PEER_SETS_EACH + 1 },
    { what: 'the last', place: ROOM },
  ]) {
    test(`a set in ${what} is found, whichever blocks follow`, () => {
      const sets = many(ROOM);
      rig.enforce([sets[place - 1] ?? 0, 'deny'], [0, 'allow']);
      rig.join(...sets.slice(0, place));
      rig.says({ action: 'deny', cookie: 1 });
      rig.join(...sets);
      rig.says({ action: 'deny', cookie: 1 });
    });
  }

  test('a peer in no set is any peer, and one in as many as there is room for', () => {
    rig.enforce([0, 'allow']);
    for (const sets of [[], [0, 0, 7], many(ROOM)]) {
      rig.join(...sets);
      rig.says(ANY_ALLOWED, `${sets.length}`);
    }
  });

  test('empty places are passed over', () => {
    rig.enforce([7, 'deny'], [0, 'allow']);
    rig.join(0, 0, 7);
    rig.says({ action: 'deny', cookie: 1 });
  });

  test('more blocks than there may be deny', () => {
    rig.enforce([0, 'allow'], [1000, 'allow']);
    rig.join(...many(ROOM + 1));
    rig.says(NONE);
  });

  test('a block that is missing denies', () => {
    rig.enforce([0, 'allow'], [1000, 'allow']);
    rig.join(...many(abi.PEER_SETS_EACH + 1));
    rig.says({ action: 'allow' });
    rig.maps.peer_sets.delete({ identity: CLIENT.identity, block: 1 });
    rig.says(NONE);
  });

  test('a peer without a row is denied', () => {
    rig.enforce([0, 'allow']);
    rig.maps.peer_sets.delete({ identity: CLIENT.identity, block: 0 });
    rig.says(NONE);
  });
});

describe('a subject', () => {
  test('without a row is denied', () => {
    rig.enforce([0, 'allow']);
    rig.says(ANY_ALLOWED);
    rig.maps.subjects.delete(SERVER.identity);
    rig.says(NONE);
  });

  test('without an edition is denied, whatever another one says', () => {
    rig.write(EDITION, [[0, 'allow']]);
    rig.write(0, [[0, 'allow']]);
    for (const also of [0, EDITION]) {
      rig.use({ edition: 0, also });
      rig.says(NONE, `${also}`);
    }
  });

  test('hears neither other editions nor its other direction', () => {
    rig.enforce([0, 'allow']);
    rig.use({ edition: ALSO });
    rig.says(NONE);
    const egress = { ...NO_EDITION, edition: EDITION };
    rig.maps.subjects.set(SERVER.identity, { identity: SERVER.identity, ingress: NO_EDITION, egress });
    rig.says(NONE);
  });
});

describe("a row that is another one's by the time it is read", () => {
  test('of the subject, is denied', () => {
    rig.enforce([0, 'allow']);
    const ingress = { ...NO_EDITION, edition: EDITION };
    rig.maps.subjects.set(SERVER.identity, { identity: CLIENT.identity, ingress, egress: NO_EDITION });
    rig.says(NONE);
  });

  test('of the peer, is denied', () => {
    rig.enforce([0, 'allow']);
    rig.maps.peer_sets.set({ identity: CLIENT.identity, block: 0 }, { identity: 1, more: 0, only: 0, sets: [] });
    rig.says(NONE);
  });
});

describe('the filter', () => {
  for (const set of [1, 31, 32, 63, 64, 255, 256, 257, 0x80000000, 0xffffffff]) {
    test(`finds set ${set} by its bit, and does not look for it without`, () => {
      rig.enforce([set, 'deny'], [0, 'allow']);
      rig.join(set);
      rig.says({ action: 'deny', match: OF_SET });
      rig.use({ edition: EDITION, filter: filterOf([set]).map((bits) => ~bits >>> 0) });
      rig.says(ANY_ALLOWED);
    });
  }

  test('may have bits of sets without an entry', () => {
    rig.enforce([2, 'redirect'], [0, 'allow']);
    rig.join(258, 1, 2, 300);
    rig.use({ edition: EDITION, filter: ALL_BITS });
    rig.says({ action: 'redirect', ruleset: 11 });
    rig.join(258, 1, 300);
    rig.says(ANY_ALLOWED);
  });
});

/** From wide to narrow. */
const WIDTHS: readonly (readonly [string, readonly Entry[], Answer])[] = [
  ['allow', [[1, 'allow']], { action: 'allow' }],
  ['audit', [[1, 'audit']], { action: 'audit' }], // all of it passes
  ['redirect', [[1, 'redirect']], { action: 'redirect' }],
  [
    'refuse what any may',
    [
      [1, 'refuse'],
      [0, 'allow'],
    ],
    { action: 'redirect' },
  ],
  ['deny', [[1, 'deny']], { action: 'deny', match: OF_SET }],
  ['nothing', [], NONE],
  ['refuse alone', [[1, 'refuse']], NONE],
];

describe('while policy changes the narrower of two answers counts', () => {
  for (const [i, [one, first]] of WIDTHS.entries()) {
    for (const [j, [other, second]] of WIDTHS.entries()) {
      test(`${one} and ${other}`, () => {
        rig.write(EDITION, first);
        rig.write(ALSO, second);
        rig.join(1);
        rig.use({ edition: EDITION, also: ALSO, filter: filterOf([1]) });
        // Allow and audit are as wide as each other: the new one counts.
        const narrower = Math.max(i, j) < 2 ? j : Math.max(i, j);
        rig.says({ action: WIDTHS[narrower]?.[2].action ?? 'deny' });
      });
    }
  }

  test('a peer that is denied by one for want of a row is denied', () => {
    rig.write(EDITION, [[0, 'allow']]);
    rig.write(ALSO, [[0, 'allow']]);
    rig.use({ edition: EDITION, also: ALSO });
    rig.says(ANY_ALLOWED);
    rig.maps.peer_sets.delete({ identity: CLIENT.identity, block: 0 });
    rig.says(NONE);
  });
});
