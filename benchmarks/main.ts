// Entry of `weir dev bench`: reads the options, measures the chosen figures, prints and writes what was found.

import { join } from 'node:path';
import { type Bench, withBench } from './bench.ts';
import { measureConnections, measureL7 } from './figures/http.ts';
import { measureMemory } from './figures/memory.ts';
import { measurePolicy } from './figures/policy.ts';
import { measurePolicyChange, measurePolicyCluster, measurePolicyStart } from './figures/policy-agent.ts';
import { measurePolicyPackets } from './figures/policy-packets.ts';
import { measurePolicyRequests } from './figures/policy-requests.ts';
import { measureSpans } from './figures/spans.ts';
import { measureTcp } from './figures/tcp.ts';
import { type BenchOptions, type FigureName, readBenchOptions, USAGE } from './options.ts';
import type { Peer } from './peers/peer.ts';
import { startWeir, type WeirNode } from './peers/weir.ts';
import { captionOf, createReport, writeReport } from './report/files.ts';
import { figureText, goalsText } from './report/table.ts';
import type { FigureResult } from './result.ts';

const RESULTS_DIR = join(import.meta.dirname, 'results');

/** `weir`: starts the node without spans; undefined if Weir is not among the peers: some figures are about nothing else. */
const MEASURE: Record<
  FigureName,
  (bench: Bench, weir: () => Promise<WeirNode | undefined>) => Promise<FigureResult[]>
> = {
  memory: async (bench, weir) => ifThere(await weir(), (node) => measureMemory(bench, node)),
  l7: async (bench, weir) => [await measureL7(bench, withPeer(bench, await weir()))],
  connections: async (bench, weir) => [await measureConnections(bench, withPeer(bench, await weir()))],
  tcp: async (bench, weir) => measureTcp(bench, direct(bench, await weir())),
  spans: async (bench, weir) => ifThere(await weir(), (node) => measureSpans(bench, node)),
  policy: async (bench, weir) => ifThere(await weir(), (node) => measurePolicy(bench, node)),
  'policy-change': async (bench) => [await measurePolicyChange(bench)],
  'policy-cluster': async (bench) => [await measurePolicyCluster(bench)],
  'policy-start': async (bench) => [await measurePolicyStart(bench)],
  'policy-packets': async (bench, weir) => {
    const node = await weir();
    return node
      ? measurePolicyPackets(bench, [node, await startWeir(bench, { name: 'second', zipkinUrl: undefined })])
      : [];
  },
  'policy-requests': async (bench, weir) => [await measurePolicyRequests(bench, direct(bench, await weir()))],
};

async function ifThere(
  node: WeirNode | undefined,
  measure: (node: WeirNode) => Promise<FigureResult>,
): Promise<FigureResult[]> {
  return node ? [await measure(node)] : [];
}

function withPeer({ peers }: Bench, node: WeirNode | undefined): readonly Peer[] {
  return node ? [...peers, node.peer] : peers;
}

/** No mesh, and Weir without a proxy in the way. */
function direct({ peers }: Bench, node: WeirNode | undefined): readonly Peer[] {
  const plain = peers.filter(({ name }) => name === 'no mesh');
  return node ? [...plain, { ...node.peer, address: node.serverTcp }] : plain;
}

/** Runs the benchmarks. 0: they ran to the end, whatever they found; 1: they could not; 2: wrong use. */
export async function runBench(argv: readonly string[], signal: AbortSignal): Promise<number> {
  const options = readBenchOptions(argv, RESULTS_DIR);
  if (!options.ok) {
    console.error(options.error);
    return 2;
  }
  if (options.value === 'help') {
    console.log(USAGE);
    return 0;
  }
  try {
    await run(options.value, signal);
    return 0;
  } catch (error) {
    console.error(signal.aborted ? 'Interrupted.' : (error as Error).message);
    return 1;
  }
}

async function run(options: BenchOptions, signal: AbortSignal): Promise<void> {
  const begun = Date.now();
  const progress = (text: string): void => {
    console.error(`[${((Date.now() - begun) / 1_000).toFixed(0).padStart(4)} s] ${text}`);
  };
  const results: FigureResult[] = [];
  const versions: Record<string, string> = {};
  await withBench(options, { signal, progress }, async (bench) => {
    for (const { name, version } of bench.peers) if (version) versions[name] = version;
    let node: Promise<WeirNode> | undefined;
    const weir = async (): Promise<WeirNode | undefined> => {
      if (!options.peers.includes('weir')) return undefined;
      node ??= startWeir(bench, { name: 'plain', zipkinUrl: undefined });
      return node;
    };
    for (const figure of options.figures) {
      for (const result of await MEASURE[figure](bench, weir)) {
        results.push(result);
        console.log(`\n${figureText(result)}\n`);
      }
    }
  });
  const report = createReport(options, versions, results);
  console.log(`${captionOf(report)}\n`);
  console.log(goalsText(results.flatMap(({ goals }) => goals)));
  if (options.outDir !== undefined) console.log(`\n${writeReport(report, options.outDir).join('\n')}`);
}

if (import.meta.main) {
  const interrupted = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interrupted.abort());
  process.exitCode = await runBench(process.argv.slice(2), interrupted.signal);
}
