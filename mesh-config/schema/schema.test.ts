import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { z } from 'zod';
import { ignored, objectOf, unsupported } from './fields.ts';
import { dnsLabel, dnsSubdomain, labelKey, labelValue, portName } from './names.ts';
import { createReport, formatPath } from './report.ts';
import { didYouMean, nearest } from './suggest.ts';
import { validate } from './validate.ts';

test('nearest finds what was meant, and nothing far-fetched', () => {
  const known = ['fromEndpoints', 'toPorts', 'labels', 'hostNetwork', 'name'];
  const cases: { word: string; found: string | undefined }[] = [
    { word: 'fromEndpoint', found: 'fromEndpoints' },
    { word: 'FROMENDPOINTS', found: 'fromEndpoints' },
    { word: 'toProts', found: 'toPorts' },
    { word: 'hostNetwrok', found: 'hostNetwork' },
    { word: 'nmae', found: 'name' },
    { word: 'xyz', found: undefined },
    { word: '', found: undefined },
    { word: 'x'.repeat(1_000_000), found: undefined },
  ];
  for (const { word, found } of cases) assert.equal(nearest(word, known), found, word.slice(0, 20));
  assert.equal(didYouMean('nmae', known), ', did you mean "name"?');
  assert.equal(didYouMean('xyz', known), '');
});

test('formatPath writes paths as people do', () => {
  const cases: { path: readonly (string | number)[]; text: string }[] = [
    { path: [], text: '' },
    { path: ['spec', 'ingress', 0, 'toPorts'], text: 'spec.ingress[0].toPorts' },
    { path: ['metadata', 'labels', 'a.b/c'], text: 'metadata.labels["a.b/c"]' },
    { path: ['a', 'x"\n'], text: 'a["x\\"\\n"]' },
  ];
  for (const { path, text } of cases) assert.equal(formatPath(path), text);
});

describe('names', () => {
  const cases: { name: string; schema: z.ZodType; yes: readonly string[]; no: readonly string[] }[] = [
    {
      name: 'dnsLabel',
      schema: dnsLabel,
      yes: ['a', 'a-1', '1', 'a'.repeat(63)],
      no: ['', 'A', '-a', 'a-', 'a.b', 'a'.repeat(64), 'a\n'],
    },
    { name: 'dnsSubdomain', schema: dnsSubdomain, yes: ['a.b', 'a'], no: ['a..b', '.a', 'a.', `${'a.'.repeat(127)}a`] },
    {
      name: 'labelKey',
      schema: labelKey,
      yes: ['a', 'A_b.c', 'x.y/Z'],
      no: ['', '/a', 'x/', 'X.y/z', 'a b', 'a'.repeat(64), '__proto__'],
    },
    {
      name: 'labelValue',
      schema: labelValue,
      yes: ['', 'a', 'A.b_c-d'],
      no: ['-a', 'a b', 'a/b', 'a'.repeat(64), 'a\n'],
    },
    {
      name: 'portName',
      schema: portName,
      yes: ['http', 'a1', '1a'],
      no: ['', '80', 'HTTP', 'a--b', '-a', 'a-', 'a'.repeat(16)],
    },
  ];
  for (const { name, schema, yes, no } of cases) {
    test(name, () => {
      for (const text of yes) assert.ok(schema.safeParse(text).success, JSON.stringify(text));
      for (const text of no) assert.ok(!schema.safeParse(text).success, JSON.stringify(text));
    });
  }
});

describe('validate', () => {
  const inner = objectOf({ list: z.array(z.string()).optional() }, { nulls: 'refused' });
  const schema = objectOf(
    { name: z.string(), inner: inner.optional(), size: z.int().optional() },
    { notes: { hint: ignored('it is a hint'), host: unsupported({ why: 'no hosts', harmless: [false, 'empty'] }) } },
  );
  const cases: { name: string; value: unknown; result: unknown; findings: readonly string[] }[] = [
    {
      name: 'a good value',
      value: { name: 'a', inner: { list: ['b'] } },
      result: { name: 'a', inner: { list: ['b'] } },
      findings: [],
    },
    { name: 'null is absent', value: { name: 'a', inner: null, host: null }, result: { name: 'a' }, findings: [] },
    {
      name: 'null where it is not',
      value: { name: 'a', inner: { list: null } },
      result: undefined,
      findings: ['inner.list: must be a list, not null'],
    },
    {
      name: 'an ignored field',
      value: { name: 'a', hint: 1 },
      result: { name: 'a' },
      findings: ['hint: "hint" is ignored: it is a hint (warning)'],
    },
    {
      name: 'a field that is not built',
      value: { name: 'a', host: true },
      result: undefined,
      findings: ['host: "host" is not supported yet: no hosts'],
    },
    { name: 'its harmless values', value: { name: 'a', host: false }, result: { name: 'a' }, findings: [] },
    { name: 'its empty value', value: { name: 'a', host: [] }, result: { name: 'a' }, findings: [] },
    {
      name: 'all that is wrong at once',
      value: { nam: 'a', size: 1.5, inner: { list: [1, true] } },
      result: undefined,
      findings: [
        'nam: unknown field "nam", did you mean "name"?',
        'name: required, but missing',
        'inner.list[0]: must be a string: write "1" in quotes',
        'inner.list[1]: must be a string: write "true" in quotes',
        'size: must be a whole number, not 1.5',
      ],
    },
    { name: 'a value of another type', value: 'x', result: undefined, findings: [': must be an object, not "x"'] },
  ];
  for (const { name, value, result, findings } of cases) {
    test(name, () => {
      const report = createReport();
      assert.deepEqual(validate(schema, value, { path: [], report }), result);
      assert.deepEqual(
        report.findings.map((f) => `${formatPath(f.path)}: ${f.reason}${f.warning ? ' (warning)' : ''}`),
        findings,
      );
      assert.equal(
        report.refused,
        report.findings.some((f) => !f.warning),
      );
    });
  }
});
