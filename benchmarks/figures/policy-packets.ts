// What a packet costs with few policy entries in force and with 64,000, all of them about the pod that it goes to. The same
// node and pods in both: the policy that makes the entries is a file that comes and goes.

import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import type { Bench } from '../bench.ts';
import { createNodeKernel, type NodeKernel, type PacketKind } from '../load/node-kernel.ts';
import { PACKET_PORT, packets, pingPongPinned, serverCommands } from '../load/pinned.ts';
import type { WeirNode } from '../peers/weir.ts';
import { manyEntries, openPorts } from '../peers/weir-policy.ts';
import { type FigureResult, ratioGoal, type Series } from '../result.ts';
import { inNetns } from '../shell.ts';

const STATES = ['few', 'many'] as const;
type State = (typeof STATES)[number];

/** 800 prefixes times 80 ports. */
const MANY = { prefixes: 80, ports: 800 } as const;
const MANY_ENTRIES = MANY.prefixes * MANY.ports;
const SWITCH_TIMEOUT_MS = 30_000;
const STEADY_MS = 500;
/**
 * A value is the best of so many tries of a second each: whatever else the machine does only takes away from one. More
 * rounds would take more than a minute.
 */
const TRIES = 2;
const MAX_ROUNDS = 5;
/** What the cost may grow by. */
const AT_LEAST = 0.99;

/** Three figures: round trips, packets, and the kernel program alone. */
export async function measurePolicyPackets(bench: Bench, node: WeirNode): Promise<FigureResult[]> {
  const draft = join(bench.directory('policy-packets'), 'policy.yaml');
  const put = (name: string, object: object): void => {
    writeFileSync(draft, stringify(object)); // beside the folder: a half-written file must not be in it
    renameSync(draft, join(node.directory, name));
  };
  put(OPEN_FILE, openPorts('server-tcp', PACKET_PORT));
  for (const { command, ready } of serverCommands()) await bench.serve(inNetns(node.serverTcpNetns, command), ready);
  using kernel = createNodeKernel(node);
  const many = manyEntries('server-tcp', MANY);
  const enter: Record<State, () => void> = {
    few: () => rmSync(join(node.directory, MANY_FILE), { force: true }),
    many: () => put(MANY_FILE, many),
  };
  try {
    return results(await rounds(bench, { node, kernel, enter }), kernel);
  } finally {
    enter.few();
    rmSync(join(node.directory, OPEN_FILE), { force: true });
  }
}

const MANY_FILE = 'policy-many.yaml';
const OPEN_FILE = 'policy-packets.yaml';

interface Values {
  readonly roundTrips: number[];
  readonly packets: number[];
  readonly established: number[];
  readonly asked: number[];
  readonly switchMs: number[];
  readonly entries: number[];
}

async function rounds(
  bench: Bench,
  what: {
    readonly node: WeirNode;
    readonly kernel: NodeKernel;
    readonly enter: Readonly<Record<State, () => void>>;
  },
): Promise<Record<State, Values>> {
  const { node, kernel, enter } = what;
  const { signal, options } = bench;
  const empty = (): Values => ({ roundTrips: [], packets: [], established: [], asked: [], switchMs: [], entries: [] });
  await steady(kernel, signal);
  const base = kernel.entries();
  const found: Record<State, Values> = { few: empty(), many: empty() };
  const load = { netns: node.client, address: node.serverTcp, seconds: 1, signal };
  const count = Math.min(options.rounds, MAX_ROUNDS);
  for (let round = 0; round < count; round++) {
    // The state that ended one round begins the next: half as many switches.
    for (const state of round % 2 === 0 ? STATES : STATES.toReversed()) {
      const values = found[state];
      values.switchMs.push(await switchTo(state, { kernel, enter, base, signal }));
      values.entries.push(kernel.entries());
      for (const kind of ['established', 'asked'] as const) values[kind].push(kernel.nanosecondsOf(kind));
      values.roundTrips.push(await best(() => pingPongPinned(load)));
      values.packets.push(await best(() => packets(load)));
      const [trips, rate] = [values.roundTrips.at(-1) ?? 0, values.packets.at(-1) ?? 0];
      bench.progress(
        `policy packets, round ${round + 1} of ${count}: ${values.entries.at(-1)?.toLocaleString('en')} entries, ` +
          `${Math.round(trips).toLocaleString('en')} round trips/s, ${Math.round(rate).toLocaleString('en')} packets/s`,
      );
    }
  }
  return found;
}

