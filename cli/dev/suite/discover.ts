// Which files hold tests, and which of them must not run beside another.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface TestFile {
  readonly file: string;
  /** It uses what the machine has once (namespaces, cgroups, programs, the clock of a load test): runs alone. */
  readonly isExclusive: boolean;
}

const MACHINE = /\bgetuid\b|\bnetns\b|\bunshare\b|\bcgroup\b|\bbpffs?\b/i;

/** Test files among `files` whose path holds `pattern`, those that may run side by side first. */
export async function discoverTests(top: string, files: readonly string[], pattern = ''): Promise<TestFile[]> {
  const found = await Promise.all(
    files
      .filter((file) => file.endsWith('.test.ts') && file.includes(pattern))
      .map(async (file) => ({
        file,
        isExclusive: isExclusive(file, await readFile(join(top, file), 'utf8')),
      })),
  );
  return found.sort((a, b) => Number(a.isExclusive) - Number(b.isExclusive) || (a.file < b.file ? -1 : 1));
}

/** Too many files count as exclusive rather than too few: that costs time only. */
export function isExclusive(file: string, text: string): boolean {
  return file.startsWith('test/') || file.startsWith('benchmarks/') || MACHINE.test(text);
}
