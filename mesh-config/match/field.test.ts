// Everything the automata say is compared with re2js, which runs each expression alone, and with what RE2 documents.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RE2JS } from 're2js';
import { DEFAULT_LIMITS, type DfaLimits, type DfaTable, ESCAPE, UNKNOWN_RESULT } from './dfa.ts';
import { compileField, type FieldMatcher } from './field.ts';
import { createRandom, randomPattern, randomText } from './random.ts';

function field(patterns: readonly string[], limits?: DfaLimits): FieldMatcher {
  const compiled = compileField(patterns, limits);
  if (!compiled.ok) throw new Error(compiled.error);
  return compiled.value;
}

/** Patterns that match the bytes. They stand in the middle of a buffer, so that reading past the ends would be seen. */
function matched(matcher: FieldMatcher, text: string | Uint8Array): number[] {
  const bytes = typeof text === 'string' ? Buffer.from(text) : text;
  const buffer = Buffer.concat([Buffer.from('a/'), bytes, Buffer.from('a/')]);
  const end = 2 + bytes.length;
  const set = matcher.run(buffer, 2, end);
  return [...(set === UNKNOWN_RESULT ? matcher.resume(buffer, end) : matcher.setOf(set))];
}

const LIMITS: { name: string; seed: number; limits: DfaLimits; rounds: number }[] = [
  { name: 'with the whole table built ahead', seed: 1, limits: DEFAULT_LIMITS, rounds: 400 },
  { name: 'with rows built when needed', seed: 2, limits: { ...DEFAULT_LIMITS, aheadVisits: 0 }, rounds: 400 },
  { name: 'with a table that is soon full', seed: 3, limits: { ...DEFAULT_LIMITS, tableBytes: 1500 }, rounds: 400 },
  { name: 'with sets that are soon full', seed: 4, limits: { ...DEFAULT_LIMITS, setNodes: 40 }, rounds: 200 },
];

