// Runs one test file in a process group of its own, with a limit on its time.

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { collectNode } from '../process.ts';
import type { TestRecord } from './reporter.ts';

export interface Failure {
  /** "file: test > subtest". */
  readonly name: string;
  readonly detail: string;
}

export interface FileOutcome {
  readonly file: string;
  readonly passed: number;
  readonly failures: readonly Failure[];
  readonly skips: readonly { readonly name: string; readonly reason: string }[];
  /** What the file and its children printed. */
  readonly output: string;
  readonly ms: number;
}

export interface RunFileOptions {
  readonly top: string;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  /** Regular expression over test names; undefined: all. */
  readonly testName?: string | undefined;
}

/** Runs `file` (relative to `top`). Failures of tests are part of the outcome; it rejects only if node cannot run. */
export async function runFile(file: string, options: RunFileOptions): Promise<FileOutcome> {
  const directory = await mkdtemp(join(tmpdir(), 'weir-dev-test-'));
  const begun = performance.now();
  try {
    const recordFile = join(directory, 'records');
    const late = AbortSignal.timeout(options.timeoutMs);
    // The suite may itself run below a test runner, whose children speak another format.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const finished = await collectNode(
      [
        // Without --test: with it and without isolation, what a file throws at its top would go unseen.
        `--test-reporter=${join(import.meta.dirname, 'reporter.ts')}`,
        `--test-reporter-destination=${recordFile}`,
        ...(options.testName === undefined ? [] : [`--test-name-pattern=${options.testName}`]),
        file,
      ],
      { cwd: options.top, signal: AbortSignal.any([options.signal, late]), env },
    );
    const records = parseRecords(await readFile(recordFile, 'utf8').catch(() => ''));
    const outcome = summarise(file, records);
    const failures = [...outcome.failures];
    const fail = (name: string, detail: string): void => void failures.push({ name: `${file}: ${name}`, detail });
    if (finished.code === null) {
      const reason = late.aborted ? `not done after ${options.timeoutMs / 1000} s` : 'ended by a signal';
      fail(outcome.running || 'the file', reason);
    } else if (finished.code !== 0 && failures.length === 0) {
      fail('the file', `exit ${finished.code}`);
    } else if (outcome.passed + outcome.skips.length + failures.length === 0 && options.testName === undefined) {
      fail('the file', 'it holds no test');
    }
    return { ...outcome, file, failures, output: finished.output, ms: performance.now() - begun };
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** Reads the reporter's lines; a line cut by a kill is left out. */
export function parseRecords(text: string): TestRecord[] {
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as TestRecord);
}

/** Counts tests (a test with subtests and a suite count only by what they hold) and names what failed. */
export function summarise(
  file: string,
  records: readonly TestRecord[],
): Pick<FileOutcome, 'passed' | 'failures' | 'skips'> & { readonly running: string } {
  const path: string[] = [];
  const failures: Failure[] = [];
  const skips: { name: string; reason: string }[] = [];
  let passed = 0;
  let previousDepth = 0; // of the test that ended before: a deeper one was this one's subtest
  for (const record of records) {
    if (record.depth === 0 && record.name === basename(file)) continue; // made up by node for a file without tests
    path.length = record.depth;
    path[record.depth] = record.name;
    if (record.kind === 'started') continue;
    const name = `${file}: ${path.join(' > ')}`;
    const isParent = record.isSuite || previousDepth > record.depth;
    previousDepth = record.depth;
    if (record.outcome === 'skipped') skips.push({ name, reason: record.detail });
    else if (record.outcome === 'passed') passed += isParent ? 0 : 1;
    else if (!isParent || record.detail !== '') failures.push({ name, detail: record.detail });
  }
  const last = records.at(-1);
  return { passed, failures, skips, running: last?.kind === 'started' ? path.join(' > ') : '' };
}
