// Results as text.

import type { FigureResult, Goal } from '../result.ts';
import { median } from '../statistics.ts';

/** One figure: a line for each series, with the least and the greatest value, then its goals. */
export function figureText({ title, unit, series, goals, notes }: FigureResult): string {
  const width = Math.max(...series.map(({ name }) => name.length), 8);
  const lines = series.map(({ name, values }) => {
    const range = values.length > 1 ? `  (${number(Math.min(...values))} to ${number(Math.max(...values))})` : '';
    return `  ${name.padEnd(width)}  ${number(median(values)).padStart(10)}${range}`;
  });
  return [
    `${title}, ${unit}`,
    ...lines,
    ...goals.map((goal) => `  ${goalText(goal)}`),
    ...notes.map((note) => `  ${note}`),
  ].join('\n');
}

/** All goals as a table. */
export function goalsText(goals: readonly Goal[]): string {
  const rows = goals.map((goal) => [
    goal.text,
    `${goal.relation} ${amount(goal.target, goal.unit)}`,
    amount(goal.value, goal.unit),
    verdict(goal),
  ]);
  const table = [['figure', 'target', 'measured', ''], ...rows];
  const widths = [0, 1, 2].map((column) => Math.max(...table.map((row) => row[column]?.length ?? 0)));
  return table
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** 1234567 as "1.23 M", 45678 as "45.7 k", 0.9712 as "0.97". */
export function number(value: number): string {
  if (!Number.isFinite(value)) return 'none';
  if (value >= 1e9) return `${(value / 1e9).toFixed(2)} G`;
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(1)} k`;
  return value >= 100 ? value.toFixed(0) : value.toFixed(2);
}

function goalText(goal: Goal): string {
  const spread = goal.values.length > 1 ? `, rounds ${goal.values.map((value) => value.toFixed(2)).join(' ')}` : '';
  return `${goal.text}: ${amount(goal.value, goal.unit)} (${goal.relation} ${amount(goal.target, goal.unit)}: ${verdict(goal)}${goal.unit ? '' : spread})`;
}

function verdict({ met, value, target, unit }: Goal): string {
  return met ? 'met' : `missed by ${amount(Math.abs(value - target), unit)}`;
}

function amount(value: number, unit: string): string {
  return unit ? `${number(value)} ${unit}` : value.toFixed(2);
}