describe('a field matcher agrees with re2js', () => {
  for (const { name, seed, limits, rounds } of LIMITS) {
    test(name, () => {
      const random = createRandom(seed);
      let hits = 0;
      let cases = 0;
      for (let round = 0; round < rounds; round++) {
        const patterns = Array.from({ length: 1 + random.below(5) }, () => randomPattern(random, 1 + random.below(6)));
        const valid = patterns.filter((pattern) => compileField([pattern]).ok);
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

describe('a field matcher matches the whole text as RE2 does', () => {
  const cases: { pattern: string; yes: readonly string[]; no: readonly string[] }[] = [
    { pattern: '/public', yes: ['/public'], no: ['/public/', '/public?x=1', '/Public', 'a/public', ''] },
    { pattern: '/public/.*', yes: ['/public/', '/public/a/b?c'], no: ['/public', '/public/\n'] },
    { pattern: '^PUT$', yes: ['PUT'], no: ['PUTS', 'put', 'PUT\n'] },
    { pattern: '^/d/_search/??.*$', yes: ['/d/_search', '/d/_search/x'], no: ['/d/_searc'] },
    { pattern: '(?i)/Admin', yes: ['/admin', '/ADMIN'], no: ['/admin/'] },
    { pattern: '(?i)k', yes: ['k', 'K', '\u212a'], no: ['q'] },
    { pattern: '[[:alpha:]]+\\d', yes: ['aB1'], no: ['1', 'é1'] },
    { pattern: '\\pN', yes: ['7', '٣'], no: ['a', '77'] },
    { pattern: 'a\\z', yes: ['a'], no: ['a\n', 'aa'] },
    { pattern: '(?P<n>x|y)z', yes: ['xz', 'yz'], no: ['xyz'] },
    { pattern: 'a|ab', yes: ['a', 'ab'], no: ['abb', 'b'] },
    { pattern: '(?:a|b)?c??', yes: ['', 'a', 'c', 'bc'], no: ['ab', 'cc'] },
    { pattern: 'x{2,3}', yes: ['xx', 'xxx'], no: ['x', 'xxxx'] },
    { pattern: '.', yes: ['a', 'é', '😀'], no: ['\n', '', 'ab'] },
    { pattern: '[^/]+', yes: ['a', 'é', '\n'], no: ['/', 'a/b', ''] },
    { pattern: '\\bfoo\\b.*', yes: ['foo', 'foo/'], no: ['food', 'foo_'] },
    { pattern: '(?m)a$\n^b', yes: ['a\nb'], no: ['a\n\nb', 'ab'] },
    { pattern: '$^', yes: [''], no: ['a', '\n'] },
    { pattern: '[^\\x00-\\x{10FFFF}]', yes: [], no: ['', 'a', 'é'] },
  ];
  for (const { pattern, yes, no } of cases) {
    test(JSON.stringify(pattern), () => {
      for (const [name, limits] of Object.entries({
        ahead: DEFAULT_LIMITS,
        lazy: { ...DEFAULT_LIMITS, aheadVisits: 0 },
      })) {
        const matcher = field([pattern], limits);
        for (const text of yes) assert.deepEqual(matched(matcher, text), [0], `${name}: ${JSON.stringify(text)}`);
        for (const text of no) assert.deepEqual(matched(matcher, text), [], `${name}: ${JSON.stringify(text)}`);
      }
    });
  }
});

test('bytes that are not UTF-8 match nothing, not even ".*"', () => {
  const matcher = field(['(?s).*', '[^a]*', 'a\ufffd']);
  const cases: { name: string; bytes: readonly number[] }[] = [
    { name: 'a lone continuation byte', bytes: [0x61, 0x80] },
    { name: 'an overlong slash', bytes: [0xc0, 0xaf] },
    { name: 'a surrogate', bytes: [0xed, 0xa0, 0x80] },
    { name: 'past U+10FFFF', bytes: [0xf4, 0x90, 0x80, 0x80] },
    { name: 'cut off, though the buffer goes on', bytes: [0x62, 0xc3] },
    { name: 'Latin-1', bytes: [0x61, 0xe9] },
  ];
  for (const { name, bytes } of cases) assert.deepEqual(matched(matcher, Uint8Array.from(bytes)), [], name);
  assert.deepEqual(matched(matcher, 'é'), [0, 1]);
});

test('a literal and expressions that match the same text are found together', () => {
  const matcher = field(['/a', '/.*', '^/a$', '/b', '/[ab]']);
  assert.deepEqual(matched(matcher, '/a'), [0, 1, 2, 4]);
  assert.deepEqual(matched(matcher, '/b'), [1, 3, 4]);
  assert.deepEqual(matched(matcher, '/c'), [1]);
  assert.deepEqual(matched(matcher, 'a'), []);
});

describe('work is bounded', () => {
  const patterns = [
    '(a+)+b',
    '(a*)*',
    '(a|aa)+c',
    '(.*)(.*)(.*)(.*)x',
    '([a-z]+)*\\d',
    'a{0,500}a{500}',
    '(a?){50}a{50}',
  ];
  const text = Buffer.from('a'.repeat(20_000));
  for (const pattern of patterns) {
    test(`${pattern} takes one look-up per byte`, () => {
      const matcher = field([pattern]);
      matcher.run(text, 0, text.length);
      const before = matcher.stats().steps;
      matcher.run(text, 0, text.length);
      assert.ok(matcher.stats().steps - before <= text.length);
      assert.equal(matcher.stats().simulations, 0);
    });
  }

  test('an automaton that would explode stays within its limits and right', () => {
    const limits: DfaLimits = { ...DEFAULT_LIMITS, tableBytes: 64 << 10 };
    const pattern = '[ab]*a[ab]{12}';
    const matcher = field([pattern], limits);
    const oracle = RE2JS.compile(pattern);
    const random = createRandom(5);
    for (let n = 0; n < 3000; n++) {
      const one = Array.from({ length: 10 + random.below(20) }, () => random.pick(['a', 'b'])).join('');
      assert.deepEqual(matched(matcher, one), oracle.testExact(one) ? [0] : [], one);
    }
    const { states, resets, simulations, complete } = matcher.stats();
    assert.equal(complete, false);
    assert.ok(states * 4 * 4 <= limits.tableBytes, `${states} states`);
    assert.ok(resets > 0 && simulations > 0, `${resets} resets, ${simulations} simulations`);

    // What comes often finds its way back into the table.
    const often = Buffer.from('abbaab'.repeat(4));
    for (let n = 0; n < 10_000; n++) matched(matcher, often);
    const settled = matcher.stats().simulations;
    matched(matcher, often);
    assert.equal(matcher.stats().simulations, settled);
  });

  test('bytes past ASCII are read from where they begin, not from the start', () => {
    const matcher = field(Array.from({ length: 50 }, (_, i) => `/p${i}/.*`));
    assert.deepEqual(matched(matcher, '/p7/é'), [7]);
    assert.deepEqual(matched(matcher, '/p77/é'), []);
    assert.equal(matcher.stats().simulations, 1, 'the second text was dead before the first wide character');
  });
});

describe('table', () => {
  const walk = (table: DfaTable, bytes: Uint8Array): number[] | 'escape' => {
    let state = 1;
    for (const byte of bytes) {
      state = table.next[state * table.classes + (table.classMap[byte] ?? 0)] ?? 0;
      if (state === ESCAPE) return 'escape';
    }
    return [...(table.sets[table.accepts[state] ?? 0] ?? [])];
  };

  test('can be run by others', () => {
    const patterns = ['/v1/[a-z]+', '/.*', '(?i)/V1/x', '.*\\.json'];
    const matcher = field(patterns);
    const table = matcher.table();
    assert.ok(table);
    assert.equal(table.classMap.length, 256);
    for (const text of ['/v1/x', '/V1/X', '/a.json', 'x', '', '/']) {
      assert.deepEqual(walk(table, Buffer.from(text)), matched(matcher, text), text);
    }
    assert.equal(walk(table, Buffer.from('/é')), 'escape');
    assert.deepEqual(walk(table, Buffer.from('é')), 'escape', '.*\\.json may go on with any character');
  });

  test('is not given away half built', () => {
    assert.equal(field(['a+'], { ...DEFAULT_LIMITS, aheadVisits: 0 }).table(), undefined);
    assert.equal(field(['a']).table(), undefined, 'a literal has no automaton');
  });
});
