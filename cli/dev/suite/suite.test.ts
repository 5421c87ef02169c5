import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { discoverTests } from './discover.ts';
import { closingLines, summaryOf } from './report.ts';
import { type FileOutcome, runFile } from './run-file.ts';
import { withoutPrivilegeSkips } from './suite.ts';

const IMPORTS = "import { describe, test } from 'node:test';\nimport assert from 'node:assert/strict';\n";
const nothing: FileOutcome = { file: 'x.test.ts', passed: 0, failures: [], skips: [], output: '', ms: 1 };

describe('runFile', () => {
  let top: string;
  before(async () => {
    top = await mkdtemp(join(tmpdir(), 'weir-suite-'));
  });
  after(() => rm(top, { recursive: true }));

  const outcomeOf = async (text: string, timeoutMs = 20_000): Promise<FileOutcome> => {
    await writeFile(join(top, 'x.test.ts'), IMPORTS + text);
    return runFile('x.test.ts', { top, signal: new AbortController().signal, timeoutMs });
  };

  for (const { name, text, passed, failed, skipped } of [
    { name: 'a passing test', text: "test('a', () => {});", passed: 1, failed: [], skipped: [] },
    {
      name: 'tests in suites and subtests once each',
      text: "describe('s', () => { test('a', () => {}); test('b', async (t) => { await t.test('c', () => {}); }); }); test('d', () => {});",
      passed: 3,
      failed: [],
      skipped: [],
    },
    {
      name: 'a failing test by its full name',
      text: "describe('s', () => { test('a', () => assert.equal(1, 2)); }); test('b', () => {});",
      passed: 1,
      failed: ['x.test.ts: s > a'],
      skipped: [],
    },
    {
      name: 'a skipped test with its reason',
      text: "test('a', { skip: 'needs root' }, () => {}); test('b', () => {});",
      passed: 1,
      failed: [],
      skipped: ['x.test.ts: a: needs root'],
    },
    {
      name: 'a file that throws',
      text: "throw new Error('top'); test('a', () => {});",
      passed: 0,
      failed: ['x.test.ts: the file'],
      skipped: [],
    },
    { name: 'a file without tests', text: 'export {};', passed: 0, failed: ['x.test.ts: the file'], skipped: [] },
    {
      name: 'a failing hook of a suite',
      text: "import { before } from 'node:test'; describe('s', () => { before(() => { throw new Error('no'); }); test('a', () => {}); });",
      passed: 0,
      failed: ['x.test.ts: s > a', 'x.test.ts: s'],
      skipped: [],
    },
  ]) {
    test(`counts ${name}`, async () => {
      const outcome = await outcomeOf(text);
      assert.deepEqual(
        outcome.failures.map((failure) => failure.name),
        failed,
        outcome.output,
      );
      assert.equal(outcome.passed, passed);
      assert.deepEqual(
        outcome.skips.map((skip) => `${skip.name}: ${skip.reason}`),
        skipped,
      );
    });
  }

  test('ends a file that hangs, and its children', async () => {
    const text = `import { spawn } from 'node:child_process';
      test('hangs', async () => {
        const child = spawn('sleep', ['600']);
        console.log('child', child.pid);
        await new Promise(() => {});
      });`;
    const outcome = await outcomeOf(text, 3_000);
    assert.match(outcome.failures[0]?.detail ?? '', /not done after 3 s/);
    const pid = Number(/child (\d+)/.exec(outcome.output)?.[1]);
    assert.ok(pid > 0, outcome.output);
    // Ended: gone, or a zombie until the init process looks.
    const state = /^State:\s*(\w)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8').catch(() => ''))?.[1] ?? 'gone';
    assert.ok(['gone', 'Z', 'X'].includes(state), state);
  });
});

test('withoutPrivilegeSkips fails what was left out for want of a privilege, and nothing else', () => {
  const skips = [
    { name: 'a', reason: 'needs root' },
    { name: 'b', reason: 'no vectors here' },
  ];
  const outcome = withoutPrivilegeSkips({ ...nothing, skips });
  assert.deepEqual(outcome.failures, [{ name: 'a', detail: 'left out: needs root' }]);
  assert.deepEqual(outcome.skips, [{ name: 'b', reason: 'no vectors here' }]);
});

for (const { name, outcome, expected } of [
  { name: 'passes', outcome: { passed: 3 }, expected: '3 passed, 0 failed' },
  { name: 'failures', outcome: { failures: [{ name: 'a', detail: '' }] }, expected: '0 passed, 1 failed' },
  {
    name: 'skips',
    outcome: { passed: 1, skips: [{ name: 'a', reason: '' }] },
    expected: '1 passed, 0 failed, 1 skipped',
  },
]) {
  test(`summaryOf counts ${name}`, () => {
    assert.equal(summaryOf([{ ...nothing, ...outcome }]), expected);
  });
}

test('closingLines name the failing case with its error and what its file printed', () => {
  const failing = { ...nothing, failures: [{ name: 'x.test.ts: a', detail: 'boom' }], output: 'printed' };
  const text = closingLines([nothing, failing]).join('\n');
  assert.match(text, /FAILED x\.test\.ts: a\n {4}boom\n\n {2}printed by the file:\n {4}printed/);
  assert.deepEqual(closingLines([nothing]), []);
});

test('discoverTests puts what is long first, what measures time or makes load last, and leaves out what does not match', () => {
  const files = [
    'test/promises/load.test.ts',
    'test/tracing/backends.test.ts',
    'benchmarks/a.test.ts',
    'test/promises/pods.test.ts',
    'agent/a.test.ts',
  ];
  assert.deepEqual(discoverTests([...files, 'agent/a.ts']), [
    { file: 'test/tracing/backends.test.ts', isExclusive: false },
    { file: 'agent/a.test.ts', isExclusive: false },
    { file: 'test/promises/pods.test.ts', isExclusive: false },
    { file: 'benchmarks/a.test.ts', isExclusive: true },
    { file: 'test/promises/load.test.ts', isExclusive: true },
  ]);
  assert.deepEqual(
    discoverTests(files, 'agent/').map(({ file }) => file),
    ['agent/a.test.ts'],
  );
});
