// What the suite prints: a line as each file ends, failures by name at the end, one summary line last.

import type { FileOutcome } from './run-file.ts';

/** One line for a file that has ended. */
export function progressLine(
  outcome: FileOutcome,
  options: { done: number; total: number; elapsedMs: number },
): string {
  const counts = summaryOf([outcome]);
  const mark = outcome.failures.length > 0 ? 'FAIL' : 'ok  ';
  const at = `${Math.round(options.elapsedMs / 1000)} s`.padStart(5);
  return `${at}  ${options.done}/${options.total}  ${mark} ${outcome.file} (${seconds(outcome.ms)}): ${counts}`;
}

/** Skipped tests by reason, then each failure with what it printed. */
export function closingLines(outcomes: readonly FileOutcome[]): string[] {
  const lines: string[] = [];
  const reasons = new Map<string, number>();
  for (const { reason } of outcomes.flatMap(({ skips }) => skips)) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  for (const [reason, count] of reasons) lines.push('', `SKIPPED ${count}: ${reason || 'no reason given'}`);
  for (const { failures, output } of outcomes) {
    for (const { name, detail } of failures) lines.push('', `FAILED ${name}`, indent(detail));
    if (failures.length > 0 && output.trim() !== '') lines.push('', '  printed by the file:', indent(output.trimEnd()));
  }
  return lines;
}

/** "N passed, N failed", with ", N skipped" if any were. */
export function summaryOf(outcomes: readonly FileOutcome[]): string {
  const sum = (count: (outcome: FileOutcome) => number): number => outcomes.reduce((n, o) => n + count(o), 0);
  const skipped = sum(({ skips }) => skips.length);
  const line = `${sum(({ passed }) => passed)} passed, ${sum(({ failures }) => failures.length)} failed`;
  return skipped > 0 ? `${line}, ${skipped} skipped` : line;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function indent(text: string): string {
  return text
    .split('\n')
    .map((line) => `    ${line}`)
    .join('\n');
}
