// What no file may hold, and what each folder must: words of unfinished work, licence lines, a README.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Check } from './check.ts';

/** Marks of unfinished work. Spelled apart so that this file does not hold them. */
const UNFINISHED = new RegExp(`\\b(?:${['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX'].join('|')})\\b`);
const WITHOUT_README = new Set(['docs', 'LICENSES']);
const LICENCE = 'SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause';

/** What is wrong with the text of one file. */
export function textProblems(file: string, text: string): string[] {
  const problems: string[] = [];
  text.split('\n').forEach((line, index) => {
    if (UNFINISHED.test(line)) problems.push(`${file}:${index + 1}: unfinished work: ${line.trim()}`);
    if (/^(<{7}|>{7}) /.test(line)) problems.push(`${file}:${index + 1}: a merge conflict`);
  });
  if (/^bpf\/.*\.[ch]$/.test(file) && !text.split('\n', 1)[0]?.includes(LICENCE)) {
    problems.push(`${file}:1: the first line does not say ${LICENCE}`);
  }
  if (/^bpf\/.*\.h$/.test(file) && !/^#pragma once$/m.test(text)) problems.push(`${file}: no #pragma once`);
  return problems;
}

/** Top-level folders without a README.md. */
export function foldersWithoutReadme(files: readonly string[]): string[] {
  const folders = new Set(files.filter((file) => file.includes('/')).map((file) => file.split('/')[0] ?? ''));
  const present = new Set(files);
  return [...folders]
    .filter((folder) => !folder.startsWith('.') && !WITHOUT_README.has(folder) && !present.has(`${folder}/README.md`))
    .map((folder) => `${folder}/: no README.md (what it is, entry file, invariants)`);
}

export const texts: Check = {
  name: 'texts',
  async run({ top, files }) {
    const problems = foldersWithoutReadme(files);
    for (const file of files) {
      if (/\.(?:ts|[ch]|md|sh|yaml|json)$/.test(file) || file === 'weir') {
        problems.push(...textProblems(file, await readFile(join(top, file), 'utf8')));
      }
    }
    return { problems };
  },
};
