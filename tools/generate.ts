// Writes every generated file of the project. `--check`: names those that are out of date instead, and exits 1.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { generate as generateAbi } from './abi/generate.ts';
import { generateCrds } from './crds/generate.ts';
import { generateDocs } from './docs/generate.ts';

const TOP = join(import.meta.dirname, '..');
const files = new Map([...generateAbi(), ...generateCrds(), ...(await generateDocs())]);
const stale = [...files].filter(([path, text]) => {
  const target = join(TOP, path);
  return !existsSync(target) || readFileSync(target, 'utf8') !== text;
});

if (process.argv.includes('--check')) {
  for (const [path] of stale) console.error(`${path}: out of date (run ./weir dev generate)`);
  process.exitCode = stale.length > 0 ? 1 : 0;
} else {
  for (const [path, text] of stale) {
    mkdirSync(dirname(join(TOP, path)), { recursive: true });
    writeFileSync(join(TOP, path), text);
    console.log(`wrote ${path}`);
  }
}
