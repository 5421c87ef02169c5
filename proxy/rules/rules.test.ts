import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createRequestHead, SCAN, scanRequest } from '../http1/request.ts';
import { createRuleBook } from './book.ts';
import { createPolicyLists } from './lists.ts';
import type { PeerOrder, RulesetOrder } from './ruleset.ts';
import { createJudgement, judge, VERDICT } from './verdict.ts';

const NOBODY: PeerOrder = {
  anyPeer: false,
  identities: [],
  wildcard: false,
  http: [],
  policies: [],
  refused: false,
  denied: [],
  otherParsers: false,
};
const rule = (path: string, policy = 'ns/p') => ({ method: '', path, host: '', headers: [], policy });

function bookOf(...rulesets: RulesetOrder[]) {
  return limitedBookOf(64 << 20, ...rulesets);
}

function limitedBookOf(maxBytes: number, ...rulesets: RulesetOrder[]) {
  const lists: (readonly string[])[] = [[]];
  const problems: string[] = [];
  const announce = (number: number, names: readonly string[]): void => {
    lists[number] = names;
  };
  const retire = (numbers: readonly number[]): void => {
    for (const number of numbers) delete lists[number];
  };
  let noRoom = 0;
  const book = createRuleBook({
    lists: createPolicyLists({ announce, retire }),
    maxBytes,
    onProblem: (problem) => problems.push(problem),
    onNoRoom: () => void noRoom++,
  });
  book.apply({ version: 1, full: true, rulesets, removed: [] });
  return { book, lists, problems, noRoom: () => noRoom };
}

function headOf(requestLine: string) {
  const head = createRequestHead(16);
  const text = `${requestLine} HTTP/1.1\r\nHost: a\r\n\r\n`;
  assert.equal(scanRequest(head, Buffer.from(`${text}\0`, 'latin1'), 0, text.length), SCAN.complete);
  return head;
}

describe('policies that are named', () => {
  const said = [rule('/a', 'ns/one'), rule('/b', 'ns/two'), rule('/a', 'ns/three')];
  const { book, lists } = bookOf({
    id: 1,
    peers: [
      { ...NOBODY, identities: [300], http: said.slice(0, 2), denied: [rule('/shut', 'ns/one')] },
      { ...NOBODY, anyPeer: true, http: said.slice(2), denied: [rule('/shut', 'ns/four')] },
    ],
  });
  const cases = [
    { path: '/a', peer: 300, policies: ['ns/one', 'ns/three'] },
    { path: '/b', peer: 300, policies: ['ns/two'] },
    { path: '/a', peer: 301, policies: ['ns/three'] },
    { path: '/shut', peer: 300, policies: ['ns/four', 'ns/one'] },
    { path: '/shut', peer: 301, policies: ['ns/four'] },
  ];
  for (const { path, peer, policies } of cases) {
    test(`are all that say the same: ${path} of ${peer}`, () => {
      const judgement = createJudgement();
      judge(judgement, headOf(`GET ${path}`), { egress: undefined, ingress: book.rulesFor(1, peer) });
      assert.deepEqual(lists[judgement.ingressPolicies], policies);
    });
  }
});

