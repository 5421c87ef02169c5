// `weir version`

import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { type NodeOptions, withNode, withNodeOptions } from '../client.ts';
import { CliError, EXIT } from '../exit.ts';
import { checkFormat } from '../formats.ts';
import { write } from '../output.ts';

/** Adds `version` to the CLI. */
export function registerVersion(program: Command): void {
  withNodeOptions(program.command('version'))
    .description('version of Weir, and of the agent if the node runs')
    .option('-o, --output <format>', 'text or json', 'text')
    .action(async (options: NodeOptions & { readonly output: string }) => {
      const format = checkFormat(options.output, ['text', 'json']);
      const version = clientVersion();
      const agent = await agentVersion(options);
      if (format === 'json') return write(`${JSON.stringify({ client: version, agent: agent ?? null })}\n`);
      return write(`weir ${version}\n${agent === undefined ? '' : `agent ${agent} (node ${options.node})\n`}`);
    });
}

/** The version in package.json. */
export function clientVersion(): string {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version;
}

async function agentVersion(options: NodeOptions): Promise<string | undefined> {
  try {
    return await withNode(options, async (node) => (await node.status()).version);
  } catch (error) {
    if (error instanceof CliError && error.code === EXIT.notRunning) return undefined;
    throw error;
  }
}
