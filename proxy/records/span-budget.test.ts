import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CpuUse } from '#tracing/meter.ts';
import { createBudget } from './budget.ts';
import {
  ASSURED_PER_SECOND,
  assuredPerSecond,
  createSpanBudget,
  IDLE_SHARE,
  readTimes,
  spansPerSecond,
  type Times,
  WORKER_SHARE,
} from './span-budget.ts';

const LIMIT = 5_000;
const BEFORE = 1_234;
const SECOND_US = 1e6;

/** A second in which the worker had a whole processor, and the machine nothing left. */
const second = { nowUs: SECOND_US, workerUs: SECOND_US, idleUs: 0 };
const share = WORKER_SHARE * SECOND_US;

const budgets = [
  { name: 'as many as the share is enough for', use: {}, costUs: 20, expected: share / 20 },
  { name: 'half as many where one costs twice as much', use: {}, costUs: 40, expected: share / 40 },
  { name: 'fewer where the worker had less of a processor', use: { workerUs: 600_000 }, costUs: 20, expected: 1_200 },
  {
    name: 'as many a second when the look is late',
    use: { nowUs: 2e6, workerUs: 2e6 },
    costUs: 20,
    expected: share / 20,
  },
  {
    name: 'more where processors are idle',
    use: { workerUs: 0, idleUs: 600_000 },
    costUs: 20,
    expected: (IDLE_SHARE * 600_000) / 20,
  },
  { name: 'no more than the limit, however cheap', use: {}, costUs: 0, expected: LIMIT },
  { name: 'no more than the limit, however idle', use: { idleUs: 64e6 }, costUs: 20, expected: LIMIT },
  { name: 'those that are assured, however dear', use: {}, costUs: 1_000, expected: ASSURED_PER_SECOND },
  { name: 'as many as before where too few were seen', use: { requests: 10 }, costUs: 1_000, expected: BEFORE },
  { name: 'as many as before where none was seen', use: { requests: 0 }, costUs: 0, expected: BEFORE },
];
for (const { name, use, costUs, expected } of budgets) {
  test(`spansPerSecond allows ${name}`, () => {
    const whole = { ...second, requests: 2_000, ...use };
    assert.equal(spansPerSecond(BEFORE, { ...whole, spansUs: whole.requests * costUs }, LIMIT), expected);
  });
}

test('spansPerSecond never passes a limit that is below what is assured', () => {
  for (const costUs of [0.1, 1_000]) {
    assert.equal(spansPerSecond(10, { ...second, spansUs: 500 * costUs, requests: 500 }, 10), 10);
  }
  assert.equal(assuredPerSecond(10), 10);
});

/** A worker that has a processor and is asked for more than it samples, on a machine where a request costs `costUs`. */
function worker(costUs: number) {
  let cpu: CpuUse = { threadUs: 0, spansUs: 0, othersUs: 0 };
  let times: Times = { nowUs: 0, workerUs: 0, idleUs: 0 };
  let sampled = 0;
  const applied: number[] = [];
  const budget = createSpanBudget({
    meter: { read: () => cpu },
    times: () => times,
    sampled: () => sampled,
    limit: LIMIT,
    apply: (perSecond) => applied.push(perSecond),
  });
  return {
    budget,
    applied,
    /** A second goes by; returns what spans took in it. */
    second(requests = budget.perSecond, othersUs = 30_000) {
      sampled += requests;
      const spansUs = requests * costUs;
      cpu = {
        threadUs: cpu.threadUs + spansUs + othersUs,
        spansUs: cpu.spansUs + spansUs,
        othersUs: cpu.othersUs + othersUs,
      };
      times = { ...times, nowUs: times.nowUs + SECOND_US, workerUs: times.workerUs + SECOND_US };
      budget.look();
      return spansUs;
    },
  };
}

test('createSpanBudget keeps to the share on fast and on slow machines, and counts what it took', () => {
  for (const costUs of [8, 20, 39]) {
    const { budget, applied, second } = worker(costUs);
    assert.equal(budget.perSecond, ASSURED_PER_SECOND);
    let total = second();
    for (let i = 0; i < 5; i++) {
      const spansUs = second();
      assert.ok(spansUs <= share, `${spansUs} us of ${share} at ${costUs} us each`);
      assert.ok(spansUs > share * 0.95, `${spansUs} us of ${share} at ${costUs} us each`);
      total += spansUs;
    }
    assert.equal(applied.length, 1); // told of changes only
    assert.ok(Math.abs(budget.cpuSeconds - total / 1e6) < 1e-9);
  }
});

test('createSpanBudget charges nothing to spans that others took', () => {
  const { budget, second } = worker(10);
  second();
  assert.equal(budget.perSecond, share / 10);
  second(2_000, 900_000);
  assert.equal(budget.perSecond, share / 10);
});

test('who asks for less than is assured never misses a span, evenly or all at once', () => {
  for (const gapMs of [0, 1]) {
    const assured = assuredPerSecond(LIMIT);
    const take = createBudget({ perSecond: assured, burst: assured });
    for (let at = 0; at < 5_000; at += 1_000) {
      for (let i = 0; i < ASSURED_PER_SECOND - 1; i++) assert.ok(take(at + i * gapMs), `request ${i}`);
    }
  }
});

test('readTimes reads clocks that go on', () => {
  const before = readTimes();
  for (let i = 0; readTimes().workerUs === before.workerUs; i++) assert.ok(i < 1e6, 'no CPU time passes');
  const after = readTimes();
  assert.ok(after.nowUs > before.nowUs && after.idleUs >= before.idleUs && before.idleUs > 0);
});
