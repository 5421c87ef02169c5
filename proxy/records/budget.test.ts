import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createBudget } from './budget.ts';

test('a budget allows its burst, then its rate, and gathers no more than its burst', () => {
  let now = 0;
  const take = createBudget({ perSecond: 10, burst: 3 });
  const taken = (): number => Array.from({ length: 20 }, () => take(now)).filter(Boolean).length;
  assert.equal(taken(), 3);
  now += 99;
  assert.equal(taken(), 0);
  now += 2;
  assert.equal(taken(), 1);
  now += 200;
  assert.equal(taken(), 2);
  now += 60_000;
  assert.equal(taken(), 3);
});

test('a budget follows its rate when that changes', () => {
  const options = { perSecond: 10, burst: 1 };
  const take = createBudget(options);
  assert.ok(take(0));
  assert.ok(!take(50));
  options.perSecond = 100;
  assert.ok(take(60));
  options.perSecond = 0;
  assert.ok(!take(60_000));
});
