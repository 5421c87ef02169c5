// What a figure found, ready for the table, the JSON file and the plot.

import type { FigureName } from './options.ts';
import { median, roundRatios } from './statistics.ts';

export interface Series {
  readonly name: string;
  /** One value for each round or sample. */
  readonly values: readonly number[];
}

/** A promise and whether it is kept. */
export interface Goal {
  readonly text: string;
  readonly relation: '≥' | '≤';
  readonly target: number;
  readonly value: number;
  readonly unit: string; // "" for a ratio
  readonly met: boolean;
  /** Of which `value` is the median or percentile; empty where it is a single reading. */
  readonly values: readonly number[];
}

export interface FigureResult {
  readonly name: FigureName;
  readonly title: string;
  readonly unit: string;
  readonly series: readonly Series[];
  readonly goals: readonly Goal[];
  /** What a reader must know to judge the numbers. */
  readonly notes: readonly string[];
}

/** A goal about `of` ÷ the best of `to`, the median of the ratios of single rounds. Undefined if one was not measured. */
export function ratioGoal(
  series: readonly Series[],
  options: { readonly text: string; readonly of: string; readonly to: readonly string[]; readonly atLeast: number },
): Goal | undefined {
  const valuesOf = (name: string) => series.find((one) => one.name === name)?.values;
  const of = valuesOf(options.of);
  const to = options.to.map(valuesOf).filter((values) => values !== undefined);
  if (of === undefined || to.length < options.to.length) return undefined;
  const values = roundRatios(of, to);
  const value = median(values);
  const { text, atLeast: target } = options;
  return { text, relation: '≥', target, value, unit: '', met: value >= target, values };
}

/** A goal about a number that must not be above `target`. */
export function limitGoal(goal: Omit<Goal, 'relation' | 'met'>): Goal {
  return { ...goal, relation: '≤', met: goal.value <= goal.target };
}
