// Weir's command line. Each command is a module of its own that is loaded only when it is the one asked for.

import { Command, CommanderError } from 'commander';
import { ERRORS, WeirError } from '#common/errors.ts';
import { CliError, EXIT } from './exit.ts';
import { endWithReader } from './output.ts';

interface CommandEntry {
  readonly about: string;
  readonly file: string;
  /** The function of that file that adds the command to the program. */
  readonly register: string;
}

const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  up: { about: 'run a node from a folder of YAML', file: './commands/up.ts', register: 'registerUp' },
  down: { about: 'stop a node and remove everything it made', file: './commands/down.ts', register: 'registerDown' },
  status: { about: 'how the node is doing', file: './commands/status.ts', register: 'registerStatus' },
  get: { about: 'list objects of the node', file: './commands/get.ts', register: 'registerGet' },
  exec: { about: 'run a command inside a pod', file: './commands/exec.ts', register: 'registerExec' },
  logs: { about: 'what a pod wrote', file: './commands/logs.ts', register: 'registerLogs' },
  observe: { about: 'flows: verdicts, drops, requests', file: './commands/observe.ts', register: 'registerObserve' },
  policy: {
    about: 'check policies, and ask what they decide and why',
    file: './policy/command.ts',
    register: 'registerPolicy',
  },
  metrics: { about: "the agent's metrics", file: './commands/metrics.ts', register: 'registerMetrics' },
  check: { about: 'is this machine able to run Weir', file: './check/command.ts', register: 'registerCheck' },
  demo: { about: 'the star-wars scene, step by step', file: './demo/command.ts', register: 'registerDemo' },
  dev: { about: 'for working on Weir itself', file: './dev/command.ts', register: 'registerDev' },
  version: { about: 'version of Weir', file: './commands/version.ts', register: 'registerVersion' },
};

const HELP_TAIL = `
Exit codes: 0 done, 1 failed, 2 wrong use, 3 the node is not running. "exec" ends with the code of what it ran.`;

/** Runs the CLI with `argv` (without interpreter and script) and sets the exit code. */
export async function main(argv: readonly string[]): Promise<void> {
  endWithReader();
  const [first = '', ...rest] = argv;
  const args = first === '-V' || first === '--version' ? ['version', ...rest] : argv;
  const program = new Command('weir')
    .description('Sidecarless service mesh.')
    .option('-V, --version', 'same as the command "version"')
    .enablePositionalOptions()
    .showHelpAfterError('Try --help.')
    .addHelpText('after', HELP_TAIL)
    .exitOverride();
  try {
    await addCommands(program, args[0] === 'help' ? args[1] : args[0]);
    await program.parseAsync([...args], { from: 'user' });
  } catch (error) {
    process.exitCode = report(error);
  }
}

// Every command is there with a name and a sentence, for the help; only `wanted` is there in full.
async function addCommands(program: Command, wanted: string | undefined): Promise<void> {
  for (const [name, { about, file, register }] of Object.entries(COMMANDS)) {
    if (name !== wanted) {
      program.command(name).description(about);
      continue;
    }
    const module = (await import(new URL(file, import.meta.url).href)) as Record<string, (program: Command) => void>;
    module[register]?.(program);
  }
}

/** Prints what went wrong and returns the exit code. */
function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (error instanceof CliError) {
    process.stderr.write(`${error.message}\n`);
    return error.code;
  }
  if (error instanceof WeirError) {
    process.stderr.write(`${error.message}\n${ERRORS[error.code].remedy} (${error.code})\n`);
    return EXIT.failed;
  }
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return EXIT.failed;
}

if (import.meta.main) await main(process.argv.slice(2));
