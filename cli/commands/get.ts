// `weir get`

import type { Command } from 'commander';
import type { ListKind, ListReply } from '#api/node.ts';
import { type NodeOptions, withNode, withNodeOptions } from '../client.ts';
import { CliError, EXIT } from '../exit.ts';
import { checkFormat } from '../formats.ts';
import { write } from '../output.ts';
import { renderTable, type TableRow } from '../table.ts';

const FORMATS = ['table', 'wide', 'json', 'yaml'] as const;

/** What people write for a kind -> the kind. */
const KINDS: Readonly<Record<string, ListKind>> = {
  pods: 'pods',
  pod: 'pods',
  po: 'pods',
  services: 'services',
  service: 'services',
  svc: 'services',
  policies: 'policies',
  policy: 'policies',
  cnp: 'policies',
  ciliumnetworkpolicies: 'policies',
  endpoints: 'endpoints',
  endpoint: 'endpoints',
  ep: 'endpoints',
  identities: 'identities',
  identity: 'identities',
  id: 'identities',
};

interface GetOptions extends NodeOptions {
  readonly namespace?: string;
  readonly output: string;
}

/** Adds `get` to the CLI. */
export function registerGet(program: Command): void {
  withNodeOptions(program.command('get'))
    .description('list objects of the node')
    .argument('<kind>', 'pods, services, policies, endpoints or identities')
    .argument('[name]', 'only the one with this name (or id)')
    .option('-n, --namespace <name>', 'only objects of this namespace; otherwise of all')
    .option('-o, --output <format>', FORMATS.join(', '), 'table')
    .action(async (kindText: string, name: string | undefined, options: GetOptions) => {
      const format = checkFormat(options.output, FORMATS);
      const kind = KINDS[kindText.toLowerCase()];
      if (kind === undefined) {
        const known = [...new Set(Object.values(KINDS))].join(', ');
        throw new CliError(`Cannot list "${kindText}": not one of ${known}`, EXIT.usage);
      }
      const request = { kind, namespace: options.namespace ?? '' };
      const reply = await withNode(options, (node) => node.list(request));
      const all = reply.rowsJson.map((row) => JSON.parse(row) as TableRow);
      const rows = name === undefined ? all : all.filter((row) => isNamed(row, name));
      if (name !== undefined && rows.length === 0) throw new CliError(`Cannot show ${kind} "${name}": there is none`);
      await write(await render(rows, reply, format));
    });
}

function isNamed(row: TableRow, name: string): boolean {
  return [row.name, row.pod, row.id, row.endpoint].some((value) => value !== undefined && String(value) === name);
}

async function render(rows: readonly TableRow[], reply: ListReply, format: (typeof FORMATS)[number]): Promise<string> {
  switch (format) {
    case 'json':
      return `${JSON.stringify(rows, undefined, 2)}\n`;
    case 'yaml':
      return (await import('yaml')).stringify(rows);
    case 'table':
      return renderTable(reply.columns, rows);
    case 'wide':
      return renderTable([...reply.columns, ...reply.wideColumns], rows);
  }
}
