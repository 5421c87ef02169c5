// `weir up --detach`: the same command as a process of its own, followed until the node is ready.

import { fork } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { NodeLayout } from '#agent/layout.ts';
import { CliError } from '../exit.ts';

/** What the child tells the one who waits. */
export type Progress = { readonly kind: 'line'; readonly text: string } | { readonly kind: 'ready' };

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));

/**
 * Runs `weir up` with `args` (without --detach) in the background and prints its progress until the node is ready.
 * Throws if it ends before; on `signal` it is ended. After `timeoutMs` it goes on, and the error says so.
 */
export async function runDetached(options: {
  readonly layout: NodeLayout;
  readonly args: readonly string[];
  readonly print: (line: string) => void;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  /** Script to run instead of the CLI, for tests. */
  readonly script?: string;
}): Promise<void> {
  const { layout, args, print, signal, timeoutMs, script = MAIN } = options;
  mkdirSync(layout.runDir, { recursive: true, mode: 0o711 });
  const logFile = join(layout.runDir, 'up.log');
  const log = openSync(logFile, 'a', 0o600);
  const child = fork(script, ['up', ...args], { cwd: '/', detached: true, stdio: ['ignore', log, log, 'ipc'] });
  closeSync(log);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let last = '';
  child.on('message', (message) => {
    const progress = message as Progress;
    if (progress.kind === 'ready') resolve();
    else {
      last = progress.text;
      print(progress.text);
    }
  });
  child.on('error', reject);
  child.on('exit', (code, name) => reject(new CliError(last || `Cannot start node "${layout.node}": ${name ?? code}`)));
  const stop = (): boolean => child.kill('SIGTERM');
  signal.addEventListener('abort', stop, { once: true });
  const timer = setTimeout(() => {
    reject(
      new CliError(`Node "${layout.node}" runs, but was not ready after ${timeoutMs / 1_000} s: see "weir status"`),
    );
  }, timeoutMs);
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
    child.removeAllListeners();
    if (child.connected) child.disconnect();
    child.unref();
  }
}

/** Prints to standard output and, in a detached child, to the one who waits. */
export function tell(progress: Progress): void {
  if (progress.kind === 'line') console.log(progress.text);
  if (process.connected) process.send?.(progress, undefined, {}, () => {}); // who waits may go at any time
}
