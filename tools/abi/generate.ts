// Generates bpf/abi.ts and docs/maps.md from the BTF of bpf/abi.c. `--check`: exits 1 if they are not up to date.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileArguments } from '#bpf/build.ts';
import { readBtf } from './btf.ts';
import { readAbi } from './model.ts';
import { renderDocs } from './render-docs.ts';
import { renderTypeScript } from './render-ts.ts';

const TOP = join(import.meta.dirname, '../..');

/** The generated files as they should be: path below the checkout -> text. Needs clang. */
export function generate(): ReadonlyMap<string, string> {
  const directory = mkdtempSync(join(tmpdir(), 'weir-abi-'));
  try {
    const object = join(directory, 'abi.o');
    execFileSync('clang', [...compileArguments(), '-c', join(TOP, 'bpf/abi.c'), '-o', object]);
    const abi = readAbi(readBtf(readFileSync(object)));
    return new Map([
      ['bpf/abi.ts', renderTypeScript(abi)],
      ['docs/maps.md', renderDocs(abi)],
    ]);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Paths of generated files that differ from what they should be. */
export function staleFiles(): string[] {
  return [...generate()].flatMap(([path, text]) => (read(join(TOP, path)) === text ? [] : [path]));
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined; // absent is stale
  }
}

if (import.meta.main) {
  if (process.argv.includes('--check')) {
    const stale = staleFiles();
    for (const path of stale) console.error(`Cannot accept ${path}: out of date (run tools/abi/generate.ts)`);
    process.exitCode = stale.length > 0 ? 1 : 0;
  } else {
    for (const [path, text] of generate()) writeFileSync(join(TOP, path), text);
  }
}
