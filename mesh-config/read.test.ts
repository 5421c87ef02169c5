import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { z } from 'zod';
import { KINDS, readObjects } from './read.ts';
import { accepted, refused } from './testing.ts';

const NAMESPACE = 'apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n';

describe('readObjects reads', () => {
  const cases: { name: string; text: string; objects: readonly string[] }[] = [
    { name: 'nothing from an empty file', text: '', objects: [] },
    { name: 'nothing from comments and empty documents', text: '# x\n---\n---\n# y\n---\n', objects: [] },
    {
      name: 'several documents, in order',
      text: `${NAMESPACE}---\n${NAMESPACE.replace('name: a', 'name: b')}...\n---\n`,
      objects: ['Namespace /a 1', 'Namespace /b 5'],
    },
    { name: 'Windows line ends', text: NAMESPACE.replaceAll('\n', '\r\n'), objects: ['Namespace /a 1'] },
    { name: 'a byte order mark', text: `\ufeff${NAMESPACE}`, objects: ['Namespace /a 1'] },
    {
      name: 'JSON',
      text: '{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}',
      objects: ['Namespace /a 1'],
    },
    {
      name: 'a List, with lines of its items',
      text: `apiVersion: v1
kind: List
metadata: {resourceVersion: ""}
items:
- apiVersion: v1
  kind: Namespace
  metadata: {name: a}
- {apiVersion: v1, kind: Namespace, metadata: {name: b}}
`,
      objects: ['Namespace /a 5', 'Namespace /b 8'],
    },
    { name: 'an empty List', text: 'apiVersion: v1\nkind: List\nitems: []\n', objects: [] },
    {
      name: 'anchors and aliases',
      text: 'apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {x: &v y, z: *v}}\n',
      objects: ['Namespace /a 1'],
    },
  ];
  for (const { name, text, objects } of cases) {
    test(name, () => {
      const read = readObjects('f.yaml', text);
      assert.deepEqual(read.problems, []);
      assert.deepEqual(
        read.objects.map((o) => `${o.kind} ${o.namespace}/${o.name} ${o.origin.line}`),
        objects,
      );
    });
  }

  test('the good objects of a file beside the bad', () => {
    const { objects, problems } = readObjects('f.yaml', `${NAMESPACE}---\nkind: Pod\napiVersion: v1\n---\n`);
    assert.deepEqual(
      objects.map((o) => o.name),
      ['a'],
    );
    assert.ok(problems.length > 0);
    assert.ok(problems.every((p) => p.file === 'f.yaml' && p.line >= 5));
  });

  test('labels and annotations', () => {
    const { object } = accepted(
      'Namespace',
      'apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {app.kubernetes.io/name: x}, annotations: {a/b: "any text\\n"}}',
    );
    assert.deepEqual(object.labels, { 'app.kubernetes.io/name': 'x' });
    assert.deepEqual(object.annotations, { 'a/b': 'any text\n' });
    assert.deepEqual(object.origin, { file: 'test.yaml', line: 1 });
  });
});

