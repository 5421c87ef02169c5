// Compiles the kernel programs to bpf/build/*.o; does nothing where the sources have not changed.

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const BPF = import.meta.dirname;
const BUILD = join(BPF, 'build');

/** Name of an object, e.g. "pod" for pod.bpf.c. */
export type ProgramObject = 'pod' | 'host' | 'sock' | 'purge';
export const OBJECTS: readonly ProgramObject[] = ['pod', 'host', 'sock', 'purge'];

/** Arguments of clang for every kernel program of this machine. */
export function compileArguments(): string[] {
  const triplet = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
  return ['-O2', '-g', '-target', 'bpf', '-mcpu=v3', '-Wall', '-Wextra', '-Werror', `-I/usr/include/${triplet}`];
}

/** Path of the compiled object. */
export function objectPath(name: ProgramObject): string {
  return join(BUILD, `${name}.o`);
}

/**
 * Compiles what has changed and returns the names of the objects that were compiled. Needs clang and libbpf-dev.
 * Errors: clang's own text, or that clang is missing.
 */
export async function build(options: { force?: boolean } = {}): Promise<ProgramObject[]> {
  mkdirSync(BUILD, { recursive: true });
  const headers = globSync('lib/*.h', { cwd: BPF }).sort();
  const compiled = await Promise.all(
    OBJECTS.map(async (name) => {
      const source = `${name}.bpf.c`;
      const hash = hashOf([source, ...headers]);
      const stamp = join(BUILD, `${name}.hash`);
      const fresh = existsSync(objectPath(name)) && existsSync(stamp) && readFileSync(stamp, 'utf8') === hash;
      if (fresh && options.force !== true) return [];
      // Two processes may compile at once: each writes its own file and renames it.
      const temporary = `${objectPath(name)}.${process.pid}`;
      await compile(source, temporary);
      renameSync(temporary, objectPath(name));
      writeFileSync(stamp, hash);
      return [name];
    }),
  );
  return compiled.flat();
}

async function compile(source: string, target: string): Promise<void> {
  try {
    await run('clang', [...compileArguments(), '-c', join(BPF, source), '-o', target]);
  } catch (cause) {
    const { code, stderr } = cause as { code?: string; stderr?: string };
    if (code === 'ENOENT') throw new Error('Cannot compile kernel programs: clang is not installed', { cause });
    throw new Error(`Cannot compile ${source}: ${stderr ?? String(cause)}`, { cause });
  }
}

function hashOf(files: readonly string[]): string {
  const hash = createHash('sha256').update(compileArguments().join(' '));
  for (const file of files) hash.update(`\0${file}\0`).update(readFileSync(join(BPF, file)));
  return hash.digest('hex');
}

if (import.meta.main) {
  const compiled = await build({ force: process.argv.includes('--force') });
  console.log(compiled.length === 0 ? 'Kernel programs are up to date.' : `Compiled ${compiled.join(', ')}.`);
}
