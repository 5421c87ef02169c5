// `weir observe`

import type { Command } from 'commander';
import type { FlowsRequest, Timestamp } from '#observe/flow/model.ts';
import { toTimestamp } from '#observe/flow/model.ts';
import { type FlowOutput, printResponse } from '#observe/flow/print.ts';
import { type NodeClient, type NodeOptions, withNode, withNodeOptions } from '../client.ts';
import { parseTime } from '../duration.ts';
import { CliError, EXIT } from '../exit.ts';
import { checkFormat } from '../formats.ts';
import { createFilterBuilder, FILTER_FLAGS } from '../observe/filters.ts';
import { untilInterrupted, write } from '../output.ts';

const FORMATS = ['compact', 'dict', 'json'] as const;
/** Flows shown when nothing says how many. */
const DEFAULT_LAST = 20;

interface ObserveOptions extends NodeOptions {
  readonly follow: boolean;
  readonly last?: string;
  readonly first?: string;
  readonly all: boolean;
  readonly since?: string;
  readonly until?: string;
  readonly output: string;
  readonly printPolicyNames: boolean;
  readonly printNodeName: boolean;
  readonly numeric: boolean;
}

/** Adds `observe` to the CLI. */
export function registerObserve(program: Command): void {
  const command = withNodeOptions(program.command('observe'))
    .description('flows that the node saw: policy verdicts, drops, where packets went, requests and responses')
    .option('-f, --follow', 'go on as flows come', false)
    .option('--last <number>', `the last flows (default: ${DEFAULT_LAST}, unless a time or --follow is given)`)
    .option('--first <number>', 'the first flows that are kept')
    .option('--all', 'all flows that are kept', false)
    .option('--since <time>', 'from a time on: 5m, or 2026-01-02T15:04:05Z')
    .option('--until <time>', 'up to a time')
    .option('-o, --output <format>', FORMATS.join(', '), 'compact')
    .option('--print-policy-names', 'name the policies behind each verdict', false)
    .option('--print-node-name', 'name the node that saw the flow', false)
    .option('--numeric', 'addresses instead of names', false)
    .option('--not', 'the next filter excludes');
  const filters = createFilterBuilder();
  for (const { flags, about } of FILTER_FLAGS) {
    command.option(flags, about);
    const name = /--([a-z-]+)/.exec(flags)?.[1] ?? '';
    command.on(`option:${name}`, (value: string) => orThrow(filters.add(name, value)));
  }
  command.on('option:not', () => orThrow(filters.negate()));
  command
    .addHelpText('after', '\nFilters: all flags must hold; of one flag given several times, any.')
    .action(async (options: ObserveOptions) => {
      const output = checkFormat(options.output, FORMATS);
      const request = { ...readRange(options), ...orThrow(filters.build()) };
      const status = await withNode(options, (node) => print(node, request, { ...options, output })).catch((error) => {
        throw error instanceof CliError ? new CliError(filters.inFlags(error.message), error.code) : error;
      });
      process.exitCode = status;
    });
}

function orThrow<T>(result: { ok: true; value: T } | { ok: false; error: string }): T {
  if (!result.ok) throw new CliError(result.error, EXIT.usage);
  return result.value;
}

/** Which part of the ring, from the flags. */
function readRange(options: ObserveOptions): FlowsRequest {
  const { follow, since, until } = options;
  if (options.first !== undefined && (options.last !== undefined || follow)) {
    throw new CliError('Cannot use --first together with --last or --follow', EXIT.usage);
  }
  if (options.all && (options.last !== undefined || options.first !== undefined)) {
    throw new CliError('Cannot use --all together with --last or --first', EXIT.usage);
  }
  const open = follow || options.all || since !== undefined || until !== undefined;
  const number = count(options.first ?? options.last) ?? (open ? 0 : DEFAULT_LAST);
  return {
    number,
    ...(options.first === undefined ? {} : { first: true }),
    ...(follow ? { follow } : {}),
    // Without a beginning a stream shows only what is to come; --all asks for what is kept as well.
    ...(since !== undefined ? { since: time(since) } : follow && options.all ? { since: { seconds: 0 } } : {}),
    ...(until !== undefined ? { until: time(until) } : {}),
  };
}

function count(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new CliError(`Cannot show "${text}" flows: not a number above 0`, EXIT.usage);
  return Number(text);
}

function time(text: string): Timestamp {
  return toTimestamp(BigInt(Math.round(orThrow(parseTime(text, Date.now())))) * 1_000_000n);
}

/** Prints flows until the stream ends or the user ends it. */
async function print(
  node: NodeClient,
  request: FlowsRequest,
  options: ObserveOptions & { readonly output: FlowOutput },
): Promise<number> {
  const stream = node.flows(request);
  const signal = untilInterrupted();
  signal.addEventListener('abort', () => stream.cancel());
  const layout = {
    output: options.output,
    policyNames: options.printPolicyNames,
    nodeName: options.printNodeName,
    numeric: options.numeric,
  };
  try {
    for await (const response of stream) {
      const text = printResponse(response, layout);
      if (text !== undefined) await write(text);
    }
  } catch (error) {
    if (signal.aborted) return EXIT.ok;
    throw error;
  }
  if (request.follow && !request.until && !signal.aborted) {
    throw new CliError(
      `Cannot follow the flows of node "${options.node}" any longer: its agent ended`,
      EXIT.notRunning,
    );
  }
  return EXIT.ok;
}
