import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TraceContext } from './context.ts';
import { createIdSource } from './ids.ts';
import { createSampler } from './sampler.ts';

const parent = (sampled: boolean | undefined, tail: string): TraceContext => ({
  kind: 'parent',
  format: 'b3-single',
  traceId: tail.padStart(32, '1'),
  spanId: '1'.repeat(16),
  sampled,
  traceState: undefined,
});
const decision = (sampled: boolean): TraceContext => ({ kind: 'decision', format: 'b3-single', sampled });

const cases: readonly {
  readonly name: string;
  readonly ratio: number;
  readonly context: TraceContext | undefined;
  readonly random: number;
  readonly expected: boolean;
}[] = [
  { name: 'says no at ratio 0', ratio: 0, context: undefined, random: 0, expected: false },
  { name: 'says yes at ratio 1', ratio: 1, context: undefined, random: 0xffff_ffff, expected: true },
  { name: 'says yes just below the ratio', ratio: 0.25, context: undefined, random: 0x3fff_ffff, expected: true },
  { name: 'says no at the ratio', ratio: 0.25, context: undefined, random: 0x4000_0000, expected: false },
  { name: 'follows a sampled parent at ratio 0', ratio: 0, context: parent(true, ''), random: 0, expected: true },
  { name: 'follows an unsampled parent at ratio 1', ratio: 1, context: parent(false, ''), random: 0, expected: false },
  { name: 'follows a decision against', ratio: 1, context: decision(false), random: 0, expected: false },
  { name: 'follows a decision for', ratio: 0, context: decision(true), random: 0, expected: true },
  {
    name: 'judges an open decision by the trace id: yes',
    ratio: 0.5,
    context: parent(undefined, '7fffffff'),
    random: 0xffff_ffff,
    expected: true,
  },
  {
    name: 'judges an open decision by the trace id: no',
    ratio: 0.5,
    context: parent(undefined, '80000000'),
    random: 0,
    expected: false,
  },
];

for (const { name, ratio, context, random, expected } of cases) {
  test(`createSampler ${name}`, () => {
    assert.equal(createSampler({ ratio, ids: { uint32: () => random } }).decide(context), expected);
  });
}

for (const ratio of [-0.1, 1.1, Number.NaN]) {
  test(`createSampler refuses ratio ${ratio}`, () => {
    assert.throws(() => createSampler({ ratio, ids: { uint32: () => 0 } }), /Cannot sample at ratio/);
  });
}

test('createSampler holds its ratio over many requests', () => {
  const sampler = createSampler({ ratio: 0.1, ids: createIdSource() });
  let sampled = 0;
  for (let i = 0; i < 100_000; i++) if (sampler.decide(undefined)) sampled++;
  assert.ok(Math.abs(sampled - 10_000) < 600, `${sampled} of 100000`); // six standard deviations
});
