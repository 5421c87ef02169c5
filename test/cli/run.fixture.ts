// Runs the command line as a process of its own, for the tests of this folder.

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));

/** How a run of the CLI ended. */
export interface Run {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** A run under way. */
export interface Running {
  readonly done: Promise<Run>;
  /** Waits until the output so far holds `text`. */
  until(text: string): Promise<void>;
  kill(signal: NodeJS.Signals): void;
}

/** Starts `weir` with arguments. */
export function start(...args: string[]): Running {
  return startAs(process.getuid?.() ?? 0, ...args);
}

/** Starts `weir` with arguments as another user. */
export function startAs(uid: number, ...args: string[]): Running {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'], uid });
  let out = '';
  let err = '';
  const waiting = new Set<() => void>();
  child.stdout.on('data', (chunk) => {
    out += chunk;
    for (const look of waiting) look();
  });
  child.stderr.on('data', (chunk) => {
    err += chunk;
  });
  const done = new Promise<Run>((resolve) => child.once('close', (code) => resolve({ code, out, err })));
  return {
    done,
    until: (text) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (!out.includes(text)) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
        void done.then(() => reject(new Error(`ended without "${text}": ${out}${err}`)));
      }),
    kill: (signal) => void child.kill(signal),
  };
}

/** Runs `weir` with arguments to its end. */
export function weir(...args: string[]): Promise<Run> {
  return start(...args).done;
}
