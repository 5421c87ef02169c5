// `weir check`: is this machine able to run Weir? A table of what is there, what is missing and what to do.

import type { Command } from 'commander';
import type { Finding } from './finding.ts';

/** Adds `check` to the CLI. */
export function registerCheck(program: Command): void {
  program
    .command('check')
    .description('is this machine able to run Weir: what is there, what is missing, what to do')
    .option('-o, --output <format>', 'table or json', 'table')
    .action(async ({ output }: { output: string }) => {
      if (output !== 'table' && output !== 'json') {
        console.error(`Cannot print as "${output}": only table and json are known`);
        process.exitCode = 2;
        return;
      }
      const { checkMachine } = await import('./machine.ts');
      const findings = checkMachine();
      console.log(output === 'json' ? JSON.stringify(findings, undefined, 2) : formatFindings(findings));
      process.exitCode = findings.some(({ state }) => state === 'missing') ? 1 : 0;
    });
}

/** The table for people, with one line below that sums it up. */
export function formatFindings(findings: readonly Finding[]): string {
  const rows = [
    ['AREA', 'WHAT', 'STATE', 'SEEN'],
    ...findings.map(({ area, name, state, detail, remedy }) => {
      return [area, name, state, remedy === '' ? detail : `${detail}${detail === '' ? '' : ' -> '}${remedy}`];
    }),
  ];
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  const count = (state: Finding['state']): number => findings.filter((finding) => finding.state === state).length;
  const unknown = count('unknown') > 0 ? `, ${count('unknown')} cannot be told without root` : '';
  const missing = count('missing');
  return [...lines, '', missing === 0 ? `Nothing is missing${unknown}.` : `${missing} missing${unknown}.`].join('\n');
}
