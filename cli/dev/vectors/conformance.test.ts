// Weir decides as the cases say: those that lie beside this file, and a larger set beside the checkout where there is one.
// The kernel half builds a namespace of its own without any link to the machine's; endpoints are devices in it.

import assert from 'node:assert/strict';
import { existsSync, globSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { TOP } from '../sources.ts';
import { runVectors } from './command.ts';

const OWN = join(import.meta.dirname, 'fixtures');
const SHARED = join(TOP, '../shared/vectors/policy');
const isRoot = process.getuid?.() === 0;

async function run(folder: string, judges: { engine: boolean; kernel: boolean }): Promise<readonly string[]> {
  const files = globSync('*.json', { cwd: folder }).sort();
  const lines: string[] = [];
  const passed = await runVectors({
    files: files.map((file) => join(folder, file)),
    ...judges,
    format: 'text',
    signal: AbortSignal.timeout(240_000),
    print: (line) => void lines.push(line),
    progress: () => {},
  });
  assert.ok(passed, lines.join('\n'));
  return lines;
}

for (const { name, folder, atLeast } of [
  { name: 'the cases beside this file', folder: OWN, atLeast: 150 },
  { name: 'the cases beside the checkout', folder: SHARED, atLeast: 1000 },
]) {
  for (const judge of ['engine', 'kernel'] as const) {
    const missing = existsSync(folder) ? false : `there is no ${folder}`;
    const skip = missing || (judge === 'kernel' && !isRoot ? 'needs root' : false);
    test(`the ${judge} decides ${name} as they say`, { skip }, async () => {
      const lines = await run(folder, { engine: judge === 'engine', kernel: judge === 'kernel' });
      const counted = /^(\d+) passed, 0 failed$/.exec(lines.at(-1) ?? '')?.[1];
      assert.ok(Number(counted) >= atLeast, `only ${counted} verdicts were compared`);
    });
  }
}
