// `weir demo`: the star-wars scene.

import type { Command } from 'commander';
import { parseNodeName } from '#agent/node/names.ts';
import { CliError, EXIT } from '../exit.ts';
import { untilInterrupted } from '../output.ts';

/** Adds `demo` to the CLI. */
export function registerDemo(program: Command): void {
  program
    .command('demo')
    .description('the star-wars scene on a node of its own: each request, its outcome, and the flow that explains it')
    .option('--node <name>', 'the node that is made for it (environment: WEIR_NODE)', process.env.WEIR_NODE || 'demo')
    .action(async ({ node }: { node: string }) => {
      const name = parseNodeName(node);
      if (!name.ok) throw new CliError(name.error, EXIT.usage);
      const { runDemo } = await import('./run.ts');
      const signal = untilInterrupted();
      try {
        process.exitCode = (await runDemo({ node, signal, print: console.log })) ? EXIT.ok : EXIT.failed;
      } catch (error) {
        // Whatever it was, it came of the interruption; the scene has been taken away.
        throw signal.aborted ? new CliError('Interrupted') : error;
      }
    });
}
