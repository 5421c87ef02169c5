import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_LIMITS } from './dfa.ts';
import { compileField, compileFieldInSteps } from './field.ts';
import { compileHttpRules, compileHttpRulesInSteps } from './http.ts';
import { finishSteps } from './steps.ts';

const rule = (path: string) => ({ method: 'GET', path, host: '', headers: [] });

test('`compileHttpRulesInSteps` takes many steps and comes to what `compileHttpRules` makes', () => {
  const rules = Array.from({ length: 100 }, (_, i) => rule(`/v${i}/[0-9]+`));
  const steps = compileHttpRulesInSteps(rules);
  let count = 0;
  let step = steps.next();
  for (; step.done !== true; step = steps.next()) count++;
  assert.ok(count > 300, `${count} steps`);
  const whole = compileHttpRules(rules);
  assert.deepEqual(step.value.stats(), whole.stats());
  assert.equal(step.value.maxBytes, whole.maxBytes);
  assert.throws(() => finishSteps(compileHttpRulesInSteps([rule('(')])), /Cannot compile HTTP rules: path/);
});

test('`maxBytes` grows with the rules, and `lazyBytes` bounds an automaton that cannot be built ahead', () => {
  const sizes = [1, 10, 100].map(
    (n) =>
      compileHttpRules(
        Array.from({ length: n }, (_, i) => rule(`/v${i}/[0-9]+`)),
        { maxCombinations: 10 },
      ).maxBytes,
  );
  assert.ok((sizes[0] ?? 0) * 2 < (sizes[1] ?? 0) && (sizes[1] ?? 0) * 2 < (sizes[2] ?? 0), sizes.join());
  const limits = { ...DEFAULT_LIMITS, setNodes: 1 << 16, aheadVisits: 0 };
  const patterns = ['(a|b)*a(a|b){14}'];
  const free = finishSteps(compileFieldInSteps(patterns, limits));
  const bounded = compileField(patterns, { ...limits, lazyBytes: 100_000 });
  assert.ok(bounded.ok && free.ok);
  assert.ok(bounded.value.maxBytes < 500_000, `${bounded.value.maxBytes}`);
  assert.ok(free.value.maxBytes > 10_000_000, `${free.value.maxBytes}`);
  // Still right where the table is full.
  for (let i = 0; i < 2000; i++) {
    const text = Buffer.from(
      Array.from({ length: 24 }, (_, at) => (((i * 7919 + at * at * i) >> (at % 11)) & 1 ? 'a' : 'b')).join(''),
    );
    const results: number[][] = [free.value, bounded.value].map((field) => {
      const set = field.run(text, 0, text.length);
      return [...(set < 0 ? field.resume(text, text.length) : field.setOf(set))];
    });
    assert.deepEqual(results[1], results[0]);
    assert.deepEqual(results[0], text[text.length - 15] === 97 ? [0] : []);
  }
  assert.ok(bounded.value.stats().states <= 100_000 / 200);
});
