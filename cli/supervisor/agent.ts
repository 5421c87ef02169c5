// Keeps an agent running: started inside the node's network namespace and cgroup, started again when it dies.

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { NodeLayout } from '#agent/layout.ts';
import { cgroupProcesses, killCgroup } from '#agent/node/cgroup.ts';
import { inNetns } from '#agent/node/netns.ts';
import { agentCgroup } from '#agent/node/setup.ts';
import { boundLog, lastLines } from './log-file.ts';

export interface AgentSupervisor {
  /** Rejects when the agent cannot be kept: it ended too often before markReady(). */
  readonly failed: Promise<never>;
  /** From now on the agent is started again however often it dies. */
  markReady(): void;
  /** Ends the agent and does not start it again. */
  stop(): Promise<void>;
}

const AGENT = fileURLToPath(new URL('../../agent/main.ts', import.meta.url));
/** An agent that dies that often before it ever was ready will not get better. */
const MAX_EARLY_ENDS = 3;
/** An agent that ran this long is not in a crash loop. */
const STABLE_MS = 10_000;
const BACKOFF_MS = { first: 100, max: 500 };
const END_GRACE_MS = 3_000;
const LINES_SHOWN = 8;
/**
 * Keeps the agent's memory small: a small nursery, and the rest collected when it has grown by two fifths. With less than
 * that a change of policy waits for the collector more often than for anything else; it may be called for when nobody
 * waits (agent/idle-collection.ts).
 */
export const NODE_FLAGS = ['--max-semi-space-size=8', '--heap-growing-percent=40', '--expose-gc'];

/** Starts the agent with `args`. An agent that an earlier supervisor left must have been ended: see endAgent(). */
export function superviseAgent(options: {
  readonly layout: NodeLayout;
  readonly args: readonly string[];
  readonly print: (line: string) => void;
  /** Script to run instead of the agent, for tests. */
  readonly script?: string;
}): AgentSupervisor {
  const { layout, print } = options;
  const logFile = join(layout.runDir, 'agent.log');
  const bound = boundLog(logFile);
  const { promise: failed, reject } = Promise.withResolvers<never>();
  failed.catch(() => {}); // also when nobody waits for it
  let isReady = false;
  let isStopped = false;
  let ends = 0;
  let timer: NodeJS.Timeout | undefined;

  const start = (): void => {
    const begun = performance.now();
    const child = spawnAgent(layout, logFile, [options.script ?? AGENT, ...options.args]);
    let isOver = false;
    const over = (how: string): void => {
      if (isOver || isStopped) return;
      isOver = true;
      ends = performance.now() - begun >= STABLE_MS ? 1 : ends + 1;
      const lines = lastLines(logFile, LINES_SHOWN).map((line) => `  ${line}`);
      if (!isReady && ends >= MAX_EARLY_ENDS) {
        reject(
          new Error(`Cannot start the agent: it ended ${ends} times (${how}). Its last words:\n${lines.join('\n')}`),
        );
        return;
      }
      const delayMs = ends === 1 ? 0 : Math.min(BACKOFF_MS.first * 2 ** (ends - 2), BACKOFF_MS.max);
      print([`Agent ended (${how}): starting it again`, ...(isReady ? [] : lines)].join('\n'));
      timer = setTimeout(again, delayMs * (0.9 + 0.2 * Math.random()));
    };
    child.on('error', (error) => over(error.message));
    child.on('exit', (code, signal) => over(signal ?? `exit code ${code}`));
  };
  // What the dead one left running must not work against the new one.
  const again = (): void => {
    killCgroup(agentCgroup(layout)).then(() => !isStopped && start(), reject);
  };
  start();
  return {
    failed,
    markReady() {
      isReady = true;
    },
    async stop() {
      isStopped = true;
      clearTimeout(timer);
      bound[Symbol.dispose]();
      await endAgent(layout);
    },
  };
}

/** Ends every agent of the node: asks, and kills what has not ended in time. None is fine. */
export async function endAgent(layout: NodeLayout): Promise<void> {
  const cgroup = agentCgroup(layout);
  await askToEnd(cgroup, END_GRACE_MS);
  await killCgroup(cgroup);
}

/** Sends SIGTERM to everything in `cgroup` and waits until it is empty, at most `graceMs`. */
export async function askToEnd(cgroup: string, graceMs: number): Promise<void> {
  const deadline = performance.now() + graceMs;
  for (const pid of cgroupProcesses(cgroup)) {
    try {
      process.kill(pid, 'SIGTERM');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
  for (let waitMs = 1; cgroupProcesses(cgroup).length > 0 && performance.now() < deadline; ) {
    await sleep(waitMs);
    waitMs = Math.min(waitMs * 2, 50);
  }
}

function spawnAgent(layout: NodeLayout, logFile: string, args: readonly string[]): ChildProcess {
  const log = openSync(logFile, 'a', 0o600);
  try {
    // It enters its cgroup before it is the agent: there is no moment in which a tear-down would not find it.
    const enter = 'echo $$ >"$0/cgroup.procs" && export MALLOC_ARENA_MAX=1 && exec "$@"';
    const command = [enter, agentCgroup(layout), process.execPath, ...NODE_FLAGS, ...args];
    return inNetns(
      layout.netnsPath,
      () => spawn('sh', ['-c', ...command], { cwd: '/', detached: true, stdio: ['ignore', log, log] }) as never,
    );
  } finally {
    closeSync(log);
  }
}
