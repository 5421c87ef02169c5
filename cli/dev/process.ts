// Child processes of the developer commands: the same node binary, output collected, ended as a whole group.

import { spawn } from 'node:child_process';

export interface Finished {
  /** Exit code; null: ended by a signal. */
  readonly code: number | null;
  /** stdout and stderr as they came, at most `MAX_OUTPUT_BYTES` from the end. */
  readonly output: string;
}

const MAX_OUTPUT_BYTES = 256 * 1024;
const PIPE_GRACE_MS = 1_000;

/** Runs `command` with its output collected. On abort its whole process group is killed. */
export function collect(
  command: string,
  args: readonly string[],
  options: { readonly cwd: string; readonly signal: AbortSignal; readonly env?: NodeJS.ProcessEnv },
): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true, // its own process group
    });
    const chunks: Buffer[] = [];
    let size = 0;
    const keep = (chunk: Buffer): void => {
      chunks.push(chunk);
      size += chunk.length;
      while (size > MAX_OUTPUT_BYTES && chunks.length > 1) size -= chunks.shift()?.length ?? 0;
    };
    const kill = (): void => killGroup(child.pid);
    options.signal.addEventListener('abort', kill, { once: true });
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', reject);
    // What the child left running ends with it. A process that left the group may hold the pipes open: not for long.
    child.on('exit', () => {
      options.signal.removeEventListener('abort', kill);
      kill();
      setTimeout(() => {
        child.stdout.destroy();
        child.stderr.destroy();
      }, PIPE_GRACE_MS).unref();
    });
    child.on('close', (code) => resolve({ code, output: Buffer.concat(chunks).toString() }));
  });
}

/** Runs a script of this project under the same node. */
export function collectNode(
  args: readonly string[],
  options: { readonly cwd: string; readonly signal: AbortSignal; readonly env?: NodeJS.ProcessEnv },
): Promise<Finished> {
  return collect(process.execPath, args, options);
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