describe('judge', () => {
  const { book, lists } = bookOf(
    { id: 1, peers: [{ ...NOBODY, identities: [300], http: [rule('/ok/.*', 'ns/one'), rule('/both/.*', 'ns/two')] }] },
    { id: 2, peers: [{ ...NOBODY, anyPeer: true, http: [rule('/both/.*', 'ns/three')] }] },
    {
      id: 3,
      peers: [
        { ...NOBODY, identities: [300], wildcard: true, policies: ['ns/open'] },
        { ...NOBODY, identities: [301], http: [rule('/x', 'ns/closed')] },
      ],
    },
    {
      id: 4,
      peers: [
        { ...NOBODY, anyPeer: true, wildcard: true, policies: ['ns/open'] },
        { ...NOBODY, identities: [300], denied: [rule('/secret/.*', 'ns/shut')] },
        { ...NOBODY, identities: [301], refused: true },
      ],
    },
  );
  const cases: {
    line: string;
    egress?: number;
    ingress?: number;
    peer?: number;
    verdict: number;
    policies?: string[][];
  }[] = [
    { line: 'GET /ok/1', ingress: 1, verdict: VERDICT.allowed, policies: [[], ['ns/one']] },
    { line: 'GET /no', ingress: 1, verdict: VERDICT.denied, policies: [[], ['ns/one', 'ns/two']] },
    { line: 'GET /ok/1', ingress: 1, peer: 999, verdict: VERDICT.denied, policies: [[], []] },
    { line: 'GET /both/1', egress: 1, ingress: 2, verdict: VERDICT.allowed, policies: [['ns/two'], ['ns/three']] },
    { line: 'GET /ok/1', egress: 1, ingress: 2, verdict: VERDICT.denied, policies: [['ns/one'], ['ns/three']] },
    { line: 'GET /whatever', egress: 3, verdict: VERDICT.allowed, policies: [['ns/open'], []] },
    { line: 'GET /whatever', egress: 3, peer: 301, verdict: VERDICT.denied },
    { line: 'GET /ok/../no', ingress: 1, verdict: VERDICT.ambiguous },
    { line: 'GET /ok/a%5cb%5cc%2f..%2f..%2f..%2fno', ingress: 1, verdict: VERDICT.ambiguous },
    { line: 'GET /no/../ok/1', ingress: 1, verdict: VERDICT.ambiguous },
    { line: 'GET /no/../nothing', ingress: 1, verdict: VERDICT.denied },
    { line: 'GET /ok/../ok/1', ingress: 1, verdict: VERDICT.allowed },
    { line: 'GET /ok/../no', egress: 3, ingress: 1, verdict: VERDICT.ambiguous },
    { line: 'GET /ok/../no', egress: 3, verdict: VERDICT.allowed },
    { line: 'GET https://a/ok/1', ingress: 1, verdict: VERDICT.ambiguous },
    { line: 'GET /ok/../no', egress: 1, ingress: 2, verdict: VERDICT.denied },
    { line: 'GET /ok/1', ingress: 4, verdict: VERDICT.allowed, policies: [[], ['ns/open']] },
    { line: 'GET /secret/1', ingress: 4, verdict: VERDICT.denied, policies: [[], ['ns/shut']] },
    { line: 'GET /secret/1', ingress: 4, peer: 302, verdict: VERDICT.allowed },
    { line: 'GET /ok/../secret/1', ingress: 4, verdict: VERDICT.denied, policies: [[], ['ns/shut']] },
    { line: 'GET /secret/1/../../ok', ingress: 4, verdict: VERDICT.denied },
    { line: 'GET https://a/ok/1', ingress: 4, verdict: VERDICT.ambiguous },
    { line: 'GET /ok/1', ingress: 4, peer: 301, verdict: VERDICT.denied },
    { line: 'GET /ok/1', ingress: 77, verdict: VERDICT.denied, policies: [[], []] },
  ];
  for (const { line, egress, ingress, peer = 300, verdict, policies } of cases) {
    test(`${line}, egress ${egress}, ingress ${ingress}, peer ${peer}`, () => {
      const judgement = createJudgement();
      judge(judgement, headOf(line), {
        egress: egress === undefined ? undefined : book.rulesFor(egress, peer),
        ingress: ingress === undefined ? undefined : book.rulesFor(ingress, peer),
      });
      assert.equal(judgement.verdict, verdict);
      if (policies) assert.deepEqual([lists[judgement.egressPolicies], lists[judgement.ingressPolicies]], policies);
    });
  }
});

