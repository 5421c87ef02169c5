// `weir dev check`: every check at once, one line each, all problems shown.

import type { Check, CheckContext, CheckResult } from './checks/check.ts';
import { importRules } from './checks/imports.ts';
import { sizes } from './checks/sizes.ts';
import { texts } from './checks/texts.ts';
import { generated, lint, programs, types } from './checks/tools.ts';
import { listSources, TOP } from './sources.ts';

export const CHECKS: readonly Check[] = [types, lint, importRules, sizes, texts, generated, programs];

/** Runs all checks and prints them in order. Returns whether every one holds. */
export async function runChecks(options: {
  readonly signal: AbortSignal;
  readonly print: (line: string) => void;
}): Promise<boolean> {
  const context: CheckContext = {
    top: TOP,
    files: await listSources(TOP),
    isRoot: process.getuid?.() === 0,
    signal: options.signal,
  };
  const runs = CHECKS.map((check) => timed(check, context));
  let holds = true;
  for (const run of runs) {
    const { name, result, ms } = await run;
    const failed = result.problems.length > 0;
    holds &&= !failed;
    options.print(`${failed ? 'FAIL' : 'ok  '} ${name.padEnd(16)} ${(ms / 1000).toFixed(1)} s`);
    for (const note of result.notes ?? []) options.print(`       ${note}`);
    for (const problem of result.problems) options.print(`       ${problem}`);
  }
  return holds;
}

async function timed(check: Check, context: CheckContext): Promise<{ name: string; result: CheckResult; ms: number }> {
  const begun = performance.now();
  const result = await check
    .run(context)
    .catch((error: Error): CheckResult => ({ problems: [`Cannot run this check: ${error.message}`] }));
  return { name: check.name, result, ms: performance.now() - begun };
}
