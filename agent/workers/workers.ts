// Supervision of the proxy workers: one process per slot of the steering map. Workers outlive the agent; a new agent
// adopts them. A worker that dies is replaced with the same listening socket, so that connections wait instead of failing.

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { type WorkerSlot, workerSlot } from '#common/ids.ts';
import * as libc from '#common/native/libc.ts';
import type { NodeLayout } from '../layout.ts';
import { cgroupProcesses, enterCgroup } from '../node/cgroup.ts';
import { isAlive, type ProcessId, processId, signalProcess } from '../node/process.ts';
import { proxyCgroup } from '../node/setup.ts';
import { createListener, listenerOf } from './listener.ts';
import { type RememberedWorker, rememberedWorkers, rememberWorkers } from './remembered.ts';

export interface WorkerHooks {
  /** Puts a listening socket into the steering map. */
  setListener(slot: WorkerSlot, listenerFd: number): void;
  /** Descriptors that the worker inherits as 4, 5 and 6: conntrack, node_config and endpoint_addrs, all read-only. */
  readonly inherited: readonly [conntrackFd: number, nodeConfigFd: number, endpointAddrsFd: number];
  /** Command line of the worker for a slot. */
  command(slot: WorkerSlot): readonly [program: string, ...args: string[]];
}

export interface WorkerState {
  readonly slot: WorkerSlot;
  readonly pid: number; // 0: not running
  readonly restarts: number;
}

export type WorkerEvent = 'adopted' | 'started' | 'ended' | 'failed';

export interface Workers {
  states(): readonly WorkerState[];
  /** Kills the worker of a slot, which is then replaced. */
  kill(slot: number): void;
  /** Stops watching; the workers go on. */
  release(): void;
}

interface Slot {
  readonly slot: WorkerSlot;
  listener: number | undefined; // undefined: none made yet, or only an adopted worker has it
  process: ProcessId | undefined;
  child: ChildProcess | undefined;
  restarts: number;
  diedInARow: number;
  retry: NodeJS.Timeout | undefined;
}

/** Of a worker. */
const LISTENER_FD = 3;
const POLL_MS = 100; // how soon the end of an adopted worker is noticed
const HEALTHY_MS = 10_000; // a worker that lived this long starts over with the shortest delay
const RETRY_MS = { first: 0, step: 100, max: 5_000 };
const LOG_BYTES = 10 << 20;
/** One pool of malloc for all threads: the others would hold memory that is hardly used. */
const ONE_ARENA = { MALLOC_ARENA_MAX: '1' };

