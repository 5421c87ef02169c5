import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { canBeginWith } from './nfa.ts';
import { compilePattern, literalOf, MAX_INSTRUCTIONS, type Program } from './program.ts';

function program(pattern: string): Program {
  const compiled = compilePattern(pattern);
  if (!compiled.ok) throw new Error(compiled.error);
  return compiled.value;
}

describe('compilePattern', () => {
  const refused: { pattern: string; reason: RegExp }[] = [
    { pattern: '/a(', reason: /missing closing \)/ },
    { pattern: '[a', reason: /missing closing \]/ },
    { pattern: 'a**', reason: /invalid nested repetition/ },
    { pattern: '(?=a)', reason: /invalid or unsupported Perl syntax/ },
    { pattern: '(?<!a)b', reason: /invalid named capture/ },
    { pattern: '(a)\\1', reason: /invalid escape sequence/ },
    { pattern: 'a{1001}', reason: /invalid repeat count/ },
    { pattern: '\\p{Nothing}', reason: /invalid character class range/ },
    { pattern: '(a{100}){1000}', reason: /repeat/ },
    { pattern: '[a-z]{1000}'.repeat(11), reason: /too complex: \d+ steps, at most 10000/ },
  ];
  for (const { pattern, reason } of refused) {
    test(`refuses ${pattern}`, () => {
      const compiled = compilePattern(pattern);
      assert.ok(!compiled.ok);
      assert.match(compiled.error, reason);
    });
  }

  const accepted = ['', '(?i)get', '\\pN+', '[[:alpha:]]*', '(?P<name>a|b)??', 'a{1000}', '\\z', '\\Qa.b\\E'];
  for (const pattern of accepted) {
    test(`accepts "${pattern}"`, () => {
      assert.ok(program(pattern).instructions.length <= MAX_INSTRUCTIONS);
    });
  }
});

test('literalOf knows patterns that match one text', () => {
  const cases: { pattern: string; literal: string | undefined }[] = [
    { pattern: 'GET', literal: 'GET' },
    { pattern: '^/v1/$', literal: '/v1/' },
    { pattern: '\\A/v1\\z', literal: '/v1' },
    { pattern: 'svc\\.ns', literal: 'svc.ns' },
    { pattern: '\\Q.*\\E', literal: '.*' },
    { pattern: '(?:a)(b)(?P<n>c)', literal: 'abc' },
    { pattern: 'a{3}', literal: 'aaa' },
    { pattern: '[a]', literal: 'a' },
    { pattern: 'é😀', literal: 'é😀' },
    { pattern: '', literal: '' },
    { pattern: '^$', literal: '' },
    { pattern: 'a|b', literal: undefined },
    { pattern: 'a?', literal: undefined },
    { pattern: 'a.', literal: undefined },
    { pattern: '(?i)a', literal: undefined },
    { pattern: '(?i)1', literal: '1' },
    { pattern: 'a^', literal: undefined },
    { pattern: '$a', literal: undefined },
    { pattern: '\\ba', literal: undefined },
    { pattern: '(?m)a$', literal: undefined },
    { pattern: '[^\\x00-\\x{10FFFF}]', literal: undefined },
    { pattern: '\\x{D800}', literal: undefined },
  ];
  for (const { pattern, literal } of cases) assert.equal(literalOf(program(pattern)), literal, pattern);
});

test('canBeginWith tells whether a path can match', () => {
  const cases: { pattern: string; can: boolean }[] = [
    { pattern: '/v1', can: true },
    { pattern: '(?i)/V1', can: true },
    { pattern: '.*', can: true },
    { pattern: 'x?/a', can: true },
    { pattern: '\\B/a', can: true },
    { pattern: 'v1/.*', can: false },
    { pattern: '\\b/a', can: false },
    { pattern: '\\*', can: false },
    { pattern: '', can: false },
  ];
  for (const { pattern, can } of cases) assert.equal(canBeginWith(program(pattern), '/'), can, pattern);
});
