// `weir exec`

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import type { PodHandle } from '#api/node.ts';
import { type NodeOptions, withNode, withNodeOptions } from '../client.ts';
import { CliError, EXIT } from '../exit.ts';
import { parsePodName } from '../pod-name.ts';

/** Joins a container's namespaces and cgroup, drops to its capabilities, and runs a command there. */
const WEIR_RUN = fileURLToPath(new URL('../../agent/cni/build/weir-run', import.meta.url));
/** The PATH that a container's processes have if they bring none. */
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** What the terminal is, which only the caller knows. */
const PASSED_ON = ['TERM', 'COLORTERM', 'LANG', 'LC_ALL'] as const;

interface ExecOptions extends NodeOptions {
  readonly namespace: string;
  readonly container: string;
}

/** Adds `exec` to the CLI. */
export function registerExec(program: Command): void {
  withNodeOptions(program.command('exec'))
    .description('run a command inside a pod, with this terminal or pipe; ends with its exit code')
    .usage('[options] <pod> -- <command> [args...]')
    .argument('<pod>', 'name, or namespace/name')
    .argument('<command...>', 'what to run, after "--" if it has options of its own')
    .option('-n, --namespace <name>', "the pod's namespace", 'default')
    .option('-c, --container <name>', 'container; otherwise the first', '')
    .action(async (pod: string, command: readonly string[], options: ExecOptions) => {
      const name = parsePodName(pod, options.namespace);
      const handle = await withNode(options, (node) => node.pod({ ...name, container: options.container }));
      if (handle.pid === 0) {
        throw new CliError(
          `Cannot run a command in pod "${name.namespace}/${name.name}": its container is not running`,
        );
      }
      if (!existsSync(WEIR_RUN)) throw new CliError(`Cannot run a command in a pod: ${WEIR_RUN} is missing`);
      process.exitCode = await runInside(handle, command);
    });
}

/** Runs the command and waits for it. Ctrl-C reaches it through the terminal; the CLI itself waits for its end. */
function runInside(handle: PodHandle, command: readonly string[]): Promise<number> {
  const place = ['--join', String(handle.pid), '--cgroup', handle.cgroup];
  if (handle.workingDir !== '') place.push('--workdir', handle.workingDir);
  const child = spawn(WEIR_RUN, [...place, '--', ...command], { stdio: 'inherit', env: environment(handle) });
  const ignore = (): void => undefined;
  const forward = (): boolean => child.kill('SIGTERM');
  process.on('SIGINT', ignore).on('SIGQUIT', ignore).on('SIGTERM', forward).on('SIGHUP', forward);
  return new Promise((resolve, reject) => {
    child.once('error', (cause) => reject(new CliError(`Cannot run ${WEIR_RUN}: ${cause.message}`, EXIT.failed)));
    child.once('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}

function environment(handle: PodHandle): Record<string, string> {
  const environment: Record<string, string> = { PATH: DEFAULT_PATH, HOME: '/root' };
  for (const name of PASSED_ON) {
    const value = process.env[name];
    if (value !== undefined) environment[name] = value;
  }
  for (const entry of handle.env) {
    const equals = entry.indexOf('=');
    if (equals > 0) environment[entry.slice(0, equals)] = entry.slice(equals + 1);
  }
  return environment;
}
