// The checks that are other programs: types, lint and format, freshness of generated files, the kernel's verifier.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { collectNode, type Finished } from '../process.ts';
import type { Check, CheckContext, CheckResult } from './check.ts';

export const types: Check = {
  name: 'types',
  run: (context) => script(context, ['node_modules/typescript/bin/tsc', '-p', '.', '--pretty', 'false']),
};

export const lint: Check = {
  name: 'lint, format',
  async run(context) {
    const finished = await execute(context, [
      'node_modules/@biomejs/biome/bin/biome',
      'check',
      '--reporter=github', // one line a problem
      '--diagnostic-level=warn',
      '--error-on-warnings',
      '--max-diagnostics=none',
      '.',
    ]);
    if (finished.code === 0) return { problems: [] };
    const problems = readAnnotations(finished.output, context.top);
    return { problems: problems.length > 0 ? problems : nonEmptyLines(finished.output) };
  },
};

/** "file:line: rule: message" for each annotation (`::error title=rule,file=...,line=...::message`). */
export function readAnnotations(text: string, top: string): string[] {
  const annotations = text.matchAll(/^::\w+ title=([^,]*),file=([^,]*),line=(\d+),[^:]*::(.*)$/gm);
  return [...annotations].map(([, rule, file = '', line, message]) => {
    return `${file.replace(`${top}/`, '')}:${line}: ${rule}: ${message}`;
  });
}

export const generated: Check = {
  name: 'generated files',
  run: (context) => script(context, ['tools/generate.ts', '--check']),
};

/** Loads every kernel program and prints how many instructions the verifier took it to be. */
export const programs: Check = {
  name: 'kernel programs',
  async run(context) {
    if (!context.isRoot) return { problems: [], notes: ['not root: the verified instruction counts are left out'] };
    const finished = await execute(context, ['bpf/stats.ts']);
    const lines = nonEmptyLines(finished.output);
    return finished.code === 0
      ? { problems: [], notes: lines }
      : { problems: [`bpf/stats.ts: exit ${finished.code}`, ...lines] };
  },
};

async function script(context: CheckContext, args: readonly string[]): Promise<CheckResult> {
  const finished = await execute(context, args);
  if (finished.code === 0) return { problems: [] };
  const lines = nonEmptyLines(finished.output);
  return { problems: lines.length > 0 ? lines : [`${args[0]}: exit ${finished.code} without a word`] };
}

async function execute(context: CheckContext, args: readonly string[]): Promise<Finished> {
  const path = args[0] ?? '';
  if (!existsSync(join(context.top, path))) return { code: 1, output: `Cannot run ${path}: it is not there` };
  return collectNode(args, { cwd: context.top, signal: context.signal });
}

function nonEmptyLines(text: string): string[] {
  return text.split('\n').filter((line) => line.trim() !== '');
}
