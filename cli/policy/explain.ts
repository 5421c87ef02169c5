// `weir policy explain`: may this flow pass, which rule decides, and what would have to change.

import type { Command } from 'commander';
import type { Explanation, HttpRequest, Question } from '#agent/explain/model.ts';
import type { PastFlow } from '#agent/explain/past.ts';
import type { Flow } from '#observe/flow/model.ts';
import { type NodeClient, withNode } from '../client.ts';
import { CliError, EXIT } from '../exit.ts';
import { checkFormat } from '../formats.ts';
import { write } from '../output.ts';
import { renderExplanation } from './explain-text.ts';
import { type AnswerOptions, collect, readWorld, withOfflineOptions } from './offline.ts';

interface ExplainOptions extends AnswerOptions {
  readonly from?: string;
  readonly to?: string;
  readonly port?: string;
  readonly request?: string;
  readonly host?: string;
  readonly header: readonly string[];
  readonly flow?: string;
  readonly expect?: string;
  readonly output: string;
}

/** What `-o json` prints. */
export type ExplainReport = Explanation & { readonly flow?: PastFlow };

const HELP_TAIL = `
FROM and TO: a pod "[NAMESPACE/]NAME", a workload by its name (any of its pods), an address, "entity:world" (host,
remote-node, kube-apiserver, …), "service:[NAMESPACE/]NAME", "name:example.com", "identity:NUMBER".
PORT: 80, 53/UDP, a container port's name, 8/ICMP (a type).
Exit codes: 0 answered, 1 not as --expect says, 2 wrong use, 3 the node is not running.`;

/** Adds `explain` to `weir policy`. */
export function registerExplain(policy: Command): void {
  withOfflineOptions(policy.command('explain'))
    .description('may this flow pass, which rule decides, and what would have to change; on a node or on files')
    .option('--from <from>', 'who begins')
    .option('--to <to>', 'who answers')
    .option('--port <port>', 'NUMBER[/PROTOCOL] (default: 80 with --request)')
    .option('--request <request>', 'an HTTP request: "GET /path"')
    .option('--host <host>', "the request's host")
    .option('--header <header>', 'a header of the request, "Name: value"; may be repeated', collect, [])
    .option('--flow <uuid>', 'a flow that the node saw, instead of all these')
    .option('--expect <verdict>', 'exit with 1 unless the verdict is "allow" or "deny"')
    .option('-o, --output <format>', 'text or json', 'text')
    .addHelpText('after', HELP_TAIL)
    .action(async (options: ExplainOptions) => {
      const format = checkFormat(options.output, ['text', 'json']);
      if (options.expect !== undefined) checkExpected(options.expect);
      const report = options.flow === undefined ? await answer(options) : await answerFlow(options.flow, options);
      await write(format === 'json' ? `${JSON.stringify(report, undefined, 2)}\n` : renderExplanation(report));
      const passed = report.verdict === 'deny' ? 'deny' : 'allow';
      if (options.expect !== undefined && options.expect !== passed) process.exitCode = EXIT.failed;
    });
}

function checkExpected(expected: string): void {
  if (expected === 'allow' || expected === 'deny') return;
  throw new CliError(`Cannot expect "${expected}": write allow or deny`, EXIT.usage);
}

async function answer(options: ExplainOptions): Promise<ExplainReport> {
  const question = questionFrom(options);
  if (options.file === undefined) return withNode(options, (node) => node.explain(question));
  const names = [question.from, question.to].flatMap((text) => /^(?:name|fqdn):(.+)$/.exec(text)?.[1] ?? []);
  const [world, { explain }] = await Promise.all([
    readWorld(
      options.file,
      options,
      names.map((name) => name.toLowerCase()),
    ),
    import('#agent/explain/explain.ts'),
  ]);
  const explained = explain(question, world);
  if (!explained.ok) throw new CliError(`Cannot explain the flow: ${explained.error}`, EXIT.usage);
  return explained.value;
}

function questionFrom({ from, to, port, ...options }: ExplainOptions): Question {
  if (from === undefined || to === undefined) {
    throw new CliError('Cannot explain: name both ends with --from and --to, or a flow with --flow', EXIT.usage);
  }
  const request = options.request === undefined ? undefined : readRequest(options.request, options);
  if (request === undefined && (options.host !== undefined || options.header.length > 0)) {
    throw new CliError('Cannot use --host and --header without --request', EXIT.usage);
  }
  if (port === undefined && request === undefined) {
    throw new CliError('Cannot explain: say which port with --port, or which request with --request', EXIT.usage);
  }
  return { from, to, port: port ?? '80', ...(request ? { request } : {}) };
}

function readRequest(text: string, options: Pick<ExplainOptions, 'host' | 'header'>): HttpRequest {
  const [, method, path] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+)$/.exec(text.trim()) ?? [];
  if (method === undefined || path === undefined) {
    throw new CliError(`Cannot read request "${text}": write a method and a path, "GET /path"`, EXIT.usage);
  }
  const headers = options.header.map((header) => {
    const colon = header.indexOf(':');
    if (colon < 1) throw new CliError(`Cannot read header "${header}": write "Name: value"`, EXIT.usage);
    return { name: header.slice(0, colon), value: header.slice(colon + 1).trim() };
  });
  return { method, path, host: options.host ?? '', headers };
}

async function answerFlow(uuid: string, options: ExplainOptions): Promise<ExplainReport> {
  if (options.from !== undefined || options.to !== undefined || options.port !== undefined) {
    throw new CliError('Cannot use --flow together with --from, --to or --port', EXIT.usage);
  }
  if (options.file !== undefined) {
    throw new CliError('Cannot use --flow together with --file: flows are kept by a node', EXIT.usage);
  }
  return withNode(options, async (node) => {
    const flow = await findFlow(node, uuid);
    const { pastFlow, questionOf } = await import('#agent/explain/past.ts');
    const question = questionOf(flow);
    if (!question.ok) throw new CliError(`Cannot explain flow "${uuid}": ${question.error}`);
    return { ...(await node.explain(question.value)), flow: pastFlow(flow) };
  });
}

async function findFlow(node: NodeClient, uuid: string): Promise<Flow> {
  const stream = node.flows({ whitelist: [{ uuid: [uuid] }], since: { seconds: 0 } });
  for await (const { flow } of stream) if (flow) return flow;
  throw new CliError(`Cannot explain flow "${uuid}": the node does not have it (any more)`);
}
