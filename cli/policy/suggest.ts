// `weir policy suggest`: the least policy under which what was observed still works.

import type { Command } from 'commander';
import type { Direction } from '#agent/explain/model.ts';
import type { Observed } from '#agent/explain/observed.ts';
import type { Suggestion } from '#agent/explain/suggest.ts';
import { type Flow, type FlowsRequest, toTimestamp } from '#observe/flow/model.ts';
import { type NodeOptions, withNode, withNodeOptions } from '../client.ts';
import { parseTime } from '../duration.ts';
import { CliError, EXIT } from '../exit.ts';
import { checkFormat } from '../formats.ts';
import { write } from '../output.ts';
import { collect } from './offline.ts';
import { readInput } from './validate.ts';

interface SuggestFlags extends NodeOptions {
  readonly namespace?: string;
  readonly pod: readonly string[];
  readonly since?: string;
  readonly file?: readonly string[];
  readonly direction: string;
  readonly http: boolean;
  readonly includeDenied: boolean;
  readonly output: string;
}

const HELP_TAIL = `
One CiliumNetworkPolicy for each workload that was seen, for what passed: peers by all of their labels, ports, and method
and path where requests were seen. A direction without any flow is closed. What did not happen while the node was watching
is not in it: read it before you apply it. A node keeps its last 4095 flows; a longer time is in a file of
"weir observe -f -o json".`;

const DIRECTIONS: Readonly<Record<string, readonly Direction[]>> = {
  both: ['ingress', 'egress'],
  ingress: ['ingress'],
  egress: ['egress'],
};

/** Adds `suggest` to `weir policy`. */
export function registerSuggest(policy: Command): void {
  withNodeOptions(policy.command('suggest'))
    .description('the least policy from observed flows, as YAML that "weir policy validate" accepts')
    .option('-n, --namespace <name>', 'only for pods of this namespace')
    .option('--pod <name>', 'only for this pod or workload; may be repeated', collect, [])
    .option('--since <time>', 'from flows since a time: 5m, or 2026-01-02T15:04:05Z')
    .option(
      '-f, --file <path>',
      'from files of "weir observe -o json" ("-": standard input) instead of a node',
      collect,
    )
    .option('--direction <direction>', Object.keys(DIRECTIONS).join(', '), 'both')
    .option('--no-http', 'ports only, whatever requests were seen')
    .option('--include-denied', 'allow what was refused, too', false)
    .option('-o, --output <format>', 'yaml or json', 'yaml')
    .addHelpText('after', HELP_TAIL)
    .action(async (flags: SuggestFlags) => {
      const format = checkFormat(flags.output, ['yaml', 'json']);
      const directions = DIRECTIONS[flags.direction];
      if (directions === undefined) {
        const known = Object.keys(DIRECTIONS).join(', ');
        throw new CliError(`Cannot suggest for direction "${flags.direction}": not one of ${known}`, EXIT.usage);
      }
      const [{ observedOf }, { suggest }] = await Promise.all([
        import('#agent/explain/observed.ts'),
        import('#agent/explain/suggest.ts'),
      ]);
      const observed = observedOf(await readFlows(flags), flags);
      const suggestion = suggest(observed, { namespace: flags.namespace ?? '', pods: flags.pod, directions });
      if (suggestion.policies.length === 0) {
        throw new CliError(`Cannot suggest a policy: of ${observed.flows} flows none is to or from such a pod`);
      }
      await write(
        format === 'json' ? `${JSON.stringify(suggestion, undefined, 2)}\n` : await render(suggestion, observed),
      );
    });
}

async function readFlows(flags: SuggestFlags): Promise<readonly Flow[]> {
  const since = flags.since === undefined ? undefined : sinceNs(flags.since);
  if (flags.file !== undefined) {
    const { timestampNs } = await import('#observe/flow/model.ts');
    const flows = (await readInput(flags.file)).flatMap(({ file, text }) => flowsOf(file, text));
    return since === undefined ? flows : flows.filter((flow) => timestampNs(flow.time) >= since);
  }
  const request: FlowsRequest = { since: since === undefined ? { seconds: 0 } : toTimestamp(since) };
  return withNode(flags, async (node) => {
    const flows: Flow[] = [];
    for await (const { flow } of node.flows(request)) if (flow) flows.push(flow);
    return flows;
  });
}

function sinceNs(text: string): bigint {
  const time = parseTime(text, Date.now());
  if (!time.ok) throw new CliError(time.error, EXIT.usage);
  return BigInt(Math.round(time.value)) * 1_000_000n;
}

/** Flows as `weir observe -o json` writes them, a line each. */
export function flowsOf(file: string, text: string): Flow[] {
  return text.split('\n').flatMap((line, index) => {
    if (line.trim() === '') return [];
    try {
      const { flow } = JSON.parse(line) as { flow?: Record<string, unknown> };
      return flow === undefined ? [] : [fromJson(flow)];
    } catch (cause) {
      const reason = (cause as Error).message;
      throw new CliError(`Cannot read flow "${file}:${index + 1}": ${reason}`, EXIT.usage);
    }
  });
}

// The JSON form has times as texts and wrapped values bare.
function fromJson(flow: Readonly<Record<string, unknown>>): Flow {
  const ms = Date.parse(String(flow.time));
  if (Number.isNaN(ms)) throw new Error('it has no time');
  const isReply = typeof flow.is_reply === 'boolean' ? { is_reply: { value: flow.is_reply } } : {};
  return { ...flow, ...isReply, time: toTimestamp(BigInt(ms) * 1_000_000n) } as unknown as Flow;
}

async function render({ policies, notes }: Suggestion, observed: Observed): Promise<string> {
  const { stringify } = await import('yaml');
  const time = (ns: bigint | undefined): string => new Date(Number((ns ?? 0n) / 1_000_000n)).toISOString();
  const head = [
    `From ${observed.flows} flows, ${time(observed.beganNs)} to ${time(observed.endedNs)}.`,
    'What did not happen in this time is refused: read before you apply.',
    ...notes,
  ];
  const comment = head.map((line) => `# ${line}\n`).join('');
  return `${comment}${policies.map((policy) => stringify(policy, { lineWidth: 0 })).join('---\n')}`;
}
