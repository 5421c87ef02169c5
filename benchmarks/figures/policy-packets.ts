// What a packet costs with few policy entries in force and with 64,000, all of them about the pod that it goes to. Two
// nodes, one in each state, take turns of a tenth of a second; then they change places, for no two nodes are alike.

import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import type { Bench } from '../bench.ts';
import { createNodeKernel, type NodeKernel, type PacketKind } from '../load/node-kernel.ts';
import {
  measureInTurns,
  PACKET_PORT,
  PACKET_SERVER,
  type PacketLoad,
  type Rates,
  startSender,
} from '../load/pinned.ts';
import type { WeirNode } from '../peers/weir.ts';
import { manyEntries, openPorts } from '../peers/weir-policy.ts';
import { type FigureResult, ratioGoal, type Series } from '../result.ts';
import { inNetns } from '../shell.ts';

type State = 'few' | 'many';

/** 80 prefixes times 800 ports. */
const MANY = { prefixes: 80, ports: 800 } as const;
const MANY_ENTRIES = MANY.prefixes * MANY.ports;
const SWITCH_TIMEOUT_MS = 30_000;
const STEADY_MS = 500;
/** Turns of each node for a second that a measurement shall take. */
const TURNS_EACH = 7;
/** What the cost may grow by. */
const AT_LEAST = 0.99;

/** Three figures: round trips, packets, and the kernel program alone. */
export async function measurePolicyPackets(
  bench: Bench,
  nodes: readonly [WeirNode, WeirNode],
): Promise<FigureResult[]> {
  using sites = new DisposableStack();
  const open = async (node: WeirNode): Promise<Site> => {
    const site = await openSite(bench, node);
    sites.defer(site.close);
    return site;
  };
  return results(await measureRounds(bench, [await open(nodes[0]), await open(nodes[1])]));
}

const MANY_FILE = 'policy-many.yaml';
const OPEN_FILE = 'policy-packets.yaml';

/** A node whose pod serves. */
interface Site {
  readonly node: WeirNode;
  readonly kernel: NodeKernel;
  /** Entries of the few. */
  readonly base: number;
  /** Process id of the server. */
  readonly server: number;
  enter(state: State): void;
  close(): void;
}

async function openSite(bench: Bench, node: WeirNode): Promise<Site> {
  const draft = join(bench.directory(`policy-packets-${node.layout.node}`), 'policy.yaml');
  const put = (name: string, object: object): void => {
    writeFileSync(draft, stringify(object)); // beside the folder: a half-written file must not be in it
    renameSync(draft, join(node.directory, name));
  };
  put(OPEN_FILE, openPorts('server-tcp', PACKET_PORT));
  const server = await bench.serve(inNetns(node.serverTcpNetns, PACKET_SERVER.command), PACKET_SERVER.ready);
  const kernel = createNodeKernel(node);
  const many = manyEntries('server-tcp', MANY);
  await steady(kernel, bench.signal);
  const few = (): void => rmSync(join(node.directory, MANY_FILE), { force: true });
  return {
    node,
    kernel,
    base: kernel.entries(),
    server: server.pid,
    enter: (state) => (state === 'few' ? few() : put(MANY_FILE, many)),
    close() {
      few();
      rmSync(join(node.directory, OPEN_FILE), { force: true });
      kernel[Symbol.dispose]();
    },
  };
}

interface Values {
  readonly roundTrips: number[];
  readonly packets: number[];
  readonly established: number[];
  readonly asked: number[];
}
type Measured = Record<State, Values> & {
  readonly switchMs: number[];
  readonly entries: Record<State, number>;
  readonly repeat: number;
};

