// Everything the automata say is compared with re2js, which runs each expression alone.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RE2JS } from 're2js';
import { DEFAULT_LIMITS, type DfaLimits, UNKNOWN_RESULT } from './dfa.ts';
import { compileField, type FieldMatcher } from './field.ts';
import { createRandom, randomPattern, randomText } from './random.ts';

function field(patterns: readonly string[], limits?: DfaLimits): FieldMatcher {
  const compiled = compileField(patterns, limits);
  if (!compiled.ok) throw new Error(compiled.error);
  return compiled.value;
}

/** Patterns that match the bytes. Put in the middle of a buffer, so that reading past the ends would be seen. */
function matched(matcher: FieldMatcher, text: string | Uint8Array): number[] {
  const bytes = typeof text === 'string' ? Buffer.from(text) : text;
  const buffer = Buffer.concat([Buffer.from('a/'), bytes, Buffer.from('a/')]);
  const end = 2 + bytes.length;
  const set = matcher.run(buffer, 2, end);
  return [...(set === UNKNOWN_RESULT ? matcher.simulate(buffer, 2, end) : matcher.setOf(set))];
}

function isValid(pattern: string): boolean {
  return compileField([pattern]).ok;
}

describe('a field matcher agrees with re2js', () => {
  const variants: { name: string; seed: number; limits: DfaLimits; rounds: number }[] = [
    { name: 'with the whole table built ahead', seed: 1, limits: DEFAULT_LIMITS, rounds: 400 },
    { name: 'with rows built when needed', seed: 2, limits: { ...DEFAULT_LIMITS, aheadVisits: 0 }, rounds: 400 },
    { name: 'with a table that is soon full', seed: 3, limits: { ...DEFAULT_LIMITS, tableBytes: 1500 }, rounds: 400 },
    { name: 'with sets that are soon full', seed: 4, limits: { ...DEFAULT_LIMITS, setNodes: 40 }, rounds: 200 },
  ];
  for (const { name, seed, limits, rounds } of variants) {
    test(name, () => {
      const random = createRandom(seed);
      let hits = 0;
      let cases = 0;
      for (let round = 0; round < rounds; round++) {
        const patterns = Array.from({ length: 1 + random.below(5) }, () => randomPattern(random, 1 + random.below(6)));
        const valid = patterns.filter(isValid);
        const matcher = field(valid, limits);
        const oracles = valid.map((pattern) => RE2JS.compile(pattern));
        for (let n = 0; n < 25; n++) {
          const text = randomText(random, 6);
          const expected = oracles.flatMap((oracle, i) => (oracle.testExact(text) ? [i] : []));
          assert.deepEqual(matched(matcher, text), expected, `${JSON.stringify(valid)} on ${JSON.stringify(text)}`);
          hits += expected.length;
          cases += valid.length;
        }
      }
      assert.ok(hits > cases / 100, `only ${hits} of ${cases} cases match: they prove little`);
    });
  }
});
