// `weir demo`: the star-wars scene.

import type { Command } from 'commander';
import { untilInterrupted } from '../output.ts';

/** Adds `demo` to the CLI. */
export function registerDemo(program: Command): void {
  program
    .command('demo')
    .description('the star-wars scene on a node of its own: each request, its outcome, and the flow that explains it')
    .option('--node <name>', 'name of the node that is made for it', 'demo')
    .action(async ({ node }: { node: string }) => {
      const { runDemo } = await import('./run.ts');
      const isRight = await runDemo({ node, signal: untilInterrupted(), print: console.log });
      process.exitCode = isRight ? 0 : 1;
    });
}
