// `weir policy get`: policies of a node with their status.

import type { Command } from 'commander';
import type { PolicyStatus } from '#api/node.ts';
import { printable } from '#observe/flow/text.ts';
import { type NodeOptions, withNode, withNodeOptions } from '../client.ts';
import { CliError } from '../exit.ts';
import { checkFormat } from '../formats.ts';
import { write } from '../output.ts';
import { renderTable, type TableRow } from '../table.ts';

interface GetOptions extends NodeOptions {
  readonly namespace?: string;
  readonly output: string;
}

const COLUMNS = ['namespace', 'name', 'kind', 'status', 'endpoints', 'revision', 'entries', 'hits', 'location'];

/** Adds `get` to `weir policy`. */
export function registerPolicyGet(policy: Command): void {
  withNodeOptions(policy.command('get'))
    .description('policies of the node: accepted or why not, whom they select, what of them is in force')
    .argument('[name]', 'only the one with this name, or namespace/name; shown in full')
    .option('-n, --namespace <name>', 'only policies of this namespace')
    .option('-o, --output <format>', 'table, json or yaml', 'table')
    .action(async (name: string | undefined, options: GetOptions) => {
      const format = checkFormat(options.output, ['table', 'json', 'yaml']);
      const request = { kind: 'policies', namespace: options.namespace ?? '' };
      const reply = await withNode(options, (node) => node.list(request));
      const all = reply.rowsJson.map((row) => JSON.parse(row) as PolicyStatus);
      const wanted = all.filter(
        (one) => name === undefined || [one.name, `${one.namespace}/${one.name}`].includes(name),
      );
      if (name !== undefined && wanted.length === 0) throw new CliError(`Cannot show policy "${name}": there is none`);
      if (format === 'json') await write(`${JSON.stringify(wanted, undefined, 2)}\n`);
      else if (format === 'yaml') await write((await import('yaml')).stringify(wanted));
      else await write(name === undefined ? renderPolicies(wanted) : wanted.map(renderPolicy).join('\n'));
    });
}

/** All policies, a line each. */
export function renderPolicies(policies: readonly PolicyStatus[]): string {
  return renderTable(COLUMNS, policies.map(cells));
}

/** One policy with everything that is known of it. */
export function renderPolicy(policy: PolicyStatus): string {
  const { kind, namespace, name, location, status, message, directions, revision, selects, entries, hits } = policy;
  const head = [
    ['Policy', `${kind} ${namespace === '' ? '' : `${namespace}/`}${name}`],
    ['Written in', location],
    ['Status', message === '' ? status : `${status}: ${message}`],
    ['Speaks of', directions.join(', ') || '-'],
    ['In force', revision === null ? 'not as written' : `since revision ${revision}`],
    ['Selects', selects.length === 0 ? 'no endpoint of this node' : selects.join(', ')],
    ['Entries', hits === null ? String(entries) : `${entries}, which have decided ${hits} connections`],
  ].map(([title, text]) => printable(`${`${title}:`.padEnd(12)}${text}`));
  const rules = policy.rules.map((rule) => ({ ...rule, action: rule.deny ? 'deny' : 'allow' }));
  const problems = policy.problems.map(({ file, line, field, reason, warning }) => ({
    location: `${file}:${line}`,
    field,
    reason: warning ? `warning: ${reason}` : reason,
  }));
  const parts = [`${head.join('\n')}\n`];
  if (rules.length > 0) {
    parts.push(renderTable(['line', 'field', 'direction', 'action', 'entries', 'hits'], rules.map(cells)));
  }
  if (problems.length > 0) parts.push(renderTable(['location', 'field', 'reason'], problems));
  return parts.join('\n');
}

function cells(row: object): TableRow {
  return row as TableRow;
}
