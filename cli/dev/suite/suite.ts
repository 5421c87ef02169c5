// `weir dev test`: every check and every test file within a fixed time, side by side where they may.

import { availableParallelism } from 'node:os';
import { runChecks } from '../check.ts';
import { listSources, TOP } from '../sources.ts';
import { discoverTests, type TestFile } from './discover.ts';
import { findLeftovers } from './leftovers.ts';
import { closingLines, progressLine, summaryOf } from './report.ts';
import { type FileOutcome, runFile } from './run-file.ts';

const BUDGET_MS = 15 * 60_000;
const FILE_TIMEOUT_MS = 5 * 60_000;

export interface SuiteOptions {
  /** Part of a file's path; undefined: everything. */
  readonly pattern: string | undefined;
  /** Regular expression over the names of tests. */
  readonly testName: string | undefined;
  /** Continuous integration: a test that is left out for want of a privilege has failed. */
  readonly isCi: boolean;
  readonly signal: AbortSignal;
  readonly print: (line: string) => void;
}

/** Runs the suite and prints its progress and result. Returns whether everything passed and something ran. */
export async function runSuite(options: SuiteOptions): Promise<boolean> {
  const begun = performance.now();
  const deadline = AbortSignal.timeout(BUDGET_MS);
  const signal = AbortSignal.any([options.signal, deadline]);
  const isWhole = options.pattern === undefined && options.testName === undefined;
  const outcomes: FileOutcome[] = [];
  const before = options.isCi ? await findLeftovers() : [];

  if (isWhole) outcomes.push(await checkAsTest({ signal, print: options.print }));
  const files = discoverTests(await listSources(TOP), options.pattern);
  const total = files.length + outcomes.length;
  const run = async ({ file }: TestFile): Promise<void> => {
    const outcome = signal.aborted
      ? failedItem(
          file,
          deadline.aborted ? `not run: the ${BUDGET_MS / 60_000} minutes are over` : 'not run: interrupted',
        )
      : await runFile(file, { top: TOP, signal, timeoutMs: FILE_TIMEOUT_MS, testName: options.testName });
    outcomes.push(options.isCi ? withoutPrivilegeSkips(outcome) : outcome);
    const elapsedMs = performance.now() - begun;
    options.print(progressLine(outcomes.at(-1) ?? outcome, { done: outcomes.length, total, elapsedMs }));
  };
  await runAll(
    files.filter((file) => !file.isExclusive),
    availableParallelism(),
    run,
  );
  await runAll(
    files.filter((file) => file.isExclusive),
    1,
    run,
  );

  if (options.isCi) {
    const left = (await findLeftovers()).filter((name) => !before.includes(name));
    if (left.length > 0) outcomes.push(failedItem('the suite leaves nothing behind', left.join('\n')));
  }
  for (const line of closingLines(outcomes)) options.print(line);
  const ran = outcomes.some(({ passed, failures }) => passed + failures.length > 0);
  if (!ran) options.print(`Cannot run tests: none matches "${options.pattern ?? options.testName}"`);
  options.print('');
  options.print(summaryOf(outcomes));
  return ran && outcomes.every(({ failures }) => failures.length === 0);
}

/** In continuous integration every test must run: what was left out for want of a privilege has failed. */
export function withoutPrivilegeSkips(outcome: FileOutcome): FileOutcome {
  const isPrivilege = (reason: string): boolean => /\broot\b|privilege|capabilit|CAP_/i.test(reason);
  const missed = outcome.skips.filter(({ reason }) => isPrivilege(reason));
  return {
    ...outcome,
    skips: outcome.skips.filter(({ reason }) => !isPrivilege(reason)),
    failures: [...outcome.failures, ...missed.map(({ name, reason }) => ({ name, detail: `left out: ${reason}` }))],
  };
}

async function checkAsTest(options: Parameters<typeof runChecks>[0]): Promise<FileOutcome> {
  const begun = performance.now();
  const holds = await runChecks(options);
  const outcome = holds
    ? { ...failedItem('dev check', ''), passed: 1, failures: [] }
    : failedItem('dev check', 'see above');
  return { ...outcome, ms: performance.now() - begun };
}

function failedItem(name: string, detail: string): FileOutcome {
  return { file: name, passed: 0, failures: [{ name, detail }], skips: [], output: '', ms: 0 };
}

/** Calls `work` for every item, at most `width` at a time. */
async function runAll<T>(items: readonly T[], width: number, work: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values();
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (const item of rest) await work(item);
    }),
  );
}