/** Adopts what runs, starts what does not, and keeps it so. `onChange` is called when a worker starts or ends. */
export function superviseWorkers(options: {
  readonly count: number;
  readonly layout: NodeLayout;
  readonly hooks: WorkerHooks;
  readonly onChange?: (state: WorkerState, what: WorkerEvent, detail: string) => void;
}): Workers {
  const { layout, hooks } = options;
  const remembered = rememberedWorkers(layout.stateDir);
  const slots: Slot[] = [];
  let released = false;

  const report = (slot: Slot, what: WorkerEvent, detail = ''): void => options.onChange?.(stateOf(slot), what, detail);
  const remember = (): void => {
    const running = slots.flatMap(({ slot, process }) => (process ? [{ slot, process }] : []));
    rememberWorkers(layout.stateDir, running);
  };
  const start = (slot: Slot): void => {
    slot.retry = undefined;
    try {
      slot.listener ??= createListener();
      const child = startWorker(slot.slot, slot.listener, options);
      slot.child = child;
      slot.process = child.pid === undefined ? undefined : processId(child.pid);
      child.on('error', (error) => ended(slot, error.message));
      child.on('exit', (code, signal) => ended(slot, signal ?? `exit code ${code}`));
      hooks.setListener(slot.slot, slot.listener);
      setTimeout(() => {
        if (slot.child === child) slot.diedInARow = 0;
      }, HEALTHY_MS).unref();
      report(slot, 'started');
    } catch (cause) {
      report(slot, 'failed', (cause as Error).message);
      ended(slot, (cause as Error).message);
    }
    remember();
  };
  const ended = (slot: Slot, detail: string): void => {
    if (released || slot.retry) return;
    slot.process = undefined;
    slot.child = undefined;
    slot.restarts++;
    report(slot, 'ended', detail);
    const delayMs = Math.min(RETRY_MS.first + slot.diedInARow * RETRY_MS.step, RETRY_MS.max);
    slot.diedInARow++;
    if (delayMs > 0) standIn(slot);
    slot.retry = setTimeout(() => start(slot), delayMs);
  };
  /** While the slot's own worker cannot run, another one takes its new connections. */
  const standIn = (slot: Slot): void => {
    const other = slots.find((candidate) => candidate.process && candidate.listener !== undefined);
    if (other?.listener !== undefined) hooks.setListener(slot.slot, other.listener);
  };

  killStrays(layout, remembered);
  for (let number = 0; number < options.count; number++) {
    const slot = adoptSlot(workerSlot(number), remembered);
    slots.push(slot);
    if (slot.process) report(slot, 'adopted');
    else start(slot);
  }
  for (const { slot, process } of remembered) if (slot >= options.count) signalProcess(process, 'SIGTERM');
  remember();
  const poll = setInterval(() => {
    for (const slot of slots) {
      if (slot.process && !slot.child && !isAlive(slot.process)) ended(slot, 'gone');
    }
  }, POLL_MS).unref();
  return {
    states: () => slots.map(stateOf),
    kill(number) {
      const running = slots[number]?.process;
      if (running) signalProcess(running, 'SIGKILL');
    },
    release() {
      released = true;
      clearInterval(poll);
      for (const slot of slots) {
        clearTimeout(slot.retry);
        slot.child?.unref();
        if (slot.listener !== undefined) libc.close(slot.listener);
      }
    },
  };
}

/** The slot with the worker that an earlier agent left on it, if that still runs, and with a copy of its listener. */
function adoptSlot(slot: WorkerSlot, remembered: readonly RememberedWorker[]): Slot {
  const found = remembered.find((worker) => worker.slot === slot)?.process;
  const process = found && isAlive(found) ? found : undefined;
  const listener = process && listenerOf(process.pid, LISTENER_FD);
  return { slot, process, listener, child: undefined, restarts: 0, diedInARow: 0, retry: undefined };
}

/** An agent may have died between starting a worker and writing down which: nobody would ever end that one. */
function killStrays(layout: NodeLayout, remembered: readonly RememberedWorker[]): void {
  const known = new Set(remembered.map(({ process }) => process.pid));
  for (const pid of cgroupProcesses(proxyCgroup(layout))) {
    const stray = known.has(pid) ? undefined : processId(pid);
    if (stray) signalProcess(stray, 'SIGKILL');
  }
}

function stateOf(slot: Slot): WorkerState {
  return { slot: slot.slot, pid: slot.process?.pid ?? 0, restarts: slot.restarts };
}

function startWorker(
  slot: WorkerSlot,
  listener: number,
  options: { readonly layout: NodeLayout; readonly hooks: WorkerHooks },
): ChildProcess {
  const log = openLog(join(options.layout.runDir, `proxy-${slot}.log`));
  try {
    const [program, ...args] = options.hooks.command(slot);
    const child = spawn(program, args, {
      cwd: '/',
      env: { ...process.env, ...ONE_ARENA },
      detached: true,
      stdio: ['ignore', log, log, listener, ...options.hooks.inherited],
    });
    if (child.pid !== undefined) enterCgroup(proxyCgroup(options.layout), child.pid);
    return child;
  } finally {
    closeSync(log);
  }
}

/** Appends; starts over when the file has grown too large. */
function openLog(path: string): number {
  const fd = openSync(path, 'a', 0o600);
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > LOG_BYTES) truncateSync(path);
  return fd;
}
