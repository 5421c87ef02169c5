import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { z } from 'zod';
import { ignored, misplaced, objectOf, unsupported } from './fields.ts';
import { dnsLabel, dnsSubdomain, labelKey, labelValue, portName } from './names.ts';
import { openApiOf } from './openapi.ts';
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
    {
      name: 'dnsSubdomain',
      schema: dnsSubdomain,
      yes: ['a.b', 'a', 'a'.repeat(253), `${'a'.repeat(64)}.b`],
      no: ['a..b', '.a', 'a.', `${'a.'.repeat(127)}a`, 'a'.repeat(254), 'a-.b', 'a.-b'],
    },
    {
      name: 'labelKey',
      schema: labelKey,
      yes: ['a', 'A_b.c', 'x.y/Z', `${'x'.repeat(253)}/${'a'.repeat(63)}`],
      no: ['', '/a', 'x/', 'X.y/z', 'a b', 'a'.repeat(64), `${'x'.repeat(254)}/a`, `x/${'a'.repeat(64)}`, '__proto__'],
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
      findings: ['inner.list: must be a list, not null: leave the field out if that is meant'],
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
    {
      name: 'a field that is like no other',
      value: { name: 'a', inner: { queue: [] } },
      result: undefined,
      findings: ['inner.queue: unknown field "queue": possible are "list"'],
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

describe('fields that go together', () => {
  const schema = objectOf(
    { a: z.string().optional(), b: z.string().optional(), mode: z.enum(['x'], 'is no mode: write x').optional() },
    { exactlyOne: ['a', 'b'], notes: { c: misplaced('write it outside') } },
  ).describe('with a description');
  const cases: { value: unknown; reasons: readonly string[] }[] = [
    { value: { a: '1' }, reasons: [] },
    { value: {}, reasons: [': must have one of "a", "b"'] },
    { value: { a: '1', b: '2' }, reasons: [': has "a", "b", but only one of "a", "b" is possible'] },
    { value: { a: '1', c: null }, reasons: ['c: "c" is not possible here: write it outside'] },
    { value: { a: '1', mode: 'y' }, reasons: ['mode: "y" is no mode: write x'] },
  ];
  for (const { value, reasons } of cases) {
    test(JSON.stringify(value), () => {
      const report = createReport();
      validate(schema, value, { path: [], report });
      assert.deepEqual(
        report.findings.map((f) => `${formatPath(f.path)}: ${f.reason}`),
        reasons,
      );
    });
  }

  test('atLeastOne asks for one', () => {
    const report = createReport();
    validate(objectOf({ a: z.string().optional() }, { atLeastOne: ['a'] }), {}, { path: [], report });
    assert.deepEqual(
      report.findings.map((f) => f.reason),
      ['must have at least one of "a"'],
    );
  });
});

describe('openApiOf', () => {
  const whole = (spec: z.ZodType) =>
    objectOf({ apiVersion: z.literal('v1'), kind: z.literal('A'), metadata: objectOf({ name: z.string() }), spec });

  test('writes types, choices and notes, and nothing of metadata', () => {
    const spec = objectOf(
      { a: z.int().optional(), b: z.union([z.int().max(9), z.string().regex(/^x$/)]).describe('One.') },
      { exactlyOne: ['a', 'b'], notes: { c: unsupported(), d: misplaced('not now') } },
    );
    const free = { 'x-kubernetes-preserve-unknown-fields': true };
    const { properties, required } = openApiOf(whole(spec)) as {
      properties: Record<string, unknown>;
      required: unknown;
    };
    assert.deepEqual(required, ['metadata', 'spec']);
    assert.deepEqual(properties.metadata, { type: 'object' });
    assert.deepEqual(properties.apiVersion, { type: 'string' });
    assert.deepEqual(properties.spec, {
      type: 'object',
      properties: {
        a: { type: 'integer' },
        b: {
          anyOf: [{ type: 'integer' }, { type: 'string' }],
          'x-kubernetes-int-or-string': true,
          maximum: 9,
          pattern: '^x$',
          description: 'One.',
        },
        c: { description: 'Not supported yet.', ...free },
        d: { description: 'Not possible here: not now.', ...free },
      },
      required: ['b'],
      oneOf: [{ required: ['a'] }, { required: ['b'] }],
      not: { anyOf: [{ required: ['d'] }] },
    });
  });

  test('refuses a union that the language has not', () => {
    assert.throws(() => openApiOf(whole(z.union([z.string(), z.boolean()]))), /a union of string and boolean/);
  });
});
