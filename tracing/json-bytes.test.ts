import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createJsonBytes, putAgain, putBytes, putInteger, putText } from './json-bytes.ts';

const QUOTE = Buffer.from('"');

const integers = [
  0,
  9,
  10,
  99,
  100,
  65_535,
  99_999_999,
  100_000_000,
  4_294_967_295,
  1_700_000_000_123_457,
  2 ** 53 - 1,
];
for (const value of integers) {
  test(`putInteger writes ${value}`, () => {
    const target = createJsonBytes(1);
    putInteger(target, value);
    assert.equal(target.bytes.toString('latin1', 0, target.end), String(value));
  });
}

const texts = [
  '',
  'plain ~!',
  '"',
  '\\',
  '\u0000',
  '\n',
  '\u007f',
  'é',
  '€',
  '\u2028',
  '\ud800',
  '😀',
  `${'x'.repeat(300)}"`,
];
for (const text of texts) {
  test(`putText writes ${JSON.stringify(text).slice(0, 20)} so that JSON gives it back`, () => {
    const target = createJsonBytes(1);
    putBytes(target, QUOTE);
    putText(target, text);
    putBytes(target, QUOTE);
    assert.equal(JSON.parse(target.bytes.toString('utf8', 0, target.end)), text);
  });
}

test('putAgain repeats what was written, also where it needs more room', () => {
  const target = createJsonBytes(4);
  putBytes(target, Buffer.from('abcd'));
  putAgain(target, 1, 4);
  assert.equal(target.bytes.toString('latin1', 0, target.end), 'abcdbcd');
});
