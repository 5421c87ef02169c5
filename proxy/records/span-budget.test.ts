import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CpuUse } from '#tracing/meter.ts';
import { createBudget } from './budget.ts';
import { ASSURED_PER_SECOND, assuredPerSecond, createSpanBudget, SPAN_SHARE, spansPerSecond } from './span-budget.ts';

const LIMIT = 5_000;
const share = SPAN_SHARE * 1e6; // microseconds a second

const budgets = [
  { name: 'so many as the share is enough for', requests: 2_000, costUs: 20, expected: share / 20 },
  { name: 'half as many where one costs twice as much', requests: 2_000, costUs: 40, expected: share / 40 },
  { name: 'no more than the limit, however cheap', requests: 2_000, costUs: 0.1, expected: LIMIT },
  { name: 'those that are assured, however dear', requests: 2_000, costUs: 1_000, expected: ASSURED_PER_SECOND },
  { name: 'as many as before where too few were seen', requests: 10, costUs: 1_000, expected: 1_234 },
  { name: 'as many as before where none was seen', requests: 0, costUs: 0, expected: 1_234 },
];
for (const { name, requests, costUs, expected } of budgets) {
  test(`spansPerSecond allows ${name}`, () => {
    assert.equal(spansPerSecond(1_234, { cpuUs: requests * costUs, requests }, LIMIT), expected);
  });
}

test('spansPerSecond never passes a limit that is below what is assured', () => {
  for (const costUs of [0.1, 1_000]) assert.equal(spansPerSecond(10, { cpuUs: 500 * costUs, requests: 500 }, 10), 10);
  assert.equal(assuredPerSecond(10), 10);
});

/** A worker that is asked for more than it samples, on a machine where a request costs `costUs`. */
function worker(costUs: number) {
  let use: CpuUse = { threadUs: 0, spansUs: 0, othersUs: 0 };
  let sampled = 0;
  const applied: number[] = [];
  const budget = createSpanBudget({
    meter: { read: () => use },
    sampled: () => sampled,
    limit: LIMIT,
    apply: (perSecond) => applied.push(perSecond),
  });
  return {
    budget,
    applied,
    second(requests = budget.perSecond, otherUs = 30_000) {
      sampled += requests;
      const cpuUs = requests * costUs;
      use = {
        threadUs: use.threadUs + cpuUs + otherUs,
        spansUs: use.spansUs + cpuUs,
        othersUs: use.othersUs + otherUs,
      };
      budget.look();
      return cpuUs;
    },
  };
}

test('createSpanBudget keeps to the share on fast and on slow machines, and counts what it took', () => {
  for (const costUs of [8, 20, 39]) {
    const { budget, applied, second } = worker(costUs);
    assert.equal(budget.perSecond, ASSURED_PER_SECOND);
    let total = second();
    for (let i = 0; i < 5; i++) {
      const cpuUs = second();
      assert.ok(cpuUs <= share, `${cpuUs} us of ${share} at ${costUs} us each`);
      assert.ok(cpuUs > share * 0.95, `${cpuUs} us of ${share} at ${costUs} us each`);
      total += cpuUs;
    }
    assert.equal(applied.length, 1); // told of changes only
    assert.ok(Math.abs(budget.cpuSeconds - total / 1e6) < 1e-9);
  }
});

test('createSpanBudget looks at the last second, not at those before', () => {
  const { budget, second } = worker(10);
  for (let i = 0; i < 10; i++) second();
  assert.equal(budget.perSecond, share / 10);
  second(2_000, 0); // what others do is not charged to spans
  assert.equal(budget.perSecond, share / 10);
  second(100, 900_000); // too few to tell
  assert.equal(budget.perSecond, share / 10);
});

test('who asks for less than is assured never misses a span, evenly or all at once', () => {
  for (const gapMs of [0, 1]) {
    const assured = assuredPerSecond(LIMIT);
    const take = createBudget({ perSecond: assured, burst: assured });
    for (let second = 0; second < 5; second++) {
      for (let i = 0; i < ASSURED_PER_SECOND - 1; i++) assert.ok(take(second * 1_000 + i * gapMs), `request ${i}`);
    }
  }
});
