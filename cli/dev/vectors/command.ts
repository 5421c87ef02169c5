// `weir dev vectors`: does Weir decide as files of cases say?

import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { setImmediate as breathe } from 'node:timers/promises';
import { CliError } from '../../exit.ts';
import { type Case, parseCases } from './format.ts';
import { type Difference, type Judges, NOTHING, runCase, sumOf, type Tally } from './run.ts';

export interface VectorsOptions {
  readonly files: readonly string[];
  readonly engine: boolean;
  readonly kernel: boolean;
  readonly format: 'text' | 'json';
  readonly signal: AbortSignal;
  /** Takes the result, line by line. */
  readonly print: (line: string) => void;
  /** Takes a line now and then while it goes on. */
  readonly progress: (line: string) => void;
}

interface FileTally extends Tally {
  readonly file: string;
}

/** Differences that are shown as text; JSON has all. */
const MAX_SHOWN = 200;
const PROGRESS_MS = 5_000;

/** Runs all cases of `files` and prints what is not as expected. Returns whether everything is. */
export async function runVectors(options: VectorsOptions): Promise<boolean> {
  const files: (readonly [string, readonly Case[]])[] = [];
  for (const file of options.files) files.push([file, await readCases(file)]);
  if (options.kernel && process.getuid?.() !== 0) {
    throw new CliError('Cannot ask the kernel: this needs root; "--engine" does not');
  }
  using kernel = options.kernel ? await (await import('./kernel.ts')).openKernel() : undefined;
  const judges: Judges = { engine: options.engine, kernel: kernel?.load };
  const tallies: FileTally[] = [];
  let shown = 0;
  for (const [file, cases] of files) {
    const begun = performance.now();
    const tally = { file, ...(await runFile(file, cases, { ...options, judges })) };
    tallies.push(tally);
    if (options.format === 'json') continue;
    const mark = tally.failed > 0 ? 'FAIL' : 'ok  ';
    options.print(
      `${mark} ${basename(file)}: ${countsOf(tally)} (${((performance.now() - begun) / 1000).toFixed(1)} s)`,
    );
    const fitting = tally.differences.slice(0, Math.max(0, MAX_SHOWN - shown));
    for (const difference of fitting) options.print(describe(difference));
    shown += tally.differences.length;
  }
  const total = tallies.reduce<Tally>(sumOf, NOTHING);
  report({ tallies, total, shown }, options);
  return total.failed === 0 && total.passed > 0;
}

async function readCases(file: string): Promise<readonly Case[]> {
  try {
    return parseCases(await readFile(file, 'utf8'));
  } catch (cause) {
    throw new CliError(`Cannot read cases of "${file}": ${(cause as Error).message}`);
  }
}

async function runFile(
  file: string,
  cases: readonly Case[],
  options: Pick<VectorsOptions, 'signal' | 'progress'> & { readonly judges: Judges },
): Promise<Tally> {
  let tally = NOTHING;
  let reported = performance.now();
  for (const [done, one] of cases.entries()) {
    await breathe();
    if (options.signal.aborted) throw new CliError(`Cannot finish "${file}": interrupted after ${done} cases`);
    tally = sumOf(tally, await runCase(one, options.judges));
    if (performance.now() - reported < PROGRESS_MS) continue;
    reported = performance.now();
    options.progress(`     ${basename(file)}: ${done + 1} of ${cases.length} cases, ${countsOf(tally)}`);
  }
  return tally;
}

function report(
  { tallies, total, shown }: { readonly tallies: readonly FileTally[]; readonly total: Tally; readonly shown: number },
  { format, print }: Pick<VectorsOptions, 'format' | 'print'>,
): void {
  if (format === 'json') {
    const { passed, failed, undecided } = total;
    print(JSON.stringify({ passed, failed, undecided, files: tallies }, undefined, 2));
    return;
  }
  if (shown > MAX_SHOWN) print(`${shown - MAX_SHOWN} more differences are not shown; -o json has all.`);
  if (total.undecided > 0) print(`${total.undecided} verdicts are not in the files: Weir decides by itself.`);
  print('');
  print(countsOf(total));
}

function countsOf({ passed, failed }: Tally): string {
  return `${passed} passed, ${failed} failed`;
}

/** One difference for people. */
export function describe(difference: Difference): string {
  const { judge, expected, got, by } = difference;
  const lines = [`${difference.case}: ${difference.flow}`, `  expected  ${expected}`, `  ${judge.padEnd(8)}  ${got}`];
  if (by !== '') lines.push(`  by        ${by}`);
  return lines.map((line) => `     ${line}`).join('\n');
}