async function measureRounds(bench: Bench, sites: readonly [Site, Site]): Promise<Measured> {
  const empty = (): Values => ({ roundTrips: [], packets: [], established: [], asked: [] });
  const entries = { few: 0, many: 0 };
  const found: Measured = { few: empty(), many: empty(), switchMs: [], entries, repeat: sites[0].kernel.repeat };
  const count = bench.options.rounds;
  for (let round = 0; round < count; round++) {
    const halves: Half[] = [];
    // Who had many at the end of one round has them as the next begins: half as many switches.
    for (const first of round % 2 === 0 ? [0, 1] : [1, 0]) {
      const [few, many] = first === 0 ? sites : ([sites[1], sites[0]] as const);
      found.switchMs.push(await switchTo(few, many, bench.signal));
      entries.few = few.kernel.entries();
      entries.many = many.kernel.entries();
      halves.push(await measureHalf(bench, [few, many]));
    }
    for (const [index, state] of (['few', 'many'] as const).entries()) {
      for (const name of MEASURED) {
        found[state][name].push(Math.sqrt(halves.reduce((product, half) => product * half[name][index as 0 | 1], 1)));
      }
    }
    const ratio = (name: PacketLoad): string =>
      ((found.many[name].at(-1) ?? 0) / (found.few[name].at(-1) ?? 0)).toFixed(3);
    bench.progress(
      `policy packets, round ${round + 1} of ${count}: with ${entries.many.toLocaleString('en')} entries ` +
        `${ratio('roundTrips')} of the round trips and ${ratio('packets')} of the packets with ${entries.few}`,
    );
  }
  return found;
}

const MEASURED = ['roundTrips', 'packets', 'established', 'asked'] as const;
/** With few, and with many. */
type Half = Readonly<Record<(typeof MEASURED)[number], Rates>>;

async function measureHalf(bench: Bench, sites: readonly [Site, Site]): Promise<Half> {
  const program = (kind: PacketKind): Rates => [
    sites[0].kernel.nanosecondsOf(kind),
    sites[1].kernel.nanosecondsOf(kind),
  ];
  const load = (name: PacketLoad): Promise<Rates> => measureLoad(bench, name, sites);
  return {
    established: program('established'),
    asked: program('asked'),
    roundTrips: await load('roundTrips'),
    packets: await load('packets'),
  };
}

async function measureLoad({ options, signal }: Bench, load: PacketLoad, sites: readonly [Site, Site]): Promise<Rates> {
  const start = ({ node, server }: Site) =>
    startSender(load, { netns: node.client, address: node.serverTcp, receiver: server, signal });
  await using few = await start(sites[0]);
  await using many = await start(sites[1]);
  return await measureInTurns([few, many], options.seconds * TURNS_EACH);
}

/** Resolves with the milliseconds that the agent of `many` took, once both kernels have what they shall and rest. */
async function switchTo(few: Site, many: Site, signal: AbortSignal): Promise<number> {
  few.enter('few');
  await arrived(few, few.base, signal);
  const begun = performance.now();
  many.enter('many');
  await arrived(many, many.base + MANY_ENTRIES, signal);
  const tookMs = performance.now() - begun;
  for (const { kernel } of [few, many]) await steady(kernel, signal);
  return tookMs;
}

async function arrived({ kernel }: Site, wanted: number, signal: AbortSignal): Promise<void> {
  for (const end = performance.now() + SWITCH_TIMEOUT_MS; kernel.entries() !== wanted; ) {
    if (performance.now() > end) {
      throw new Error(
        `Cannot measure ${wanted} entries: the map has ${kernel.entries()} after ${SWITCH_TIMEOUT_MS} ms`,
      );
    }
    await sleep(20, undefined, { signal });
  }
}

/** Resolves when nothing has been put in force for a while. */
async function steady(kernel: NodeKernel, signal: AbortSignal): Promise<void> {
  for (let revision = -1; revision !== kernel.revision(); ) {
    revision = kernel.revision();
    await sleep(STEADY_MS, undefined, { signal });
  }
}

function results({ few, many, ...found }: Measured): FigureResult[] {
  const names: Record<State, string> = {
    few: `weir, ${found.entries.few.toLocaleString('en')} entries`,
    many: `weir, ${found.entries.many.toLocaleString('en')} entries`,
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
      `Mean of ${found.repeat.toLocaleString('en')} runs of the attached program (BPF_PROG_TEST_RUN) on each node and round.`,
    ]),
    perPacket('asked', 'Program to_pod, packet that policy is asked for', [
      'From an address in one of the prefixes, to a port that is not open: the longest look-up, which a connection pays once.',
      `64,000 entries from the file to the kernel: ${found.switchMs.map((ms) => `${Math.round(ms)} ms`).join(', ')}.`,
    ]),
  ];
}