describe('createRuleBook', () => {
  const open: RulesetOrder = { id: 1, peers: [{ ...NOBODY, anyPeer: true, wildcard: true }] };

  test('raises the epoch and forgets what a full change does not name', () => {
    const { book } = bookOf(open);
    const { epoch } = book;
    assert.equal(book.rulesFor(1, 5).wildcard, true);
    book.apply({ version: 2, full: true, rulesets: [{ ...open, id: 2 }], removed: [] });
    assert.ok(book.epoch > epoch);
    assert.equal(book.rulesFor(1, 5).wildcard, false);
    assert.equal(book.rulesFor(1, 5).matcher, undefined);
    assert.equal(book.rulesFor(2, 5).wildcard, true);
  });

  test('keeps what a partial change neither names nor removes', () => {
    const { book } = bookOf(open, { ...open, id: 2 }, { ...open, id: 3 });
    book.apply({ version: 2, full: false, rulesets: [{ id: 2, peers: [] }], removed: [3] });
    assert.deepEqual(
      [1, 2, 3].map((id) => book.rulesFor(id, 5).wildcard),
      [true, false, false],
    );
  });

  test('lets a rule that is no expression allow nothing, says so, and keeps the others', () => {
    const { book, problems } = bookOf({
      id: 1,
      peers: [{ ...NOBODY, anyPeer: true, http: [rule('(?<bad'), rule('/ok')] }],
    });
    const rules = book.rulesFor(1, 5);
    assert.equal(rules.matcher?.match(headOf('GET /ok')), 0);
    assert.equal(rules.matcher?.match(headOf('GET /bad')), -1);
    assert.match(problems[0] ?? '', /^Cannot compile rules of ruleset 1: /);
  });

  test('denies everything where a rule that denies is no expression', () => {
    const { book, problems } = bookOf({
      id: 1,
      peers: [{ ...NOBODY, anyPeer: true, wildcard: true, denied: [rule('(?<bad')] }],
    });
    assert.equal(book.rulesFor(1, 5).refused, true);
    assert.match(problems[0] ?? '', /^Cannot compile rules of ruleset 1: /);
  });

  const http = [rule('/a[0-9]+'), rule('/b[0-9]+')];
  const full = (...rulesets: RulesetOrder[]) => ({ version: 2, full: true, rulesets, removed: [] });

  test('hands out the same rules to peers whom the same orders name', () => {
    const { book } = bookOf({
      id: 1,
      peers: [
        { ...NOBODY, identities: [5, 6], http },
        { ...NOBODY, identities: [6], http: [rule('/c')] },
        { ...NOBODY, anyPeer: true, http: [rule('/d')] },
      ],
    });
    assert.equal(book.rulesFor(1, 7), book.rulesFor(1, 8));
    assert.notEqual(book.rulesFor(1, 5), book.rulesFor(1, 6));
    const allowed = (identity: number) =>
      ['/a1', '/c', '/d'].filter(
        (path) => (book.rulesFor(1, identity).matcher?.match(headOf(`GET ${path}`)) ?? -1) >= 0,
      );
    assert.deepEqual([5, 6, 7].map(allowed), [['/a1', '/d'], ['/a1', '/c', '/d'], ['/d']]);
  });

  test('compiles equal rules once, whatever ruleset, peer, policy or update they are in', () => {
    const one = { id: 1, peers: [{ ...NOBODY, identities: [5], http }] };
    const two = { id: 2, peers: [{ ...NOBODY, anyPeer: true, http: http.map((r) => ({ ...r, policy: 'ns/other' })) }] };
    const { book, lists } = bookOf(one, two);
    const { matcher } = book.rulesFor(1, 5);
    const { bytes } = book;
    assert.ok(matcher !== undefined && bytes > 0);
    assert.equal(book.rulesFor(2, 9).matcher, matcher);
    assert.deepEqual(lists[book.rulesFor(2, 9).rulePolicies[1] ?? 0], ['ns/other']);
    book.apply(full(one, { id: 3, peers: [{ ...NOBODY, anyPeer: true, http: [...http, rule('/c')] }] }));
    assert.equal(book.rulesFor(1, 5).matcher, matcher);
    assert.notEqual(book.rulesFor(3, 5).matcher, matcher);
    assert.equal(book.bytes, bytes + (book.rulesFor(3, 5).matcher?.maxBytes ?? 0));
    book.apply(full());
    assert.equal(book.bytes, 0);
  });

  test('takes values of headers and their absence for different rules', () => {
    const asking = (value: string | undefined) => [{ ...rule('/a'), headers: [{ name: 'x', value }] }];
    const { book } = bookOf(
      { id: 1, peers: [{ ...NOBODY, anyPeer: true, http: asking(undefined) }] },
      { id: 2, peers: [{ ...NOBODY, anyPeer: true, http: asking('null') }] },
    );
    assert.notEqual(book.rulesFor(1, 5).matcher, book.rulesFor(2, 5).matcher);
  });

  test('keeps the rules in force while a change is compiled, a little at a time', () => {
    const many = Array.from({ length: 1000 }, (_, i) => rule(`/v${i}/[0-9]+(/x.*)?`));
    const { book } = bookOf(open);
    book.begin({ ...full({ id: 2, peers: [{ ...NOBODY, anyPeer: true, http: many }] }), version: 7 });
    book.begin({ version: 8, full: false, rulesets: [{ ...open, id: 3 }], removed: [] });
    book.begin({ version: 9, full: false, rulesets: [{ ...open, id: 4 }], removed: [3] });
    assert.equal(book.rulesFor(1, 5).wildcard, true);
    const { epoch } = book;
    let slices = 0;
    let longestMs = 0;
    let versions: readonly number[] = [];
    for (; book.busy && versions.length === 0; slices++) {
      assert.equal(book.epoch, epoch);
      assert.equal(book.rulesFor(1, 5).wildcard, true);
      const startMs = performance.now();
      versions = book.work(startMs + 1);
      longestMs = Math.max(longestMs, performance.now() - startMs);
    }
    assert.deepEqual(versions.slice(0, 1), [7]);
    assert.ok(slices > 10, `${slices} slices, the longest ${longestMs} ms`);
    if (book.busy) versions = [...versions, ...book.work(Number.POSITIVE_INFINITY)];
    assert.deepEqual(versions, [7, 8, 9], 'what waited came into force at once');
    assert.equal(book.rulesFor(2, 5).matcher?.match(headOf('GET /v77/3')), 77);
    assert.deepEqual(
      [1, 3, 4].map((id) => book.rulesFor(id, 5).wildcard),
      [false, false, true],
    );
  });

  test('lets rules that it has no room for allow nothing, says so, and keeps the others', () => {
    const { book, problems, noRoom } = limitedBookOf(
      300_000,
      { id: 1, peers: [{ ...NOBODY, anyPeer: true, http }] },
      { id: 2, peers: [{ ...NOBODY, anyPeer: true, http: Array.from({ length: 1000 }, (_, i) => rule(`/${i}.*`)) }] },
      { ...open, id: 3 },
    );
    assert.equal(book.rulesFor(1, 5).matcher?.match(headOf('GET /b1')), 1);
    assert.equal(book.rulesFor(2, 5).matcher, undefined);
    assert.equal(book.rulesFor(3, 5).wildcard, true);
    assert.ok(book.bytes <= 300_000);
    assert.equal(noRoom(), 1);
    assert.match(
      problems[0] ?? '',
      /^Cannot compile rules of ruleset 2: they take \d+ bytes, and \d+ of 300000 are left$/,
    );
  });

  test('forgets lists of policies that no rule names any more, and never uses a number twice', () => {
    const { book, lists } = bookOf(open);
    const peers = (i: number) => [{ ...NOBODY, anyPeer: true, http: [rule('/a', `ns/p${i}`), rule('/b', 'ns/kept')] }];
    const numbers = new Set<number>();
    for (let i = 0; i < 100; i++) {
      book.apply(full({ id: 1, peers: peers(i) }));
      numbers.add(book.rulesFor(1, 5).rulePolicies[0] ?? 0);
    }
    assert.equal(numbers.size, 100);
    const known = Object.values(lists).filter((names) => names.length > 0);
    assert.deepEqual(known.flat().sort(), ['ns/kept', 'ns/kept', 'ns/p99', 'ns/p99']);
  });
});
