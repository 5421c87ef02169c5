// `weir policy verdicts`: who may reach whom on which port, as a table, as JSON or as a picture.

import { writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { Matrix, MatrixRequest } from '#agent/explain/matrix.ts';
import { withNode } from '../client.ts';
import { CliError, EXIT } from '../exit.ts';
import { checkFormat } from '../formats.ts';
import { write } from '../output.ts';
import { renderSvg } from './matrix-svg.ts';
import { renderMatrix } from './matrix-text.ts';
import { type AnswerOptions, readWorld, withOfflineOptions } from './offline.ts';

interface VerdictsOptions extends AnswerOptions {
  readonly ports?: string;
  readonly peers?: string;
  readonly namespace?: string;
  readonly output: string;
}

const HELP_TAIL = `
Pods of one workload that policy cannot tell apart are one row. A verdict is for a connection: "http" means that the proxy
decides each request, "audit" that policy denies it and it passes all the same. "deny(out)" is refused by the sender's egress
policy, "deny(in)" by the receiver's ingress policy.
Example: weir policy verdicts -f mesh/ --ports 80,53/UDP --peers entity:world -o svg --write verdicts.svg`;

/** Adds `verdicts` to `weir policy`. */
export function registerVerdicts(policy: Command): void {
  withOfflineOptions(policy.command('verdicts'))
    .description('matrix of pods, pods and ports: what policy says of every pair; on a node or on files')
    .option('--ports <ports>', '"80,53/UDP"; otherwise those of containers and policies')
    .option('--peers <peers>', 'peers beside the pods: "entity:world,entity:host,10.0.0.1"')
    .option('-n, --namespace <name>', 'only pods of this namespace')
    .option('-o, --output <format>', 'table, json or svg', 'table')
    .option('--write <path>', 'write to a file instead of standard output')
    .addHelpText('after', HELP_TAIL)
    .action(async (options: VerdictsOptions & { readonly write?: string }) => {
      const format = checkFormat(options.output, ['table', 'json', 'svg']);
      const matrix = await readMatrix(options);
      const text = render(matrix, format);
      if (options.write === undefined) await write(text);
      else writeFile(options.write, text);
    });
}

async function readMatrix(options: VerdictsOptions): Promise<Matrix> {
  const request: MatrixRequest = {
    ports: splitList(options.ports),
    peers: splitList(options.peers),
    namespace: options.namespace ?? '',
  };
  if (options.file === undefined) return withNode(options, (node) => node.verdicts(request));
  const [world, { verdictMatrix }] = await Promise.all([
    readWorld(options.file, options),
    import('#agent/explain/matrix.ts'),
  ]);
  const matrix = verdictMatrix(request, world);
  if (!matrix.ok) throw new CliError(`Cannot compute verdicts: ${matrix.error}`, EXIT.usage);
  return matrix.value;
}

function splitList(text: string | undefined): readonly string[] {
  return (text ?? '')
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '');
}

function render(matrix: Matrix, format: 'table' | 'json' | 'svg'): string {
  if (format === 'json') return `${JSON.stringify(matrix, undefined, 2)}\n`;
  return format === 'svg' ? renderSvg(matrix) : renderMatrix(matrix);
}

function writeFile(path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch (cause) {
    throw new CliError(`Cannot write "${path}": ${(cause as Error).message}`);
  }
}
