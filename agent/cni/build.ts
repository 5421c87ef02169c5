// Compiles weir-cni and weir-run into agent/cni/build/, static, so that they run in any mount namespace. What is newer
// than its sources is left alone.

import { execFile } from 'node:child_process';
import { mkdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const DIR = import.meta.dirname;
const OUT = join(DIR, 'build');

/** The plugin that container runtimes call. */
export const WEIR_CNI = join(OUT, 'weir-cni');
/** The launcher of container processes. */
export const WEIR_RUN = join(OUT, 'weir-run');

const PROGRAMS = [
  { output: WEIR_CNI, sources: ['weir-cni.c'] },
  { output: WEIR_RUN, sources: ['weir-run.c', 'container.h'] },
];
const COMPILERS = ['clang', 'cc'];
const FLAGS = ['-std=gnu11', '-O2', '-static', '-Wall', '-Wextra', '-Werror', '-s'];

/** Builds what is older than its sources. Throws with the compiler's words. */
export async function buildCni(): Promise<void> {
  mkdirSync(OUT, { recursive: true });
  await Promise.all(PROGRAMS.filter(isStale).map(compile));
}

function isStale({ output, sources }: (typeof PROGRAMS)[number]): boolean {
  const built = statSync(output, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  return [...sources.map((name) => join(DIR, name)), import.meta.filename].some(
    (path) => statSync(path).mtimeMs > built,
  );
}

async function compile({ output, sources }: (typeof PROGRAMS)[number]): Promise<void> {
  const temporary = `${output}.${process.pid}`; // two builds at once must not see each other's halves
  const args = [...FLAGS, '-o', temporary, ...sources.filter((name) => name.endsWith('.c'))];
  for (const [i, compiler] of COMPILERS.entries()) {
    try {
      await promisify(execFile)(compiler, args, { cwd: DIR });
      renameSync(temporary, output);
      return;
    } catch (cause) {
      const isMissing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
      if (isMissing && i + 1 < COMPILERS.length) continue;
      const reason = isMissing ? `none of ${COMPILERS.join(', ')} is installed` : (cause as { stderr: string }).stderr;
      throw new Error(`Cannot compile ${output}: ${reason}`, { cause });
    }
  }
}

if (import.meta.main) await buildCni();
