// `weir logs`

import { type FileHandle, open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { type NodeOptions, withNode, withNodeOptions } from '../client.ts';
import { CliError, EXIT } from '../exit.ts';
import { untilInterrupted } from '../output.ts';
import { parsePodName } from '../pod-name.ts';

const POLL_MS = 200;
const CHUNK_BYTES = 64 << 10;

interface LogsOptions extends NodeOptions {
  readonly namespace: string;
  readonly container: string;
  readonly follow: boolean;
  readonly tail?: string;
}

/** Adds `logs` to the CLI. */
export function registerLogs(program: Command): void {
  withNodeOptions(program.command('logs'))
    .description('what a pod wrote to its standard output and error')
    .argument('<pod>', 'name, or namespace/name')
    .option('-n, --namespace <name>', "the pod's namespace", 'default')
    .option('-c, --container <name>', 'container; otherwise the first', '')
    .option('-f, --follow', 'go on as more is written', false)
    .option('--tail <lines>', 'only the last lines')
    .action(async (pod: string, options: LogsOptions) => {
      const name = parsePodName(pod, options.namespace);
      const lines = options.tail === undefined ? undefined : Number(options.tail);
      if (lines !== undefined && !(Number.isInteger(lines) && lines >= 0)) {
        throw new CliError(`Cannot show the last "${options.tail}" lines: not a number`, EXIT.usage);
      }
      const handle = await withNode(options, (node) => node.pod({ ...name, container: options.container }));
      const signal = options.follow ? untilInterrupted() : undefined;
      await printLog(handle.logFile, { lines, signal });
    });
}

/**
 * Prints a log file, or its last `lines`. With `signal` it goes on until that aborts, and changes to the new file when
 * the log is rotated.
 */
async function printLog(
  path: string,
  options: { readonly lines: number | undefined; readonly signal: AbortSignal | undefined },
): Promise<void> {
  const { signal } = options;
  let file = await openLog(path, signal !== undefined);
  let position = file && options.lines !== undefined ? await startOfLastLines(file, options.lines) : 0;
  try {
    for (;;) {
      if (file) position = await copyFrom(file, position);
      if (signal === undefined || signal.aborted) return;
      await sleep(POLL_MS, undefined, { signal }).catch(() => undefined);
      const now = await openLog(path, true);
      if (now && file && (await isSame(now, file))) {
        await now.close();
      } else if (now) {
        if (file) await copyFrom(file, position); // what was written between the last look and the rotation
        await file?.close();
        file = now;
        position = 0;
      }
    }
  } finally {
    await file?.close();
  }
}

async function openLog(path: string, mayBeMissing: boolean): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r');
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' && mayBeMissing) return undefined;
    throw new CliError(`Cannot read log: ${code === 'ENOENT' ? 'the pod has not written one yet' : message}`);
  }
}

async function isSame(a: FileHandle, b: FileHandle): Promise<boolean> {
  const [first, second] = await Promise.all([a.stat(), b.stat()]);
  return first.ino === second.ino && first.dev === second.dev;
}

async function copyFrom(file: FileHandle, start: number): Promise<number> {
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  let position = start;
  for (;;) {
    const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, position);
    if (bytesRead === 0) return position;
    position += bytesRead;
    // Waiting for the callback keeps the buffer until it is written.
    await new Promise((resolve) => process.stdout.write(buffer.subarray(0, bytesRead), resolve));
  }
}

/** Offset at which the last `lines` lines begin. */
async function startOfLastLines(file: FileHandle, lines: number): Promise<number> {
  const { size } = await file.stat();
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  let found = -1; // the newline that ends the last line does not begin one
  for (let end = size; end > 0; end -= Math.min(end, CHUNK_BYTES)) {
    const start = Math.max(0, end - CHUNK_BYTES);
    const { bytesRead } = await file.read(buffer, 0, end - start, start);
    if (end === size && buffer[bytesRead - 1] !== 0x0a) found = 0;
    for (let i = bytesRead - 1; i >= 0; i--) {
      if (buffer[i] === 0x0a && ++found === lines) return start + i + 1;
    }
  }
  return 0;
}
