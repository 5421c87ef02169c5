// File and function lengths, and the few rules about files that only a count can hold.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Check } from './check.ts';

const MAX_TS_LINES = 300;
const MAX_C_LINES = 250;
const MAX_ARCHITECTURE_LINES = 150;
const MAX_FUNCTION_LINES = 70; // of C; biome counts those of TypeScript
const MAX_CONDITIONALS = 10;
/** Within the first lines of a longer file: why it is one. */
const REASON = /^(?:\/\/|\/\*|\s\*) Over \d+ lines: \S/m;
const REASON_WITHIN_LINES = 12;
/** Written by a generator. */
const GENERATED = new Set(['bpf/abi.ts']);

/** Why a file is too long; undefined: it is not, or says why at its top. */
export function lengthProblem(file: string, text: string): string | undefined {
  const max = maxLines(file);
  const lines = countLines(text);
  if (max === undefined || lines <= max) return undefined;
  const head = text.split('\n', REASON_WITHIN_LINES).join('\n');
  if (file !== 'ARCHITECTURE.md' && REASON.test(head)) return undefined;
  return `${file}: ${lines} lines, at most ${max} (split it by concern, or say why at its top: "Over ${max} lines: ...")`;
}

/** Functions of a C file in kernel style (braces in the first column) that are too long. */
export function longFunctions(file: string, text: string): string[] {
  const problems: string[] = [];
  let start = 0;
  text.split('\n').forEach((line, index) => {
    if (line === '{') start = index;
    if (line === '}' && start > 0) {
      const lines = index - start + 1;
      if (lines > MAX_FUNCTION_LINES) {
        problems.push(`${file}:${start + 1}: function of ${lines} lines, at most ${MAX_FUNCTION_LINES}`);
      }
      start = 0;
    }
  });
  return problems;
}

/** Preprocessor conditionals of a C file. */
export function countConditionals(text: string): number {
  return text.match(/^\s*#\s*(?:if|ifdef|ifndef)\b/gm)?.length ?? 0;
}

export const sizes: Check = {
  name: 'sizes',
  async run({ top, files }) {
    const problems: string[] = [];
    let conditionals = 0;
    for (const file of files) {
      if (maxLines(file) === undefined) continue;
      const text = await readFile(join(top, file), 'utf8');
      const problem = lengthProblem(file, text);
      if (problem) problems.push(problem);
      if (/\.[ch]$/.test(file)) problems.push(...longFunctions(file, text));
      if (file.startsWith('bpf/')) conditionals += countConditionals(text);
    }
    if (conditionals >= MAX_CONDITIONALS) {
      problems.push(`bpf/: ${conditionals} preprocessor conditionals, fewer than ${MAX_CONDITIONALS} are allowed`);
    }
    return { problems };
  },
};

function maxLines(file: string): number | undefined {
  if (GENERATED.has(file)) return undefined;
  if (file.endsWith('.ts')) return MAX_TS_LINES;
  if (/\.[ch]$/.test(file)) return MAX_C_LINES;
  return file === 'ARCHITECTURE.md' ? MAX_ARCHITECTURE_LINES : undefined;
}

function countLines(text: string): number {
  return text.split('\n').length - (text.endsWith('\n') ? 1 : 0);
}
