// `weir up`

import { resolve } from 'node:path';
import type { Command } from 'commander';
import { parseNodeName } from '#agent/node/names.ts';
import { CliError, EXIT } from '../exit.ts';
import { untilInterrupted } from '../output.ts';

/** Options that the agent reads; it also takes them from the environment. */
const AGENT_FLAGS: Readonly<Record<string, string>> = {
  workers: 'proxy workers; 0: one per core (environment: WEIR_WORKERS)',
  'zipkin-url': 'where spans go as Zipkin v2 JSON (WEIR_ZIPKIN_URL)',
  'otlp-grpc-url': 'where spans go as OTLP over gRPC (WEIR_OTLP_GRPC_URL)',
  'otlp-http-url': 'where spans go as OTLP over HTTP (WEIR_OTLP_HTTP_URL)',
  sampling: 'share of requests without a sampled parent that become spans, 0 to 1 (WEIR_SAMPLING)',
  'attach-mode': 'how kernel programs are attached: tcx, clsact or auto (WEIR_ATTACH_MODE)',
  'policy-enforcement': 'where policy is asked: default, always or never (WEIR_POLICY_ENFORCEMENT)',
  'policy-audit': 'true: what policy denies at L3 and L4 passes and is reported (WEIR_POLICY_AUDIT)',
  'node-peers': 'true: policies may select nodes as peers by their labels (WEIR_NODE_PEERS)',
  'names-file': 'YAML file of names and their addresses, for policies with toFQDNs (WEIR_NAMES_FILE)',
  labels: 'prefixes of label keys that make identities, "!prefix" for those that do not (WEIR_LABELS)',
  'log-level': 'trace, debug, info, warn or error (WEIR_LOG_LEVEL)',
};
const DETACH_TIMEOUT_MS = 60_000;

interface UpFlags extends Readonly<Record<string, string | boolean | undefined>> {
  readonly node: string;
  readonly detach?: true;
}

/** Adds `up` to the CLI. */
export function registerUp(program: Command): void {
  const command = program
    .command('up')
    .description('run a node from a folder of YAML, until Ctrl-C or "weir down"; adopts a node that is there already')
    .argument('<dir>', 'folder of Kubernetes YAML')
    .option('--node <name>', 'name of the node (environment: WEIR_NODE)', process.env.WEIR_NODE || 'node0')
    .option('-d, --detach', 'return when the node is ready, and let it run');
  for (const [name, about] of Object.entries(AGENT_FLAGS)) command.option(`--${name} <value>`, about);
  command.action(async (dir: string, flags: UpFlags) => {
    const node = parseNodeName(flags.node);
    if (!node.ok) throw new CliError(node.error, EXIT.usage);
    const agentArgs = Object.keys(AGENT_FLAGS).flatMap((name) => {
      const value = flags[camelCase(name)];
      return value === undefined ? [] : [`--${name}=${value}`];
    });
    await checkAgentOptions(agentArgs);
    await up({ node: node.value, dir: resolve(dir), agentArgs, detach: flags.detach ?? false });
  });
}

/** What the agent would refuse later, when the node has been made for it. */
async function checkAgentOptions(agentArgs: readonly string[]): Promise<void> {
  const [{ AGENT_OPTIONS }, { readOptions }] = await Promise.all([
    import('#agent/options.ts'),
    import('#common/options.ts'),
  ]);
  const read = readOptions(AGENT_OPTIONS, agentArgs, process.env);
  if (!read.ok) throw new CliError(read.error.join('\n'), EXIT.usage);
}

async function up(options: {
  readonly node: string;
  readonly dir: string;
  readonly agentArgs: readonly string[];
  readonly detach: boolean;
}): Promise<void> {
  const { node, dir, agentArgs, detach } = options;
  const [{ checkFolder, layoutOf, runUp }, { runDetached, tell }] = await Promise.all([
    import('../supervisor/up.ts'),
    import('../supervisor/detach.ts'),
  ]);
  checkFolder(options);
  const signal = untilInterrupted();
  // The terminal, or who started this, is gone: as after Ctrl-C. More than one may say so, and once is enough.
  let isAlone = false;
  process.on('SIGHUP', () => {
    if (!isAlone) process.kill(process.pid, 'SIGTERM');
    isAlone = true;
  });
  if (detach) {
    const args = ['--node', node, ...agentArgs, dir];
    await runDetached({ layout: layoutOf(node), args, print: console.log, signal, timeoutMs: DETACH_TIMEOUT_MS });
    return;
  }
  // A reader of the output that goes away must not leave the node without supervisor.
  process.stdout.removeAllListeners('error').on('error', () => {});
  const print = (text: string): void => tell({ kind: 'line', text });
  try {
    await runUp({ node, dir, agentArgs, print, signal, onReady: () => tell({ kind: 'ready' }) });
  } catch (error) {
    if (process.connected) tell({ kind: 'line', text: (error as Error).message });
    throw error;
  } finally {
    if (process.connected) process.disconnect?.();
  }
}

function camelCase(name: string): string {
  return name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}
