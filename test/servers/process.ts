// Starting a server for a test and ending it whatever happens.

import { type ChildProcess, spawn } from 'node:child_process';

export interface ServerProcess {
  readonly pid: number;
  /** The groups that `ready` found. */
  readonly matches: readonly string[];
  /** What it printed so far, to explain a failure. */
  output(): string;
  /** Ends it, by force after 5 s. */
  stop(): Promise<void>;
}

export interface ServerOptions {
  readonly command: readonly [string, ...string[]];
  readonly env?: Readonly<Record<string, string>>;
  /** It serves once each expression was found in its output; without any, as soon as it runs. */
  readonly ready: readonly RegExp[];
  readonly timeoutMs: number;
}

/** Most output that is kept to be searched and to explain a failure. */
const OUTPUT_LIMIT = 256 * 1024;

/** Starts a server and waits until its output says that it serves. */
export async function startServer(options: ServerOptions): Promise<ServerProcess> {
  const [program, ...args] = options.command;
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...options.env } });
  const end = (): void => void child.kill('SIGKILL');
  process.once('exit', end);
  let output = '';
  let check = (): void => {};
  const read = (chunk: Buffer): void => {
    if (output.length < OUTPUT_LIMIT) output += chunk.toString();
    check();
  };
  child.stdout.on('data', read);
  child.stderr.on('data', read);
  try {
    const matches = await new Promise<string[]>((resolve, reject) => {
      const fail = (state: string) =>
        reject(new Error(`Cannot start "${options.command.join(' ')}": ${state}\n${output}`));
      const timer = setTimeout(() => fail(`not ready after ${options.timeoutMs} ms`), options.timeoutMs);
      child.once('error', (error) => fail(error.message));
      child.once('exit', (code, signal) => fail(`it ended with ${code ?? signal}`));
      check = () => {
        const found = options.ready.map((expression) => expression.exec(output));
        if (found.some((match) => match === null)) return;
        clearTimeout(timer);
        resolve(found.map((match) => match?.[1] ?? ''));
      };
      child.once('spawn', check);
    });
    const stopped = () => stop(child).finally(() => process.off('exit', end));
    return { pid: child.pid as number, matches, output: () => output, stop: stopped }; // it runs: it has a pid
  } catch (error) {
    end();
    process.off('exit', end);
    throw error;
  }
}

function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    const force = setTimeout(() => child.kill('SIGKILL'), 5_000);
    child.once('exit', () => {
      clearTimeout(force);
      resolve();
    });
    child.kill('SIGTERM');
  });
}
