import assert from 'node:assert/strict';
import { test } from 'node:test';
import { limitGoal, ratioGoal } from './result.ts';
import { median, percentile, roundRatios } from './statistics.ts';

const medians = [
  { values: [3, 1, 2], expected: 2 },
  { values: [4, 1, 2, 3], expected: 2.5 },
  { values: [7], expected: 7 },
  { values: [], expected: Number.NaN },
];
for (const { values, expected } of medians) {
  test(`median of [${values}]`, () => assert.equal(median(values), expected));
}

const hundred = Array.from({ length: 100 }, (_, i) => 100 - i);
const percentiles = [
  { values: hundred, share: 0.99, expected: 99 },
  { values: hundred, share: 1, expected: 100 },
  { values: hundred, share: 0, expected: 1 },
  { values: [5], share: 0.99, expected: 5 },
  { values: [], share: 0.5, expected: Number.NaN },
];
for (const { values, share, expected } of percentiles) {
  test(`percentile ${share} of ${values.length} values`, () => assert.equal(percentile(values, share), expected));
}

test('roundRatios divides by the best of the round', () => {
  assert.deepEqual(
    roundRatios(
      [10, 10],
      [
        [5, 20],
        [20, 10],
      ],
    ),
    [0.5, 0.5],
  );
});

const series = [
  { name: 'weir', values: [6, 8, 9] },
  { name: 'envoy', values: [3, 5, 3] },
];
const goal = { text: 'g', of: 'weir', to: ['envoy'] };

test('ratioGoal judges the median of the rounds', () => {
  const kept = ratioGoal(series, { ...goal, atLeast: 2 });
  assert.deepEqual([kept?.value, kept?.met], [2, true]);
  assert.equal(ratioGoal(series, { ...goal, atLeast: 2.01 })?.met, false);
});

test('ratioGoal is none without a peer', () => {
  assert.equal(ratioGoal(series, { ...goal, to: ['envoy', 'nginx'], atLeast: 1 }), undefined);
  assert.equal(ratioGoal(series.slice(1), { ...goal, atLeast: 1 }), undefined);
});

test('limitGoal holds up to its target', () => {
  const limit = { text: 'l', unit: 'ms', target: 50, values: [] };
  assert.equal(limitGoal({ ...limit, value: 50 }).met, true);
  assert.equal(limitGoal({ ...limit, value: 50.1 }).met, false);
  assert.equal(limitGoal({ ...limit, value: Number.NaN }).met, false);
});
