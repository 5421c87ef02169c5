import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { z } from 'zod';
import { explain } from '#agent/explain/explain.ts';
import type { Explanation } from '#agent/explain/model.ts';
import { offlineWorld } from '#agent/explain/offline.ts';
import { readAll } from '#agent/explain/read.ts';
import { kubernetesPolicySchema } from '#mesh-config/kinds/policy/network-policy-schema.ts';
import { type Example, readExamples, readExpectedFlow } from './examples.ts';

const PAGE = new URL('../../docs/policy.md', import.meta.url);
const CRDS = ['ciliumnetworkpolicies', 'ciliumclusterwidenetworkpolicies', 'ciliumcidrgroups'];
const examples = readExamples(PAGE);
const mesh = examples.find(({ word }) => word === 'mesh')?.yaml ?? '';

/** "allowed", "audited", "denied", or the parser that decides. */
function verdictOf({ verdict, egress, ingress }: Explanation): string {
  if (verdict === 'deny') return 'denied';
  if (verdict === 'allow') return egress?.audited || ingress?.audited ? 'audited' : 'allowed';
  const parsers = [egress, ingress].flatMap((side) => side?.requests?.parsers ?? []);
  return parsers[0] ?? 'proxy';
}

function checkFlows({ yaml, word, expected, line }: Example): void {
  const texts = [
    { file: 'mesh.yaml', text: mesh },
    { file: 'example.yaml', text: yaml },
  ];
  const { objects, problems } = readAll(texts, { nodePeers: word === 'node-peers' });
  assert.deepEqual(
    problems.filter(({ warning }) => !warning),
    [],
    `the example on line ${line} is refused`,
  );
  const names = expected.flatMap(({ text }) => /name:(\S+)/.exec(text)?.[1] ?? []);
  const enforcement = word === 'always' ? 'always' : 'default';
  const world = offlineWorld(objects, { names, enforcement });
  for (const { text, line: at } of expected) {
    const { question, verdict } = readExpectedFlow(text);
    const answer = explain(question, world);
    assert.ok(answer.ok, `line ${at}: ${answer.ok || answer.error}`);
    assert.equal(verdictOf(answer.value), verdict, `line ${at}: ${text}`);
  }
}

function checkRefusal({ yaml, expected }: Example): void {
  const { objects, problems } = readAll([{ file: 'example.yaml', text: yaml }]);
  assert.equal(objects.length, 0);
  const reasons = problems.map(({ field, reason }) => `refused  ${field} ${reason}`);
  for (const { text } of expected) {
    assert.ok(
      reasons.some((reason) => reason.startsWith(text)),
      `${text}\nbut:\n${reasons.join('\n')}`,
    );
  }
}

describe('docs/policy.md', () => {
  for (const example of examples) {
    if (example.word === 'mesh') continue;
    test(`the example on line ${example.line}`, () => {
      assert.ok(example.expected.length > 0, 'says nothing of what comes of it');
      if (example.word === 'refused') checkRefusal(example);
      else checkFlows(example);
    });
  }

  test('names every field of the kinds', () => {
    const page = readFileSync(PAGE, 'utf8');
    const shown = new Set(page.match(/[A-Za-z][A-Za-z0-9]*/g));
    const missing = new Set<string>();
    for (const name of CRDS) {
      const text = readFileSync(new URL(`../../mesh-config/crds/${name}.yaml`, import.meta.url), 'utf8');
      for (const field of fieldsOf(parse(text))) if (!shown.has(field)) missing.add(field);
    }
    const kubernetes = z.toJSONSchema(kubernetesPolicySchema, { io: 'input', unrepresentable: 'any' });
    for (const field of fieldsOf(kubernetes)) if (!shown.has(field)) missing.add(field);
    assert.ok(fieldsOf(kubernetes).includes('namespaceSelector'));
    assert.deepEqual([...missing], []);
  });

  test('an example that is wrong is found', () => {
    const [example] = examples.filter(({ word, expected }) => word === '' && expected.length > 0);
    assert.ok(example);
    const wrong = { ...example, expected: [{ line: 1, text: 'denied web -> api 8080' }] };
    assert.throws(() => checkFlows(wrong), /line 1/);
    assert.throws(() => checkFlows({ ...example, yaml: `${example.yaml}\n  egres: []` }), /is refused/);
    assert.throws(() => readExpectedFlow('allowed web api'), /no line of verdicts/);
  });
});

/** Names of all fields of `spec`, at any depth. */
function fieldsOf(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const own = key === 'properties' ? Object.keys(inner as object) : [];
    return [...own, ...fieldsOf(inner)];
  });
}