describe('readObjects refuses', () => {
  const cases: { name: string; text: string; reasons: readonly RegExp[] }[] = [
    { name: 'a syntax error', text: 'a: [1\nb: 2\n', reasons: [/^\d : not valid YAML: /] },
    { name: 'a tab as indentation', text: 'a:\n\tb: 1\n', reasons: [/^2 : not valid YAML: .*[Tt]ab/] },
    {
      name: 'a key written twice',
      text: `${NAMESPACE}metadata: {name: b}\n`,
      reasons: [/^4 : not valid YAML: Map keys must be unique/],
    },
    {
      name: 'a key written twice as number and text',
      text: 'apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  labels:\n    1: a\n    "1": b\n',
      reasons: [/^7 : not valid YAML: Map keys must be unique/],
    },
    { name: 'an unknown tag', text: `${NAMESPACE}spec: !vault x\n`, reasons: [/^4 : not valid YAML: Unresolved tag/] },
    { name: 'a key that is an object', text: '{{ .Values.x }}: 1\n', reasons: [/a key must be a plain text/] },
    { name: 'an alias without anchor', text: 'a: *x\n', reasons: [/^1 : .*[Uu]nresolved alias/] },
    { name: 'a text', text: 'hello\n', reasons: [/^1 : is no object with apiVersion and kind, but "hello"/] },
    { name: 'a list', text: '- a\n', reasons: [/^1 : is no object with apiVersion and kind, but a list/] },
    {
      name: 'an object without type',
      text: 'metadata: {name: a}\n',
      reasons: [/^1 apiVersion: required, but missing/, /^1 kind: required, but missing/],
    },
    {
      name: 'an unknown kind',
      text: 'apiVersion: v1\nkind: Secret\n',
      reasons: [/^2 kind: kind "Secret" of "v1" is not supported yet$/],
    },
    {
      name: 'a kind that is spelt wrong',
      text: 'apiVersion: apps/v1\nkind: Deploymnet\n',
      reasons: [/did you mean "Deployment"\?/],
    },
    {
      name: 'another apiVersion',
      text: 'apiVersion: extensions/v1beta1\nkind: Deployment\n',
      reasons: [/^1 apiVersion: Deployment of "extensions\/v1beta1" is not supported, only of "apps\/v1"/],
    },
    {
      name: 'a List in a List',
      text: 'apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: List, items: []}\n',
      reasons: [/^4 items\[0\]\.kind: a List/],
    },
    { name: 'a List without items', text: 'apiVersion: v1\nkind: List\n', reasons: [/^2 kind: a List/] },
    {
      name: 'an object in a List, with its place',
      text: 'apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Namespace\n  metadata:\n    nam: a\n',
      reasons: [
        /^7 items\[0\]\.metadata\.nam: unknown field "nam", did you mean "name"\?/,
        /^6 items\[0\]\.metadata\.name: required, but missing/,
      ],
    },
    {
      name: 'both of two objects with the same name',
      text: `${NAMESPACE}---\n${NAMESPACE}`,
      reasons: [/^5 metadata\.name: Namespace \/a is written twice in this file, first on line 1: neither is used/],
    },
    {
      name: 'a namespace in a cluster-scoped object',
      text: 'apiVersion: v1\nkind: Namespace\nmetadata: {name: a, namespace: b}\n',
      reasons: [/^3 metadata\.namespace: "namespace" is not supported yet: the object is not in a namespace/],
    },
    {
      name: 'names and labels that Kubernetes would refuse',
      text: 'apiVersion: v1\nkind: Namespace\nmetadata:\n  name: A_b\n  labels:\n    x: "a b"\n    -y: z\n    n: 1\n',
      reasons: [
        /^4 metadata\.name: "A_b" must be lower-case/,
        /^6 metadata\.labels\.x: "a b" must be empty or at most 63/,
        /^7 metadata\.labels\["-y"\]: must be a name/,
        /^8 metadata\.labels\.n: must be a string: write "1" in quotes/,
      ],
    },
    {
      name: 'an object that was being deleted',
      text: 'apiVersion: v1\nkind: Namespace\nmetadata: {name: a, deletionTimestamp: "2024-01-01T00:00:00Z"}\n',
      reasons: [/metadata\.deletionTimestamp: .* being deleted/],
    },
    {
      name: 'a prototype written as a field',
      text: 'apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n__proto__: {x: 1}\nconstructor: 1\n',
      reasons: [/^4 __proto__: unknown field/, /^5 constructor: unknown field/],
    },
  ];
  for (const { name, text, reasons } of cases) {
    test(name, () => {
      const found = refused(text);
      assert.equal(found.length, reasons.length, found.join('\n'));
      for (const reason of reasons)
        assert.ok(
          found.some((line) => reason.test(line)),
          `${reason}:\n${found.join('\n')}`,
        );
    });
  }

  test('a file with a syntax error gives no object at all', () => {
    const { objects } = readObjects('f.yaml', `${NAMESPACE}---\na: "\n`);
    assert.deepEqual(objects, []);
  });
});

describe('readObjects is bounded', () => {
  test('by the size of the text', () => {
    assert.match(refused(`# ${'x'.repeat(5 << 20)}`)[0] ?? '', /too large: \d+ bytes, at most 4194304/);
  });
  test('by the number of documents', () => {
    assert.match(refused('---\na\n'.repeat(10_001))[0] ?? '', /too many documents: 10001/);
  });
  test('by the expansion of aliases', () => {
    const levels = Array.from(
      { length: 20 },
      (_, i) => `a${i + 1}: &a${i + 1} [${Array(9).fill(`*a${i}`).join(', ')}]`,
    );
    assert.match(refused(`a0: &a0 x\n${levels.join('\n')}\n`)[0] ?? '', /aliases expand too far/);
  });
  test('by the depth of nesting', () => {
    assert.match(refused('['.repeat(200_000))[0] ?? '', /nested too deeply|not valid YAML/);
  });
  test('against an alias of itself', () => {
    assert.match(refused('apiVersion: v1\nkind: List\nitems: &a [*a, *a]\n').join(), /List|alias|no object/);
  });
  test('by the number of problems', () => {
    const fields = Array.from({ length: 3_000 }, (_, i) => `x${i}: 1\n`).join('');
    const { problems } = readObjects('f.yaml', NAMESPACE + fields);
    assert.equal(problems.length, 1_001);
    assert.deepEqual(problems.at(-1), {
      file: 'f.yaml',
      line: 1,
      field: '',
      reason: '2000 more problems are not shown',
      warning: false,
    });
  });
});

test('what is ignored is said, once per field', () => {
  const { warnings } = accepted(
    'Namespace',
    `apiVersion: v1
kind: Namespace
metadata: {name: a, uid: x, creationTimestamp: null, managedFields: []}
spec: {finalizers: [kubernetes]}
status: {phase: Active}
`,
  );
  assert.deepEqual(
    warnings.map((w) => w.split(':')[0]),
    ['metadata.uid', 'metadata.managedFields', 'spec', 'status'],
  );
});

test('problems name their object as far as it is known', () => {
  const { problems } = readObjects(
    'f.yaml',
    'apiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: y}\n---\napiVersion: v1\nkind: Pod\nmetadata: {}\n---\n1\n',
  );
  assert.deepEqual([...new Set(problems.map((p) => p.object))], ['Pod y/x', undefined]);
});

test('every kind has a JSON Schema without unknown fields', () => {
  for (const { kind, schema } of KINDS) {
    const json = z.toJSONSchema(schema) as { additionalProperties?: unknown; properties?: Record<string, unknown> };
    assert.equal(json.additionalProperties, false, kind);
    assert.ok(json.properties?.metadata, kind);
  }
});
