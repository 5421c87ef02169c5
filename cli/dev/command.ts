// `weir dev`: the commands of those who work on Weir.

import type { Command } from 'commander';
import { untilInterrupted } from '../output.ts';

/** Adds `dev check|test|bench|generate` to the CLI. What each needs is loaded when it runs. */
export function registerDev(program: Command): void {
  const dev = program.command('dev').description('commands for working on Weir itself');
  dev
    .command('check')
    .description('types, lint, format, import rules, sizes, generated files, instruction counts of the kernel programs')
    .action(async () => {
      const { runChecks } = await import('./check.ts');
      process.exitCode = (await runChecks({ signal: untilInterrupted(), print: console.log })) ? 0 : 1;
    });
  dev
    .command('test [pattern]')
    .description('the whole suite, or the test files whose path holds PATTERN')
    .option('--name <regex>', 'only tests whose name matches')
    .action(async (pattern: string | undefined, options: { name?: string }) => {
      const { runSuite } = await import('./suite/suite.ts');
      const passed = await runSuite({
        pattern,
        testName: options.name,
        isCi: process.env.CI === 'true',
        signal: untilInterrupted(),
        print: console.log,
      });
      process.exitCode = passed ? 0 : 1;
    });
  dev
    .command('generate')
    .description('write every generated file again')
    .action(() => runScript(['tools/generate.ts']));
  dev
    .command('bench')
    .description('the benchmarks; arguments go to benchmarks/main.ts')
    .argument('[args...]')
    .allowUnknownOption()
    .helpOption(false)
    .action((args: string[]) => runScript(['benchmarks/main.ts', ...args]));
}

async function runScript(args: readonly string[]): Promise<void> {
  const [{ spawn }, { once }, { TOP }] = await Promise.all([
    import('node:child_process'),
    import('node:events'),
    import('./sources.ts'),
  ]);
  const child = spawn(process.execPath, args, { cwd: TOP, stdio: 'inherit' });
  const ignore = (): void => {}; // the child gets the terminal's Ctrl-C too, and ends in its own way
  process.on('SIGINT', ignore);
  const [code] = (await once(child, 'exit')) as [number | null];
  process.off('SIGINT', ignore);
  process.exitCode = code ?? 1;
}
