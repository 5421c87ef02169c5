import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createRequestHead, SCAN, scanRequest } from '../http1/request.ts';
import { createRuleBook } from './book.ts';
import { createPolicyLists, type PeerOrder, type RulesetOrder } from './ruleset.ts';
import { createJudgement, judge, VERDICT } from './verdict.ts';

const NOBODY: PeerOrder = { anyPeer: false, identities: [], wildcard: false, http: [], policies: [] };
const rule = (path: string, policy = 'ns/p') => ({ method: '', path, host: '', headers: [], policy });

function bookOf(...rulesets: RulesetOrder[]) {
  const lists: (readonly string[])[] = [[]];
  const problems: string[] = [];
  const announce = (number: number, names: readonly string[]): void => {
    lists[number] = names;
  };
  const book = createRuleBook(createPolicyLists(announce), (problem) => problems.push(problem));
  book.apply({ version: 1, full: true, rulesets, removed: [] });
  return { book, lists, problems };
}

function headOf(requestLine: string) {
  const head = createRequestHead(16);
  const text = `${requestLine} HTTP/1.1\r\nHost: a\r\n\r\n`;
  assert.equal(scanRequest(head, Buffer.from(`${text}\0`, 'latin1'), 0, text.length), SCAN.complete);
  return head;
}

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

  test('hands out the same rules for the same peer', () => {
    const { book } = bookOf(open);
    assert.equal(book.rulesFor(1, 5), book.rulesFor(1, 5));
    assert.notEqual(book.rulesFor(1, 5), book.rulesFor(1, 6));
  });
});
