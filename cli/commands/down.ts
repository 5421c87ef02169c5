// `weir down`

import type { Command } from 'commander';
import { parseNodeName } from '#agent/node/names.ts';
import { CliError, EXIT } from '../exit.ts';

/** Adds `down` to the CLI. */
export function registerDown(program: Command): void {
  program
    .command('down')
    .description('stop a node and remove everything it made, also after a crash; nothing there is fine')
    .option('--node <name>', 'name of the node (environment: WEIR_NODE)', process.env.WEIR_NODE || 'node0')
    .action(async (flags: { readonly node: string }) => {
      const node = parseNodeName(flags.node);
      if (!node.ok) throw new CliError(node.error, EXIT.usage);
      const { runDown } = await import('../supervisor/down.ts');
      await runDown({ node: node.value, print: console.log });
    });
}
