// Commands and servers, in network namespaces.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

export type Command = readonly [string, ...string[]];

/** The command inside the network namespace at `netns` (a path); it dies with this process. */
export function inNetns(netns: string, command: Command): Command {
  return ['nsenter', `--net=${netns}`, 'setpriv', '--pdeathsig', 'KILL', ...command];
}

/** Runs a command to its end and returns what it printed on stdout. */
export async function output(
  command: Command,
  options: { readonly signal: AbortSignal; readonly timeoutMs: number },
): Promise<string> {
  const [program, ...args] = command;
  try {
    const { stdout } = await run(program, args, {
      signal: options.signal,
      timeout: options.timeoutMs,
      maxBuffer: 16 * 1024 * 1024,
    });
    return stdout;
  } catch (cause) {
    options.signal.throwIfAborted();
    const { stderr = '', stdout = '', message } = cause as { stderr?: string; stdout?: string; message: string };
    throw new Error(`Cannot run "${command.join(' ')}": ${stderr.trim() || stdout.trim() || message}`, { cause });
  }
}
