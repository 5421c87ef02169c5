// Runs the simulated agent in a process of its own, and brings back what it saw.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { NODE_FLAGS } from '../../cli/supervisor/agent.ts';
import type { Bench } from '../bench.ts';
import type { FigureName } from '../options.ts';
import { type Command, output } from '../shell.ts';
import type { Job, Outcome } from './main.ts';
import { policyFiles } from './policies.ts';
import type { ClusterName } from './world.ts';

const MAIN = join(import.meta.dirname, 'main.ts');
const TIMEOUT_MS = 300_000;
// The bpffs is mounted where nobody else sees it, and with everything that is pinned in it ends when the shell does.
const SCRIPT =
  'mount -t bpf weir "$0"; program=$1; shift; for job; do setpriv --pdeathsig KILL $program "$job" "$0"; done';

export interface SimulationOptions {
  readonly figure: FigureName;
  readonly cluster: ClusterName;
  /** Of each kind, after the last start. */
  readonly changes: number;
  /** How often the agent is started: after the first time, with the maps and numbers of the one before. */
  readonly starts: number;
}

/** One outcome for each start. */
export async function simulate(bench: Bench, options: SimulationOptions): Promise<readonly Outcome[]> {
  const { figure, cluster, changes, starts } = options;
  const directory = bench.directory(`${figure}-${runs++}`);
  const objects = join(directory, 'objects');
  const bpffs = join(directory, 'bpf');
  for (const path of [objects, bpffs]) mkdirSync(path);
  for (const { name, text } of policyFiles(0)) writeFileSync(join(objects, name), text);
  const { profileDir } = bench.options;
  const jobs = Array.from({ length: starts }, (_, start): Job => {
    const isLast = start === starts - 1;
    const profile = profileDir === undefined ? undefined : join(profileDir, `${figure}-${start}.cpuprofile`);
    return {
      cluster,
      directory,
      outcome: join(directory, `outcome-${start}.json`),
      changes: isLast ? changes : 0,
      ...(profile === undefined ? {} : { profile }),
    };
  });
  const program = [process.execPath, ...NODE_FLAGS, MAIN].join(' ');
  const shell: Command = ['sh', '-ec', SCRIPT, bpffs, program, ...jobs.map((job) => JSON.stringify(job))];
  const alone: Command = ['unshare', '--mount', '--propagation', 'private', ...shell];
  // As the agent is started; it dies with this process.
  const command: Command = ['setpriv', '--pdeathsig', 'KILL', 'env', 'MALLOC_ARENA_MAX=1', ...alone];
  await output(command, { signal: bench.signal, timeoutMs: TIMEOUT_MS });
  return jobs.map((job) => JSON.parse(readFileSync(job.outcome, 'utf8')) as Outcome);
}

let runs = 0;
