// `weir policy validate`: are these files what a node takes? Needs no node and no root.

import type { Command } from 'commander';
import type { NamedText, Reading } from '#agent/explain/read.ts';
import { objectKey, type Problem } from '#mesh-config/model.ts';
import { CliError, EXIT } from '../exit.ts';
import { checkFormat } from '../formats.ts';
import { write } from '../output.ts';
import { renderTable } from '../table.ts';

interface ValidateOptions {
  readonly strict: boolean;
  readonly nodePeers: boolean;
  readonly output: string;
}

/** What `-o json` prints. */
export interface ValidationReport {
  readonly valid: boolean;
  readonly files: readonly string[];
  /** "Kind namespace/name" and place of every object without problems. */
  readonly objects: readonly { readonly object: string; readonly file: string; readonly line: number }[];
  readonly problems: readonly ReportedProblem[];
  readonly warnings: readonly ReportedProblem[];
}

export interface ReportedProblem {
  readonly file: string;
  readonly line: number;
  /** '': not known, because the text is no object. */
  readonly object: string;
  readonly field: string;
  readonly reason: string;
}

/** What --node-peers does. */
export const NODE_PEERS_ABOUT = 'as for a node on which rules may select nodes by their labels';

const EXIT_HELP = `
Reads files, folders (*.yaml, *.yml and *.json below them) and, as "-", standard input.
Exit codes: 0 every object is valid, 1 some are refused (with --strict: or have a warning), 2 wrong use or nothing to read.`;

/** Adds `validate` to `weir policy`. */
export function registerValidate(policy: Command): void {
  policy
    .command('validate')
    .description('check files without a node: every problem with its place and what would be right')
    .argument('<path...>', 'files or folders; "-" is standard input')
    .option('--strict', 'warnings fail, too', false)
    .option('--node-peers', NODE_PEERS_ABOUT, false)
    .option('-o, --output <format>', 'table or json', 'table')
    .addHelpText('after', EXIT_HELP)
    .action(async (paths: readonly string[], options: ValidateOptions) => {
      const format = checkFormat(options.output, ['table', 'json']);
      const { readAll } = await import('#agent/explain/read.ts');
      const texts = await readInput(paths);
      if (texts.length === 0) {
        throw new CliError(`Cannot validate ${paths.join(', ')}: no *.yaml, *.yml or *.json is there`, EXIT.usage);
      }
      const reading = readAll(texts, options);
      if (reading.objects.length === 0 && reading.problems.length === 0) {
        throw new CliError(`Cannot validate ${paths.join(', ')}: no object is in it`, EXIT.usage);
      }
      const report = reportOf(reading, options);
      await write(format === 'json' ? `${JSON.stringify(report, undefined, 2)}\n` : renderReport(report));
      if (!report.valid) process.exitCode = EXIT.failed;
    });
}

/** The texts at `paths`, standard input among them. What cannot be read is an error of use. */
export async function readInput(paths: readonly string[]): Promise<readonly NamedText[]> {
  const { readTexts } = await import('#agent/explain/read.ts');
  try {
    const texts = readTexts(paths.filter((path) => path !== '-'));
    return paths.includes('-') ? [...texts, { file: '(standard input)', text: await readStandardInput() }] : texts;
  } catch (error) {
    throw new CliError((error as Error).message, EXIT.usage);
  }
}

async function readStandardInput(): Promise<string> {
  const { text } = await import('node:stream/consumers');
  return text(process.stdin);
}

/** What a reading says of the files, with warnings apart. */
export function reportOf(reading: Reading, options: { readonly strict: boolean }): ValidationReport {
  const problems = reading.problems.filter((problem) => !problem.warning).map(reported);
  const warnings = reading.problems.filter((problem) => problem.warning).map(reported);
  return {
    valid: problems.length === 0 && (!options.strict || warnings.length === 0),
    files: reading.files,
    objects: reading.objects.map((object) => ({ object: objectKey(object), ...object.origin })),
    problems,
    warnings,
  };
}

function reported({ file, line, object, field, reason }: Problem): ReportedProblem {
  return { file, line, object: object ?? '', field, reason };
}

/** The report for people. */
export function renderReport(report: ValidationReport): string {
  const { problems, warnings, objects, files } = report;
  const summary = `${count(objects.length, 'object')} valid in ${count(files.length, 'file')}, ${count(problems.length, 'problem')}, ${count(warnings.length, 'warning')}.\n`;
  const parts = [section('Refused:', problems), section('Warnings:', warnings), summary];
  return parts.filter((part) => part !== '').join('\n');
}

function section(title: string, problems: readonly ReportedProblem[]): string {
  if (problems.length === 0) return '';
  const rows = problems.map((p) => ({ ...p, location: `${p.file}:${p.line}` }));
  return `${title}\n${renderTable(['location', 'object', 'field', 'reason'], rows)}`;
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}
