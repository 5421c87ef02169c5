// The small parts that the matcher is made of.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createInterner } from './interner.ts';
import { createLiteralTable } from './literals.ts';
import { createPairTable } from './pairs.ts';
import { createRandom } from './random.ts';
import { decodeAt } from './utf8.ts';

test('decodeAt reads what TextDecoder reads, and nothing else', () => {
  const random = createRandom(11);
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const BYTES = [0, 0x41, 0x7f, 0x80, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xdf, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff];
  let valid = 0;
  for (let round = 0; round < 20_000; round++) {
    const wide = String.fromCodePoint(random.pick([0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xffff, 0x10000, 0x10ffff]));
    const bytes = random.chance(0.3)
      ? new TextEncoder().encode(wide)
      : Uint8Array.from({ length: 1 + random.below(4) }, () => random.pick(BYTES));
    const read: number[] = [];
    let at = 0;
    while (at < bytes.length && at >= 0) {
      const decoded = decodeAt(bytes, at, bytes.length);
      read.push(decoded >> 3);
      at = decoded < 0 ? -1 : at + (decoded & 7);
    }
    let expected: number[] | undefined;
    try {
      expected = Array.from(decoder.decode(bytes), (character) => character.codePointAt(0) ?? 0);
    } catch {
      expected = undefined;
    }
    assert.deepEqual(at < 0 ? undefined : read, expected, [...bytes].join());
    if (expected) valid++;
  }
  assert.ok(valid > 5_000);
});

test('decodeAt does not read past the end of the text', () => {
  const bytes = new TextEncoder().encode('é€😀');
  const cases = [
    { at: 0, length: 2 },
    { at: 2, length: 3 },
    { at: 5, length: 4 },
  ];
  for (const { at, length } of cases) {
    assert.equal(decodeAt(bytes, at, at + length) & 7, length);
    assert.equal(decodeAt(bytes, at, at + length - 1), -1);
  }
});

test('a literal table finds its literals and nothing else', () => {
  const random = createRandom(12);
  const words = new Set<string>();
  while (words.size < 3_000)
    words.add(Array.from({ length: random.below(8) }, () => random.pick(['a', 'b', 'c'])).join(''));
  const [known, unknown] = [[...words].slice(0, 1_500), [...words].slice(1_500)];
  const table = createLiteralTable(known.map((word, value) => ({ bytes: Buffer.from(word), value })));
  assert.equal(table.size, 1_500);
  for (const [value, word] of known.entries()) {
    assert.equal(table.find(Buffer.from(`a${word}b`), 1, 1 + word.length), value, word);
  }
  for (const word of unknown) assert.equal(table.find(Buffer.from(word), 0, word.length), -1, word);
  assert.equal(createLiteralTable([]).find(Buffer.from(''), 0, 0), -1);
});

test('a pair table keeps what it was given, up to its capacity', () => {
  const random = createRandom(13);
  const table = createPairTable(2_000);
  const expected = new Map<string, number>();
  for (let n = 0; n < 5_000; n++) {
    const [a, b, value] = [random.below(60), random.below(60), random.below(1_000_000)];
    const stored = table.set(a, b, value);
    assert.equal(stored, expected.has(`${a},${b}`) || expected.size < 2_000);
    if (stored) expected.set(`${a},${b}`, value);
  }
  assert.equal(table.size, 2_000);
  for (let a = 0; a < 60; a++) {
    for (let b = 0; b < 60; b++) assert.equal(table.get(a, b), expected.get(`${a},${b}`) ?? -1);
  }
});

test('an interner tells lists apart by content and tag', () => {
  const interner = createInterner();
  const list = (...numbers: number[]): Int32Array => Int32Array.from(numbers);
  assert.equal(interner.intern(list(1, 2)), 0);
  assert.equal(interner.intern(list(2, 1)), 1);
  assert.equal(interner.intern(list(1, 2), 1), 2);
  assert.equal(interner.intern(list(1, 2)), 0);
  assert.equal(interner.find(list(1)), -1);
  assert.deepEqual([...interner.get(1)], [2, 1]);
  interner.clear();
  assert.equal(interner.find(list(1, 2)), -1);
  assert.deepEqual([...interner.get(0)], []);
});
