// One container of a pod: started, started again by its restart policy, signalled, and described for people.

import type { Container, PodSpec } from '#mesh-config/model.ts';
import { adopt, type Exit, launch, type Running } from './launch.ts';
import { type ContainerRecord, containerMounts, hostnameOf, type PodPaths, type PodState } from './sandbox.ts';

export interface ContainerStatus {
  readonly name: string;
  readonly state: 'waiting' | 'running' | 'terminated';
  /** Why it waits or ended: "CrashLoopBackOff", "Completed", "Error", or why it cannot start ("CrashLoopBackOff: Cannot …"). */
  readonly reason: string;
  readonly restarts: number;
  /** Of the last run that ended; undefined: none has. */
  readonly exitCode: number | undefined;
  /** First process inside; 0: none runs. */
  readonly pid: number;
}

export interface ContainerRunner {
  readonly status: ContainerStatus;
  /** For the state file. */
  readonly record: ContainerRecord;
  readonly isGone: boolean;
  /** Starts the container if it is due. Returns the milliseconds until it will be; undefined: only an event can tell. */
  step(): number | undefined;
  signal(name: NodeJS.Signals): void;
  /** Stops watching; the process goes on. */
  release(): void;
}

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** A container that ran this long is not in a crash loop. */
const STABLE_MS = 10_000;
const FIRST_BACKOFF_MS = 500;
const MAX_BACKOFF_MS = 30_000;

/** Milliseconds before start number `failures` + 1 of a row of short runs; the first comes at once. */
export function restartDelayMs(failures: number, random = Math.random()): number {
  if (failures <= 1) return 0;
  return Math.min(FIRST_BACKOFF_MS * 2 ** (failures - 2), MAX_BACKOFF_MS) * (0.9 + 0.2 * random);
}

/** The exit file and namespace of a container, its policy, and whom to tell of changes. */
export interface RunnerOptions {
  readonly paths: PodPaths;
  readonly state: PodState;
  readonly container: Container;
  readonly policy: PodSpec['restartPolicy'];
  /** From the state file of an earlier agent. */
  readonly record: ContainerRecord | undefined;
  readonly changed: () => void;
}

/** A runner; a container whose `record` says that it runs is adopted, and any other starts with the first step(). */
export function createRunner(options: RunnerOptions): ContainerRunner {
  const { paths, container, policy, changed } = options;
  const exitFile = paths.exitFile(container.name);
  let process: (Running & Partial<Disposable>) | undefined;
  let pid = options.record?.run?.pid ?? 0;
  let restarts = options.record?.restarts ?? 0;
  let startedAt = performance.now();
  let failures = 0;
  let dueAt = startedAt;
  let last = options.record?.last;
  let isFinal = options.record?.isFinal ?? false;

  const ended = (exit: Exit): void => {
    process?.[Symbol.dispose]?.();
    process = undefined;
    pid = 0;
    last = exit;
    const now = performance.now();
    failures = now - startedAt >= STABLE_MS ? 1 : failures + 1;
    isFinal = policy === 'Never' || (policy === 'OnFailure' && exit.code === 0);
    dueAt = now + restartDelayMs(failures);
    changed();
  };
  if (options.record?.run) process = adopt(options.record.run.shim, exitFile, ended);

  return {
    get status(): ContainerStatus {
      const exitCode = last?.code;
      const base = { name: container.name, restarts, exitCode, pid };
      if (pid > 0) return { ...base, state: 'running', reason: '' };
      if (isFinal) return { ...base, state: 'terminated', reason: exitReason(last) };
      return { ...base, state: 'waiting', reason: waitReason(last, process !== undefined) };
    },
    get record() {
      return { restarts, last, isFinal, run: process && { shim: process.shim, pid } };
    },
    get isGone() {
      return process === undefined;
    },
    step() {
      if (process || isFinal) return undefined;
      const now = performance.now();
      if (now < dueAt) return dueAt - now;
      if (last) restarts++;
      startedAt = now;
      process = launch(launchSpec(options), {
        started: (init) => {
          pid = init;
          changed();
        },
        exited: ended,
      });
      return undefined;
    },
    signal: (name) => process?.signal(name),
    release: () => process?.[Symbol.dispose]?.(),
  };
}

function launchSpec({ paths, state, container }: RunnerOptions): Parameters<typeof launch>[0] {
  return {
    ...containerMounts(paths),
    cgroup: `${paths.cgroup}/${container.name}`,
    netns: state.sandbox.netns,
    hostname: hostnameOf(state),
    workingDir: container.workingDir,
    env: containerEnv(state, container),
    command: [...container.command, ...(container.command.length > 0 ? container.args : [])],
    logFile: paths.logFile(container.name),
    exitFile: paths.exitFile(container.name),
  };
}

/** The environment of a container: its own variables over a few that every program expects. */
export function containerEnv(pod: { readonly name: string }, container: Container): Record<string, string> {
  return {
    ...{ PATH, HOME: '/root', HOSTNAME: hostnameOf({ namespace: '', name: pod.name }) },
    ...Object.fromEntries(container.env.map(({ name, value }) => [name, value])),
  };
}

function exitReason(exit: Exit | undefined): string {
  if (exit?.failure) return exit.failure;
  return exit?.code === 0 ? 'Completed' : 'Error';
}

function waitReason(exit: Exit | undefined, isStarting: boolean): string {
  if (exit?.failure) return `CrashLoopBackOff: ${exit.failure}`;
  return isStarting || !exit ? 'ContainerCreating' : 'CrashLoopBackOff';
}