async function best(measure: () => Promise<number>): Promise<number> {
  let most = 0;
  for (let attempt = 0; attempt < TRIES; attempt++) most = Math.max(most, await measure());
  return most;
}

interface Switch {
  readonly kernel: NodeKernel;
  readonly enter: Readonly<Record<State, () => void>>;
  /** Entries of the few. */
  readonly base: number;
  readonly signal: AbortSignal;
}

/** Resolves with the milliseconds that the agent took, once the kernel's map has what the state says and rests. */
async function switchTo(state: State, { kernel, enter, base, signal }: Switch): Promise<number> {
  const begun = performance.now();
  const wanted = base + (state === 'many' ? MANY_ENTRIES : 0);
  enter[state]();
  while (kernel.entries() !== wanted) {
    if (performance.now() - begun > SWITCH_TIMEOUT_MS) {
      throw new Error(`Cannot measure ${state} entries: the map has ${kernel.entries()} after ${SWITCH_TIMEOUT_MS} ms`);
    }
    await sleep(20, undefined, { signal });
  }
  const tookMs = performance.now() - begun;
  await steady(kernel, signal);
  return tookMs;
}

/** Resolves when nothing has been put in force for a while. */
async function steady(kernel: NodeKernel, signal: AbortSignal): Promise<void> {
  for (let revision = -1; revision !== kernel.revision(); ) {
    revision = kernel.revision();
    await sleep(STEADY_MS, undefined, { signal });
  }
}

function results({ few, many }: Record<State, Values>, kernel: NodeKernel): FigureResult[] {
  const names: Record<State, string> = {
    few: `weir, ${few.entries[0]?.toLocaleString('en')} entries`,
    many: `weir, ${many.entries[0]?.toLocaleString('en')} entries`,
  };
  const seriesOf = (pick: (values: Values) => readonly number[]): Series[] => [
    { name: names.few, values: pick(few) },
    { name: names.many, values: pick(many) },
  ];
  const rate = (title: string, unit: string, series: Series[]): FigureResult => {
    const goal = ratioGoal(series, {
      text: `${title}, 64,000 entries ÷ few`,
      of: names.many,
      to: [names.few],
      atLeast: AT_LEAST,
    });
    return { name: 'policy-packets', title, unit, series, goals: goal ? [goal] : [], notes: [] };
  };
  const perPacket = (kind: PacketKind, title: string, notes: readonly string[]): FigureResult => {
    const series = seriesOf((values) => values[kind]);
    return { name: 'policy-packets', title, unit: 'ns/packet', series, goals: [], notes };
  };
  return [
    rate(
      'TCP request/response',
      'round trips/s',
      seriesOf((values) => values.roundTrips),
    ),
    rate(
      'UDP packets of 64 bytes',
      'packets/s',
      seriesOf((values) => values.packets),
    ),
    perPacket('established', 'Program to_pod, packet of a connection', [
      `Mean of ${kernel.repeat.toLocaleString('en')} runs of the attached program (BPF_PROG_TEST_RUN) each round.`,
    ]),
    perPacket('asked', 'Program to_pod, packet that policy is asked for', [
      'From an address in one of the prefixes, to a port that is not open: the longest look-up, which a connection pays once.',
      `64,000 entries from the file to the kernel: ${many.switchMs.map((ms) => `${Math.round(ms)} ms`).join(', ')}.`,
    ]),
  ];
}
