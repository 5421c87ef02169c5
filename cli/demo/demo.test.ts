import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Flow } from '#observe/flow/model.ts';
import { curlArguments, explains, readOutcome } from './request.ts';
import { describeOutcome, SCENE } from './scene.ts';
import { traceTree } from './spans.ts';

for (const { name, result, expected } of [
  { name: 'an answer', result: { code: 0, stdout: 'Ship landed\n\n200', stderr: '' }, expected: '200 Ship landed' },
  { name: 'a long answer', result: { code: 0, stdout: 'Panic: x\n\ngo\n\n200', stderr: '' }, expected: '200 Panic: x' },
  {
    name: 'a denial',
    result: { code: 0, stdout: 'Access denied\r\n\n403', stderr: '' },
    expected: '403 Access denied',
  },
  { name: 'a hang', result: { code: 28, stdout: '\n000', stderr: '' }, expected: 'hangs' },
  { name: 'no name', result: { code: 6, stdout: '\n000', stderr: 'no host' }, expected: 'curl ended with 6: no host' },
]) {
  test(`readOutcome reads ${name}`, () => {
    assert.equal(readOutcome(result), expected);
  });
}

test('curlArguments wait less where nothing shall come', () => {
  const options = { localPort: 41_000, traceparent: undefined, isTraced: false };
  const base = { from: 'xwing', method: 'POST', path: '/x' } as const;
  const hanging = curlArguments({ ...base, expected: { kind: 'hangs' } }, options);
  const answering = curlArguments({ ...base, expected: { kind: 'denied' } }, { ...options, traceparent: '00-1-2-01' });
  assert.equal(hanging[hanging.indexOf('--max-time') + 1], '2');
  assert.equal(answering[answering.indexOf('--max-time') + 1], '10');
  assert.ok(answering.includes('traceparent: 00-1-2-01'));
  assert.ok(!hanging.includes('-H'));
  assert.equal(answering.at(-1), 'http://deathstar.default.svc.cluster.local/x');
});

const flow = (type: number, verdict: Flow['verdict']): Flow => ({
  time: { seconds: 0 },
  Type: 'L3_L4',
  verdict,
  event_type: { type },
});

for (const { name, of, kind, isTraced, expected } of [
  { name: 'a request that the proxy denied', of: flow(129, 'DROPPED'), kind: 'denied', isTraced: true, expected: true },
  { name: 'a denied SYN', of: flow(5, 'DROPPED'), kind: 'hangs', isTraced: true, expected: true },
  { name: 'an allowed SYN', of: flow(5, 'FORWARDED'), kind: 'answer', isTraced: false, expected: true },
  { name: 'an allowed SYN of a request', of: flow(5, 'FORWARDED'), kind: 'answer', isTraced: true, expected: false },
  { name: 'an allowed SYN of a hang', of: flow(5, 'FORWARDED'), kind: 'hangs', isTraced: false, expected: false },
  { name: 'a drop of an answer', of: flow(1, 'DROPPED'), kind: 'answer', isTraced: false, expected: false },
] as const) {
  test(`explains says ${expected} for ${name}`, () => {
    assert.equal(explains(of, kind, isTraced), expected);
  });
}

test('SCENE ends as it begins, and every policy step has a right and a wrong ship', () => {
  assert.deepEqual(SCENE.at(0)?.requests, SCENE.at(-1)?.requests);
  for (const { name, requests } of SCENE.filter((step) => step.name === 'H1' || step.name === 'H2')) {
    assert.ok(
      requests.some(({ expected }) => expected.kind === 'hangs'),
      name,
    );
    assert.ok(
      requests.some(({ expected }) => describeOutcome(expected) === '200 Ship landed'),
      name,
    );
  }
});

test('traceTree puts children below parents, and keeps what has lost its parent', () => {
  const span = (id: string, parentId: string, kind: string, timestamp: number): object => ({
    traceId: 't',
    id,
    parentId,
    kind,
    timestamp,
    duration: 1_500,
    name: 'POST',
    localEndpoint: { serviceName: `s${id}` },
    tags: { 'http.response.status_code': '200' },
  });
  const spans = [span('2', '1', 'SERVER', 20), span('1', '0', 'CLIENT', 10), span('3', '9', 'SERVER', 30)];
  assert.deepEqual(traceTree(spans as Parameters<typeof traceTree>[0]), [
    '├─ s1  CLIENT  POST  200  1.5 ms',
    '│  └─ s2  SERVER  POST  200  1.5 ms',
    '└─ s3  SERVER  POST  200  1.5 ms',
  ]);
});
