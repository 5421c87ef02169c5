import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FigureResult } from '../result.ts';
import { plot } from './svg.ts';
import { figureText, goalsText, number } from './table.ts';

const result: FigureResult = {
  name: 'l7',
  title: 'A & B',
  unit: 'requests/s',
  series: [
    { name: 'weir', values: [30_000, 10_000, 20_000] },
    { name: 'envoy', values: [9_000] },
  ],
  goals: [
    { text: 'weir ÷ envoy', relation: '≥', target: 2, value: 1.5, unit: '', met: false, values: [1.4, 1.5, 1.6] },
    { text: 'latency', relation: '≤', target: 50, value: 12, unit: 'ms', met: true, values: [] },
  ],
  notes: ['a note'],
};

test('figureText shows medians, ranges, goals and notes', () => {
  assert.equal(
    figureText(result),
    [
      'A & B, requests/s',
      '  weir          20.0 k  (10.0 k to 30.0 k)',
      '  envoy           9000',
      '  weir ÷ envoy: 1.50 (≥ 2.00: missed by 0.50, rounds 1.40 1.50 1.60)',
      '  latency: 12.00 ms (≤ 50.00 ms: met)',
      '  a note',
    ].join('\n'),
  );
});

test('goalsText is a table', () => {
  assert.equal(
    goalsText(result.goals),
    [
      'figure        target      measured',
      'weir ÷ envoy  ≥ 2.00      1.50      missed by 0.50',
      'latency       ≤ 50.00 ms  12.00 ms  met',
    ].join('\n'),
  );
});

test('plot draws a bar for each series and escapes texts', () => {
  const svg = plot([result], 'here <and> now');
  assert.equal(svg.match(/<rect x=/g)?.length, 2);
  assert.equal(svg.match(/<line /g)?.length, 1);
  assert.match(svg, /A &#38; B \(requests\/s\)/);
  assert.match(svg, /here &#60;and&#62; now/);
  for (const [tag] of svg.matchAll(/<\w[^>]*>/g)) {
    const names = Array.from(tag.matchAll(/ ([\w-]+)="/g), ([, name]) => name);
    assert.equal(new Set(names).size, names.length, tag); // the same attribute twice is not XML
  }
});

const numbers = [
  { value: 19_211_914_493, text: '19.21 G' },
  { value: 1_234_567, text: '1.23 M' },
  { value: 45_678, text: '45.7 k' },
  { value: 9_999, text: '9999' },
  { value: 0.971, text: '0.97' },
  { value: Number.NaN, text: 'none' },
];
for (const { value, text } of numbers) test(`number ${value}`, () => assert.equal(number(value), text));
