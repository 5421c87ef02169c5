// What `weir up` does: takes the node's lock, makes the node, keeps its agent running, and takes everything down again.

import { statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type NodeLayout, nodeLayout } from '#agent/layout.ts';
import { findCgroupRoot } from '#agent/node/cgroup.ts';
import { setUpNode } from '#agent/node/setup.ts';
import { listLeftovers, tearDown } from '#agent/node/teardown.ts';
import type { NodeStatus } from '#api/node.ts';
import { WeirError } from '#common/errors.ts';
import { withNode } from '../client.ts';
import { CliError, EXIT } from '../exit.ts';
import { type AgentSupervisor, askToEnd, endAgent, superviseAgent } from './agent.ts';
import { type Control, listenForDown } from './control.ts';
import { describeHolder, takeLock } from './lock.ts';
import { boundLog } from './log-file.ts';
import { createRefusalReporter } from './refusals.ts';

export interface UpOptions {
  readonly node: string;
  /** Absolute path of the folder. */
  readonly dir: string;
  /** Further options of the agent, "--name=value". */
  readonly agentArgs: readonly string[];
  readonly print: (line: string) => void;
  /** Ends the node. */
  readonly signal: AbortSignal;
  /** Called once, when the node is ready. */
  readonly onReady?: () => void;
  /** Script to run instead of the agent, for tests. */
  readonly script?: string;
}

const POLL_MS = 30;
/** How often a ready node is asked whether something was refused. */
const REFUSALS_MS = 1_000;
/** How often a node that does not become ready says why. */
const WHY_MS = 10_000;
/** What pods and workers have to end by themselves when the node goes down. */
const END_GRACE_MS = 2_000;

/** Runs the node until `signal` or `weir down` ends it. Throws if it cannot be made or kept, or not be taken down. */
export async function runUp(options: UpOptions): Promise<void> {
  const { node, print } = options;
  const layout = layoutOf(node);
  checkFolder(options);
  const lock = takeLock(layout);
  if (!lock.ok) {
    throw new CliError(`Cannot start node "${node}": another "weir up" runs it (${describeHolder(lock.error)})`);
  }
  const isOld = listLeftovers(layout).some((line) => /^(netns|process|mount) /.test(line));
  const end = new AbortController();
  const onSignal = (): void => end.abort();
  options.signal.addEventListener('abort', onSignal, { once: true });
  if (options.signal.aborted) end.abort();
  let control: Control | undefined;
  let problem = '';
  try {
    if (isOld) print(`Node "${node}" is there already: adopting it`);
    await setUpNode(layout, (name, tookMs) => print(stepLine(name, tookMs)));
    control = await listenForDown(layout, onSignal);
    await endAgent(layout); // of an earlier `up`; its pods and workers go on
    await keepRunning(layout, { ...options, signal: end.signal });
    await takeDown(layout, print);
  } catch (error) {
    problem = (error as Error).message;
    // What was running before stays for another try; what is new and did not come up is taken away.
    if (!isOld && !end.signal.aborted) await takeDown(layout, print).catch(() => {});
    throw error instanceof CliError || error instanceof WeirError ? error : new CliError(problem);
  } finally {
    options.signal.removeEventListener('abort', onSignal);
    lock.value.release();
    await control?.finish(problem.replaceAll('\n', ' '));
  }
}

/** Throws if there is no folder to run. */
export function checkFolder({ node, dir }: { readonly node: string; readonly dir: string }): void {
  if (statSync(dir, { throwIfNoEntry: false })?.isDirectory()) return;
  throw new CliError(`Cannot start node "${node}": "${dir}" is not a folder`, EXIT.usage);
}

/** The layout of `node` on this machine. Throws what a person can act on: no root, no cgroup v2. */
export function layoutOf(node: string): NodeLayout {
  if (process.getuid?.() !== 0) {
    throw new WeirError('WEIR_NOT_ROOT', `Cannot work on node "${node}": this user is not root`);
  }
  const root = findCgroupRoot();
  if (!root.ok) throw new WeirError('WEIR_UNABLE', root.error);
  return nodeLayout(node, root.value);
}

/** One line of progress: what was done and how long it took. */
export function stepLine(name: string, tookMs: number): string {
  const took = tookMs < 1_000 ? `${Math.round(tookMs)} ms` : `${(tookMs / 1_000).toFixed(1)} s`;
  return `  ${name.padEnd(32)} ${took.padStart(7)}`;
}

async function keepRunning(layout: NodeLayout, options: UpOptions): Promise<void> {
  const { node, dir, print } = options;
  const over = new AbortController(); // nothing here goes on after this function
  const signal = AbortSignal.any([options.signal, over.signal]);
  if (signal.aborted) return;
  using _log = boundLog(join(layout.runDir, 'up.log'));
  const begun = performance.now();
  const args = [`--node=${node}`, `--dir=${dir}`, ...options.agentArgs];
  const script = options.script === undefined ? {} : { script: options.script };
  const agent = superviseAgent({ layout, args, print, ...script });
  try {
    await Promise.race([agent.failed, untilReady({ ...options, signal }, agent, begun)]);
    await Promise.race([agent.failed, reportRefusals({ ...options, signal })]);
  } finally {
    over.abort();
    await agent.stop();
  }
}

async function untilReady(options: UpOptions, agent: AgentSupervisor, begun: number): Promise<void> {
  const { node, print, signal } = options;
  let answeredAfterMs: number | undefined;
  let nextWhy = begun + WHY_MS;
  while (!signal.aborted) {
    const status = await withNode({ node }, (client) => client.status()).catch((): undefined => undefined);
    const now = performance.now();
    if (status && answeredAfterMs === undefined) {
      answeredAfterMs = now - begun;
      agent.markReady(); // it runs; whether all objects are in force is not its fault
      print(stepLine('agent', answeredAfterMs));
    }
    if (status?.ready) {
      print(stepLine('pods and policies', now - begun - (answeredAfterMs ?? 0)));
      print(`Node "${node}" is ready`);
      options.onReady?.();
      return;
    }
    if (now > nextWhy) {
      print(`Node "${node}" is not ready: ${status ? whyNot(status) : 'its agent does not answer yet'}`);
      nextWhy = now + WHY_MS;
    }
    await sleep(POLL_MS, undefined, { signal }).catch(() => {});
  }
}

/** Until `signal`. An agent that does not answer is being started again, which the supervisor says. */
async function reportRefusals({ node, print, signal }: UpOptions): Promise<void> {
  const report = createRefusalReporter();
  while (!signal.aborted) {
    const status = await withNode({ node }, (client) => client.status()).catch((): undefined => undefined);
    if (status) for (const line of report(status.objects ?? [])) print(line);
    await sleep(REFUSALS_MS, undefined, { signal }).catch(() => {});
  }
}

function whyNot(status: NodeStatus): string {
  const refused = status.objects.find(({ accepted }) => !accepted)?.problems.find(({ warning }) => !warning);
  if (refused) return `${refused.file}:${refused.line}: ${refused.field}: ${refused.reason}`;
  return status.message || 'see "weir status"';
}

async function takeDown(layout: NodeLayout, print: (line: string) => void): Promise<void> {
  const begun = performance.now();
  await askToEnd(layout.cgroup, END_GRACE_MS);
  await tearDown(layout);
  print(`Node "${layout.node}" is down (${Math.round(performance.now() - begun)} ms)`);
}
