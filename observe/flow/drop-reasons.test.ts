import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { DROP_NAMES, DROP_TEXTS, dropReasonText } from './drop-reasons.ts';

const header = readFileSync(new URL('../../bpf/lib/drop.h', import.meta.url), 'utf8').replaceAll('\\\n', ' ');
const proto = readFileSync(new URL('../../api/flow.proto', import.meta.url), 'utf8');
const lines = [...header.matchAll(/X\((\d+),\s*\w+,\s*"([^"]+)",\s*(\w+),/g)];

test('`DROP_TEXTS` says what bpf/lib/drop.h says', () => {
  assert.ok(lines.length > 20, 'the header was read');
  assert.deepEqual(DROP_TEXTS, Object.fromEntries(lines.map(([, number, text]) => [number, text])));
});

test('`DROP_NAMES` has the names of bpf/lib/drop.h, and no others', () => {
  assert.deepEqual(DROP_NAMES, [...new Set(lines.map(([, , , name]) => name))]);
});

test('flow.DropReason has every name that bpf/lib/drop.h uses', () => {
  const start = proto.indexOf('enum DropReason {');
  const found = proto.slice(start, proto.indexOf('}', start)).matchAll(/^ {2}(\w+) = \d+;/gm);
  const names = new Set([...found].map((match) => match[1]));
  for (const [, number, , name = ''] of lines) assert.ok(names.has(name), `${number} ${name}`);
  assert.ok(!names.has('NO_SUCH_REASON'));
});

test('`dropReasonText` has a text for every number', () => {
  const cases = [
    { reason: 133, name: 'POLICY_DENIED', text: 'Policy denied' },
    { reason: 220, name: 'SOCKET_LOOKUP_FAILED', text: 'No proxy listener' },
    { reason: 196, name: 'TTL_EXCEEDED', text: 'Ttl exceeded' },
    { reason: 250, name: undefined, text: 'Drop reason 250' },
  ];
  for (const { reason, name, text } of cases) assert.equal(dropReasonText(reason, name), text);
});
