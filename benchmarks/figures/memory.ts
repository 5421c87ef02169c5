// Memory of the agent and one worker that have nothing to do.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { cgroupProcesses } from '#agent/node/cgroup.ts';
import type { Bench } from '../bench.ts';
import type { WeirNode } from '../peers/weir.ts';
import { type FigureResult, limitGoal } from '../result.ts';

const REST_MS = 5_000;

/** A node that has just started; measured after five quiet seconds. */
export async function measureMemory(bench: Bench, node: WeirNode): Promise<FigureResult> {
  bench.progress('waiting for memory at rest');
  await sleep(REST_MS, undefined, { signal: bench.signal });
  const agent = find(node, /agent\/main\.ts/);
  const worker = find(node, /proxy\/main\.ts/);
  const goal = limitGoal({
    text: 'agent + one worker at rest, resident',
    target: 250,
    value: agent.rssMib + worker.rssMib,
    unit: 'MiB',
    values: [],
  });
  return {
    name: 'memory',
    title: 'Memory at rest, resident',
    unit: 'MiB',
    series: [
      { name: 'agent', values: [agent.rssMib] },
      { name: 'worker', values: [worker.rssMib] },
    ],
    goals: [goal],
    notes: [
      `Their proportional share (PSS), which counts pages of the common Node binary once: ${(agent.pssMib + worker.pssMib).toFixed(1)} MiB.`,
    ],
  };
}

function find(node: WeirNode, program: RegExp): { readonly rssMib: number; readonly pssMib: number } {
  const all = cgroupProcesses(join(node.layout.cgroup, 'node'));
  const found = all.filter((pid) => program.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8')));
  const [pid] = found;
  if (pid === undefined || found.length > 1) {
    throw new Error(`Cannot measure memory: ${found.length} processes of ${node.layout.cgroup} match ${program}`);
  }
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const mib = (name: string) => Number(new RegExp(`^${name}: +(\\d+) kB`, 'm').exec(rollup)?.[1]) / 1024;
  return { rssMib: mib('Rss'), pssMib: mib('Pss') };
}
