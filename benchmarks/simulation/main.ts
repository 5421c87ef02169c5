// A process of its own, with the agent's flags and nothing in it but the agent's parts: starts them on a simulated cluster,
// makes changes if it is asked to, and writes what it saw to a file. Arguments: a Job as JSON, the path of a bpffs.

import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { watchDirectory } from '#agent/sources/directory.ts';
import { ctEntry } from '#bpf/abi.ts';
import { addOffset, address } from '#common/ip.ts';
import { type SimulatedAgent, socketIn, startAgent } from './agent.ts';
import { measureChanges, type Samples } from './changes.ts';
import { CLUSTERS, type ClusterName, createWorkloads, fillWorld } from './world.ts';

export interface Job {
  readonly cluster: ClusterName;
  /** Gets state file and socket, and holds the folder "objects". */
  readonly directory: string;
  /** File for the Outcome. */
  readonly outcome: string;
  /** Of each kind; 0: only the start. */
  readonly changes: number;
  /** File for a CPU profile of the start; of the changes with ".changes" added. Absent: none. */
  readonly profile?: string;
}

export interface Outcome {
  /** From the start of the process until everything is in the kernel maps. */
  readonly startSeconds: number;
  /** The same, part by part. */
  readonly phases: Readonly<Record<string, number>>;
  /** Resident, in MiB: after the start, in the end, and at most. */
  readonly memory: { readonly started: number; readonly ended: number; readonly peak: number };
  /** Rows of tables and entries of kernel maps in the end. */
  readonly sizes: Readonly<Record<string, number>>;
  readonly samples: Samples | undefined;
}

const WORKER = join(import.meta.dirname, 'worker.ts');
/** Kept connections, which the end of a pod has to look through. */
const CONNECTIONS = 10_000;

async function run(job: Job, bpffs: string): Promise<Outcome> {
  const phases: Record<string, number> = {};
  let last = 0;
  const phase = (name: string): void => {
    const now = performance.now();
    phases[name] = (now - last) / 1_000;
    last = now;
  };
  phase('modules');
  const workloads = createWorkloads();
  const size = CLUSTERS[job.cluster];
  const agent = await startAgent(job.directory, bpffs);
  phase('programs');
  const startProfile = await profile(job.profile); // not before: its signals would interrupt the verifier
  const worker = spawn(process.execPath, [WORKER, socketIn(job.directory)], { stdio: ['ignore', 'ignore', 'inherit'] });
  try {
    const { inputs } = agent.tables;
    watchDirectory({ dir: join(job.directory, 'objects'), tables: agent.tables }).close();
    phase('policies read');
    fillWorld(inputs, workloads, size);
    phase('cluster read');
    for (const table of Object.values(inputs)) table.subscribe(() => agent.reconciler.poke());
    const { complete } = await agent.reconciler.settled();
    phase('computed and written');
    requireAll(agent, complete);
    await startProfile();
    const startSeconds = performance.now() / 1_000;
    const started = memoryMib('VmRSS');
    let samples: Samples | undefined;
    if (job.changes > 0) {
      await becomeBusy(agent, worker);
      const changesProfile = await profile(job.profile && `${job.profile}.changes`);
      samples = await measureChanges(agent, { workloads, size }, job.changes);
      await changesProfile();
    }
    const memory = { started, ended: memoryMib('VmRSS'), peak: memoryMib('VmHWM') };
    return { startSeconds, phases, memory, sizes: sizes(agent), samples };
  } finally {
    worker.kill();
    await agent.close();
  }
}

/** A worker is attached, and connections are open. */
async function becomeBusy(agent: SimulatedAgent, worker: ChildProcess): Promise<void> {
  for (const end = Date.now() + 10_000; agent.workers() === 0; await sleep(20)) {
    if (worker.exitCode !== null || Date.now() > end) throw new Error('Cannot measure: the worker did not attach');
  }
  fillConntrack(agent);
}

/** Begins a profile. Returns what ends it and writes it to `path`. */
async function profile(path: string | undefined): Promise<() => Promise<void>> {
  if (path === undefined) return async () => {};
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.start');
  return async () => {
    const { profile: found } = await session.post('Profiler.stop');
    writeFileSync(path, JSON.stringify(found));
    session.disconnect();
  };
}

/** Connections between addresses that no pod has. */
function fillConntrack({ datapath }: SimulatedAgent): void {
  const value = ctEntry.decode(new Uint8Array(ctEntry.size));
  for (let index = 0; index < CONNECTIONS; index++) {
    const ip = addOffset(address('192.0.2.0'), index);
    datapath.maps.conntrack.set({ ipA: ip, ipB: ip, portA: 80, portB: 80, protocol: 6 }, value);
  }
}

/** Everything that the policies and pods ask for is in force. */
function requireAll({ tables, compute, sync }: SimulatedAgent, complete: boolean): void {
  const refused = [...tables.objects.values()].filter(({ accepted }) => !accepted).flatMap(({ problems }) => problems);
  const problems = [
    ...refused.map(({ file, line, reason }) => `${file}:${line}: ${reason}`),
    ...compute.problems().map(({ reason }) => reason),
  ];
  if (!complete) problems.push(`not in force: ${JSON.stringify(sync.pending()).slice(0, 500)}`);
  if (problems.length > 0) throw new Error(`Cannot measure: ${problems.slice(0, 5).join('; ')}`);
}

function sizes({ tables, sync }: SimulatedAgent): Record<string, number> {
  const { inputs, desired } = tables;
  const rows = {
    policies: inputs.policies,
    'pods elsewhere': inputs.remotePods,
    identities: desired.identities,
    rulesets: desired.rulesets,
  };
  const maps = sync.maps().filter(({ name }) => name === 'policy' || name === 'identities');
  return {
    ...Object.fromEntries(Object.entries(rows).map(([name, table]) => [name, table.size])),
    ...Object.fromEntries(
      maps.map(({ name, entries }) => [name === 'policy' ? 'policy entries' : 'prefixes', entries]),
    ),
  };
}

function memoryMib(field: 'VmRSS' | 'VmHWM'): number {
  const text = readFileSync('/proc/self/status', 'utf8');
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]) / 1024;
}

const [text = '', bpffs = ''] = process.argv.slice(2);
const job = JSON.parse(text) as Job;
writeFileSync(job.outcome, JSON.stringify(await run(job, bpffs)));
process.exit(0);
