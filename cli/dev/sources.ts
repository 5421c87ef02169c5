// The project's own files, for the checks and the test runner.

import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** The top directory of the checkout. */
export const TOP = dirname(dirname(import.meta.dirname));

const SKIPPED = new Set(['node_modules', 'build', '.git', '.cache']);

/** Paths of all own files, relative to `top`, sorted. Dependencies and build results are not among them. */
export async function listSources(top: string): Promise<string[]> {
  const found: string[] = [];
  const walk = async (directory: string): Promise<void> => {
    for (const entry of await readdir(join(top, directory), { withFileTypes: true })) {
      const path = directory === '' ? entry.name : `${directory}/${entry.name}`;
      if (entry.isDirectory() && !SKIPPED.has(entry.name)) await walk(path);
      else if (entry.isFile()) found.push(path);
    }
  };
  await walk('');
  return found.sort();
}
