// Container processes: started through weir-run, found again after an agent restart, and heard of when they end.

import { spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { WEIR_RUN } from '../cni/build.ts';
import { isAlive, type ProcessId, processId, signalProcess } from '../node/process.ts';

/** What weir-run needs to know; see weir-run.c. */
export interface LaunchSpec {
  readonly cgroup: string;
  readonly netns: string;
  readonly hostname: string;
  readonly workingDir: string;
  /** "source:target" */
  readonly mounts: readonly string[];
  /** Directories that the container sees empty. */
  readonly hidden: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Empty: the container only holds its namespaces. */
  readonly command: readonly string[];
  readonly logFile: string;
  readonly exitFile: string;
}

export interface Exit {
  /** Exit code, 128 + signal; -1: unknown. */
  readonly code: number;
  /** Why it could not start; '' if it did. */
  readonly failure: string;
}

/** weir-run, which stays as the container's parent. */
export interface Running {
  readonly shim: ProcessId;
  signal(name: NodeJS.Signals): void;
}

export interface LaunchEvents {
  /** The command has been executed. `pid`: first process of the container. */
  started(pid: number): void;
  exited(exit: Exit): void;
}

const LOG_BYTES = 10 << 20;
/** Ends of adopted containers are looked for this often; nobody else tells. */
const POLL_MS = 200;
const MAX_REPORT_BYTES = 1024;

/** Starts a container. Throws if weir-run cannot even be executed. */
export function launch(spec: LaunchSpec, events: LaunchEvents): Running {
  rmSync(spec.exitFile, { force: true });
  const child = spawn(WEIR_RUN, weirRunArgs(spec), {
    env: spec.env,
    cwd: '/',
    detached: true,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let report = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    if (report.length < MAX_REPORT_BYTES) report += text;
    const pid = /^started (\d+)\n/.exec(report)?.[1];
    if (pid !== undefined) events.started(Number(pid));
  });
  let failed = false;
  child.on('error', (error) => {
    failed = true;
    events.exited({ code: -1, failure: `Cannot run "${WEIR_RUN}": ${error.message}` });
  });
  child.on('close', (code) => {
    if (failed) return;
    const failure = report.startsWith('started ') ? '' : report.replace(/^failed /, '').trim();
    events.exited(readExit(spec.exitFile) ?? { code: code ?? -1, failure });
  });
  const shim = child.pid === undefined ? undefined : processId(child.pid);
  child.unref();
  return running(shim ?? { pid: child.pid ?? 0, startTicks: -1 });
}

/** Watches a container that an earlier agent started; `exited` is called once, also if it has ended meanwhile. */
export function adopt(shim: ProcessId, exitFile: string, exited: (exit: Exit) => void): Running & Disposable {
  const stop = (): void => {
    clearInterval(timer);
    clearImmediate(soon);
  };
  const look = (): void => {
    if (isAlive(shim)) return;
    stop();
    exited(readExit(exitFile) ?? { code: -1, failure: '' });
  };
  const timer = setInterval(look, POLL_MS);
  const soon = setImmediate(look);
  timer.unref();
  return { ...running(shim), [Symbol.dispose]: stop };
}

function running(shim: ProcessId): Running {
  return { shim, signal: (name) => signalProcess(shim, name) };
}

function readExit(path: string): Exit | undefined {
  try {
    const [, code, failure] = /^(\d+) (.*)\n$/.exec(readFileSync(path, 'utf8')) ?? [];
    return code === undefined ? undefined : { code: Number(code), failure: failure ?? '' };
  } catch {
    return undefined;
  }
}

function weirRunArgs(spec: LaunchSpec): string[] {
  return [
    ...['--cgroup', spec.cgroup, '--netns', spec.netns, '--hostname', spec.hostname, '--workdir', spec.workingDir],
    ...spec.mounts.flatMap((mount) => ['--mount', mount]),
    ...spec.hidden.flatMap((dir) => ['--hide', dir]),
    ...['--log', spec.logFile, '--log-bytes', `${LOG_BYTES}`, '--exit-file', spec.exitFile],
    ...(spec.command.length > 0 ? ['--', ...spec.command] : []),
  ];
}
