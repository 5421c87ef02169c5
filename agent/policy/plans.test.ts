import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { cookie, peerSetId } from '#common/ids.ts';
import { createTable } from '#common/table.ts';
import { random } from '../compute/random.fixture.ts';
import { createAllocator } from '../identity/allocator.ts';
import type { CookieRow, PeerSetsRow } from '../tables.ts';
import { createCookies } from './cookies.ts';
import { L4_ALL } from './l4.ts';
import { createPeerSets } from './peer-sets.ts';
import type { PlanView } from './plan.ts';
import { createPlans, type PlanSpec } from './plans.ts';
import { areSameChanges, changeRuleSet, createRuleSet, NO_CHANGES, type RuleSet, takeChanges } from './rule-set.ts';
import type { CompiledRule } from './rules.ts';
import { createSelectorCache } from './selector-cache.ts';
import { createTemplateStore } from './templates.ts';

/** A rule that allows everybody everything, at both directions; policies differ in their name. */
function rule(id: number): CompiledRule {
  const origin = { policy: `p${id}`, file: 'f', line: 1, field: 'spec' };
  const parts = [{ l4: L4_ALL, span: -1, kind: 'allow' as const, l7: undefined }];
  const item = { id, peers: 'any' as const, parts, wantsProxy: false, origin };
  const direction = { items: [item], defaultDeny: true };
  return { id, layer: 'namespace', directions: { ingress: direction, egress: direction } } as unknown as CompiledRule;
}

function setOf(...rules: readonly CompiledRule[]): RuleSet {
  const set = createRuleSet('ingress');
  for (const one of rules) changeRuleSet(set, one, true);
  return set;
}

const spec = (set: RuleSet): PlanSpec => {
  return { direction: 'ingress', builtIn: 'nothing', rules: [set], changes: [takeChanges(set)] };
};

function rig() {
  const cache = createSelectorCache(() => {});
  const numbers = createAllocator({ name: 'peer set', min: 1, max: 100 }, peerSetId);
  const sets = createPeerSets(createTable<PeerSetsRow>('peer sets'), cache, numbers);
  const rows = createTable<CookieRow>('cookies');
  const store = createTemplateStore(createCookies(rows, createAllocator({ name: 'cookie', min: 1, max: 100 }, cookie)));
  const policiesOf = (plan: PlanView): readonly string[] =>
    [...plan.entries()].flatMap(([, list]) => list.flatMap((one) => rows.get(String(one.cookie))?.policies ?? []));
  return { plans: createPlans(cache, { sets, store }), policiesOf };
}

describe('createPlans', () => {
  it('makes one plan of equal rules, in whatever order and layers they are', () => {
    const { plans } = rig();
    const [a, b] = [rule(1), rule(2)];
    const plan = plans.acquire(spec(setOf(a, b)));
    assert.equal(plans.acquire(spec(setOf(b, a))), plan);
    assert.equal(plans.acquire({ ...spec(setOf(a)), rules: [setOf(a), setOf(b)] }), plan);
    assert.notEqual(plans.acquire({ ...spec(setOf(a, b)), direction: 'egress' }), plan);
    assert.notEqual(plans.acquire({ ...spec(setOf(a, b)), builtIn: 'nobody' }), plan);
    assert.notEqual(plans.acquire(spec(setOf(a))), plan);
  });
  it('never takes one set of rules for another that has the same hash', () => {
    const { plans, policiesOf } = rig();
    const [first, second] = [setOf(rule(1)), setOf(rule(2))].map((set) => ({ ...set, hashHigh: 1, hashLow: 1 }));
    assert.ok(first && second);
    const [one, other] = [plans.acquire(spec(first)), plans.acquire(spec(second))];
    assert.deepEqual([policiesOf(one), policiesOf(other)], [['p1'], ['p2']]);
    assert.equal(plans.acquire(spec(first)), one);
    plans.release(other);
    assert.equal(plans.acquire(spec(first)), one);
    assert.equal(plans.evolve(other, spec(second), 1), undefined);
    for (let held = 0; held < 3; held++) plans.release(one);
    assert.deepEqual(policiesOf(plans.acquire(spec(second))), ['p2']);
  });
  it('changes a plan that all who hold it leave for the same, and no other', () => {
    const { plans, policiesOf } = rig();
    const set = setOf(rule(1));
    const plan = plans.acquire(spec(set));
    plans.acquire(spec(setOf(...set.rules)));
    changeRuleSet(set, rule(2), true);
    const next = spec(set);
    assert.equal(plans.evolve(plan, next, 1), undefined);
    assert.equal(plans.evolve(plan, { ...next, changes: undefined }, 2), undefined);
    assert.ok(plans.evolve(plan, next, 2));
    assert.deepEqual(policiesOf(plan), ['p1', 'p2']);
    assert.equal(plans.acquire(spec(setOf(...set.rules))), plan);
  });
});

describe('RuleSet', () => {
  it('counts as if it were counted anew, and says what has changed', () => {
    const pick = random(1);
    const rules = Array.from({ length: 20 }, (_, id) => rule(id + 1));
    const set = createRuleSet('ingress');
    let before = new Set<CompiledRule>();
    for (let step = 0; step < 500; step++) {
      for (let edits = pick(6); edits > 0; edits--) {
        changeRuleSet(set, rules[pick(rules.length)] as CompiledRule, pick(2) === 0);
      }
      const { added, removed } = takeChanges(set);
      const counted = setOf(...set.rules);
      assert.deepEqual([set.hashHigh, set.hashLow, set.closing], [counted.hashHigh, counted.hashLow, counted.closing]);
      assert.deepEqual(new Set(added), set.rules.difference(before));
      assert.deepEqual(new Set(removed), before.difference(set.rules));
      before = new Set(set.rules);
    }
    assert.equal(takeChanges(set), NO_CHANGES);
  });
  it('has another hash for any of a hundred thousand sets', () => {
    const hashes = new Set<string>();
    for (let id = 1; id <= 447; id++) {
      const set = createRuleSet('ingress');
      for (let other = id; other <= 447; other++) {
        changeRuleSet(set, { id: other, directions: {} } as CompiledRule, true);
        hashes.add(`${set.hashHigh} ${set.hashLow}`);
      }
    }
    assert.equal(hashes.size, (447 * 448) / 2);
  });
  it('compares changes as sets', () => {
    const [a, b] = [rule(1), rule(2)];
    assert.ok(areSameChanges([{ added: [a, b], removed: [] }], [{ added: [b, a], removed: [] }]));
    assert.ok(!areSameChanges([{ added: [a], removed: [] }], [{ added: [b], removed: [] }]));
    assert.ok(!areSameChanges([{ added: [a], removed: [] }], [{ added: [], removed: [a] }]));
    assert.ok(!areSameChanges([NO_CHANGES], [NO_CHANGES, NO_CHANGES]));
  });
});
