// One pod's life as a loop: look at what is wanted and what is there, take one step, wait for an event, look again.

import type { Logger } from '#common/log.ts';
import type { NodeLayout } from '../layout.ts';
import { ensureCgroup, killCgroup } from '../node/cgroup.ts';
import { isAlive } from '../node/process.ts';
import { readState, writeState } from '../node/state-file.ts';
import type { PodRow } from '../tables.ts';
import { type ContainerRunner, createRunner, restartDelayMs } from './container.ts';
import { createEvents, type Events } from './events.ts';
import { hashOf } from './names.ts';
import {
  isWhole,
  makeSandbox,
  type PodName,
  type PodPaths,
  type PodState,
  podPaths,
  removeSandbox,
} from './sandbox.ts';
import { describePod, type PodStatus } from './status.ts';

export interface PodContext {
  readonly layout: NodeLayout;
  readonly log: Logger;
  /** Limits how many pods are made or removed at once. */
  readonly limit: <T>(run: () => Promise<T>) => Promise<T>;
  /** Whether CNI holds the pod's network; an attachment may have turned out to be broken. */
  readonly isJoined: (key: string) => boolean;
  /** Hears of every change; undefined: the pod is gone. */
  readonly report: (key: string, status: PodStatus | undefined) => void;
}

export interface Pod {
  /** What shall be: a pod like `row`, or none. */
  want(row: PodRow | undefined): void;
  readonly state: PodState | undefined;
  readonly row: PodRow | undefined;
  containerPid(name: string): number;
  /** Settles when the pod is gone, or after release(). */
  readonly done: Promise<void>;
  /** Stops the loop and leaves the pod as it is. */
  release(): void;
}

/** How long processes have between SIGTERM and SIGKILL. */
const GRACE_MS = 10_000;

/** Everything that a pod's loop knows. */
interface Life {
  readonly context: PodContext;
  readonly name: PodName;
  readonly key: string;
  readonly paths: PodPaths;
  readonly events: Events;
  row: PodRow | undefined;
  /** The last one that was wanted, for the status of a pod that goes. */
  lastRow: PodRow | undefined;
  state: PodState | undefined;
  runners: readonly ContainerRunner[];
  terminating: boolean;
  problem: string;
  isOver: boolean;
}

/** A pod, not yet wanted, with what an earlier agent left of it in `found`. */
export function createPod(context: PodContext, name: PodName, found?: PodState): Pod {
  const life: Life = {
    ...{ context, name, key: `${name.namespace}/${name.name}`, paths: podPaths(context.layout, name) },
    ...{ events: createEvents(), row: undefined, lastRow: undefined, state: found, runners: [] },
    ...{ terminating: false, problem: '', isOver: false },
  };
  return {
    want(wanted) {
      life.row = wanted;
      life.lastRow = wanted ?? life.lastRow;
      life.events.raise();
    },
    get state() {
      return life.state;
    },
    get row() {
      return life.row;
    },
    containerPid: (container) => life.runners.find(({ status }) => status.name === container)?.status.pid ?? 0,
    done: Promise.resolve().then(() => run(life)),
    release: () => life.events.close(),
  };
}

async function run(life: Life): Promise<void> {
  let failures = 0;
  while (!life.events.isClosed && (life.row || life.state)) {
    let delayMs: number | undefined;
    try {
      delayMs = await step(life);
      failures = 0;
      life.problem = '';
    } catch (error) {
      life.problem = (error as Error).message;
      delayMs = restartDelayMs(++failures + 1);
      life.context.log.warn({ pod: life.key, error: life.problem }, 'pod is not as wanted');
    }
    if (!life.row && !life.state) break;
    publish(life);
    await life.events.next(delayMs);
  }
  life.isOver = true;
  for (const runner of life.runners) runner.release();
  if (!life.events.isClosed) life.context.report(life.key, undefined);
}

/** Brings the pod one step nearer to what is wanted. Returns the milliseconds until there is more to do by itself. */
async function step(life: Life): Promise<number | undefined> {
  const { state, row } = life;
  if (state && !(row && isRight(life, state, row))) await stop(life, state);
  if (!row) return undefined;
  if (!life.state) await start(life, row);
  else if (life.runners.length === 0) life.runners = await createRunners(life, row, life.state);
  const delays = life.runners.map((runner) => runner.step()).filter((delay) => delay !== undefined);
  save(life);
  return delays.length > 0 ? Math.min(...delays) : undefined;
}

function isRight(life: Life, state: PodState, row: PodRow): boolean {
  return state.specHash === hashOf(row.object.spec) && isWhole(state) && life.context.isJoined(life.key);
}

async function start(life: Life, row: PodRow): Promise<void> {
  const { context, name, paths } = life;
  publish(life);
  try {
    life.state = await context.limit(() => makeSandbox(context.layout, name, hashOf(row.object.spec)));
  } catch (error) {
    life.state = readState(paths.stateFile); // says what was begun; the next step removes it
    throw error;
  }
  life.runners = await createRunners(life, row, life.state);
}

async function stop(life: Life, state: PodState): Promise<void> {
  const { context, runners } = life;
  life.terminating = true;
  publish(life);
  for (const runner of runners) runner.signal('SIGTERM');
  await life.events.until(() => runners.every(({ isGone }) => isGone), GRACE_MS);
  if (life.events.isClosed) return;
  await context.limit(() => removeSandbox(context.layout, state));
  for (const runner of runners) runner.release();
  life.state = undefined;
  life.runners = [];
  life.terminating = false;
}

async function createRunners(life: Life, row: PodRow, state: PodState): Promise<ContainerRunner[]> {
  const { restartPolicy: policy, containers } = row.object.spec;
  const changed = (): void => {
    save(life);
    publish(life);
    life.events.raise();
  };
  const runners: ContainerRunner[] = [];
  for (const container of containers) {
    const cgroup = `${life.paths.cgroup}/${container.name}`;
    const written = state.containers[container.name];
    // An agent may have died before it wrote down what it started, or before it heard that the command runs.
    const isUnknown = !written?.run || written.run.pid === 0;
    const record = isUnknown && written ? { ...written, run: undefined } : written;
    ensureCgroup(cgroup);
    if (isUnknown || !isAlive(written.run.shim)) await killCgroup(cgroup);
    runners.push(createRunner({ paths: life.paths, state, container, policy, record, changed }));
  }
  return runners;
}

function save(life: Life): void {
  if (!life.state || life.terminating || life.isOver) return;
  const containers = Object.fromEntries(life.runners.map(({ status, record }) => [status.name, record]));
  life.state = { ...life.state, containers };
  try {
    writeState(life.paths.stateFile, life.state);
  } catch (error) {
    // The pod goes on; an agent that reads an older state starts again what it does not know.
    life.context.log.error({ pod: life.key, error: (error as Error).message }, 'pod state cannot be written');
  }
}

function publish(life: Life): void {
  if (!life.isOver) life.context.report(life.key, describePod({ ...life, row: life.lastRow }));
}
