// The one way to iproute2: a batch of commands per process, inside any network namespace.

import { type ChildProcess, spawn } from 'node:child_process';
import type { Family } from '#common/ip.ts';
import { inNetns } from './netns.ts';

export interface IpOptions {
  /** Path of the namespace to work in; without it, the caller's own. */
  readonly netns?: string | undefined;
  /** Of show commands that do not say which. */
  readonly family?: Family;
  /** Go on after a command that fails, and report no error: for taking things down. */
  readonly force?: boolean;
}

const TIMEOUT_MS = 10_000;
/** `ip -j` of a node with a thousand pods is far below. */
const MAX_OUTPUT_BYTES = 16 << 20;

/**
 * Runs `commands` (each a line such as "link set lo up") in one process and returns what they print. With `json`, show
 * commands print JSON arrays, one a line. Throws on the first command that fails, naming it.
 */
export async function ip(commands: readonly string[], options: IpOptions & { json?: boolean } = {}): Promise<string> {
  if (commands.length === 0) return '';
  const flags = [
    ...(options.json ? ['-j', '-d'] : []),
    ...(options.family ? [`-${options.family}`] : []),
    ...(options.force ? ['-force'] : []),
    '-batch',
    '-',
  ];
  const start = (): ChildProcess => spawn('ip', flags, { stdio: ['pipe', 'pipe', 'pipe'] });
  const { code, stdout, stderr } = await finish(
    options.netns === undefined ? start() : inNetns(options.netns, start as never),
    `${commands.join('\n')}\n`,
  );
  if (code === 0 || options.force) return stdout;
  const line = /Command failed -:(\d+)/.exec(stderr)?.[1];
  const command = line === undefined ? commands.join('; ') : commands[Number(line) - 1];
  const reason = stderr.replace(/\n?Command failed -:\d+\n?/g, '').trim() || `ended with ${code}`;
  throw new Error(`Cannot run "ip ${command}"${options.netns ? ` in ${options.netns}` : ''}: ${reason}`);
}

/** One show command's rows. */
export async function ipShow<Row extends object>(command: string, options: IpOptions = {}): Promise<Row[]> {
  const text = await ip([command], { ...options, json: true });
  const rows = text.trim() === '' ? [] : (JSON.parse(text) as Row[]);
  // What ip itself leaves out it prints as {}: the kernel does not know a type whose module is not loaded, and sends all.
  return rows.filter((row) => Object.keys(row).length > 0);
}

function finish(child: ChildProcess, input: string): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS);
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name]?.setEncoding('utf8').on('data', (text: string) => {
        if (output[name].length < MAX_OUTPUT_BYTES) output[name] += text;
      });
    }
    child.on('error', (cause) => {
      clearTimeout(timer);
      reject(new Error(`Cannot run "ip": ${cause.message}`, { cause }));
    });
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ code, ...output });
    });
    child.stdin?.on('error', () => {}); // it ended before it read everything: its exit code says why
    child.stdin?.end(input);
  });
}
