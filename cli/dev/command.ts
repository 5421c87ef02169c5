// `weir dev`: the commands of those who work on Weir.

import type { Command } from 'commander';
import { EXIT } from '../exit.ts';
import { checkFormat } from '../formats.ts';
import { untilInterrupted } from '../output.ts';

interface VectorsFlags {
  readonly engine: boolean;
  readonly kernel: boolean;
  readonly output: string;
}

const VECTORS_HELP = `
A case has policies, endpoints, a world around them and flows with the verdicts expected at the source (egress) and at
the destination (ingress): allow, deny or redirect, the reason, and of a redirect what the proxy is told. Or it has an
object that is refused or accepted. Without an option engine and kernel both have to say what is expected. Where Weir
decides otherwise than a case on purpose is listed with the reason in cli/dev/vectors/changes.ts.
Each difference is shown with the entry that decided. The last line is "N passed, N failed"; each direction of a flow
counts once. Exit codes: 0 all passed, 1 some failed or nothing was there, 2 wrong use.`;

/** Adds `dev check|test|vectors|generate|bench` to the CLI. What each needs is loaded when it runs. */
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
    .command('vectors')
    .description('does Weir decide as files of policy cases say: every verdict compared')
    .argument('<file...>', 'JSON lists of cases')
    .option('--engine', 'ask the computed rows alone: no root', false)
    .option('--kernel', 'ask the kernel programs alone (root): one test packet for each flow', false)
    .option('-o, --output <format>', 'text or json', 'text')
    .addHelpText('after', VECTORS_HELP)
    .action(async (files: string[], { engine, kernel, output }: VectorsFlags) => {
      const format = checkFormat(output, ['text', 'json']);
      const { runVectors } = await import('./vectors/command.ts');
      const passed = await runVectors({
        files,
        engine: engine || !kernel,
        kernel: kernel || !engine,
        format,
        signal: untilInterrupted(),
        print: console.log,
        progress: console.error,
      });
      process.exitCode = passed ? EXIT.ok : EXIT.failed;
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
