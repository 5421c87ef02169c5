// Results as files.

import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import type { BenchOptions } from '../options.ts';
import type { FigureResult } from '../result.ts';
import { plot } from './svg.ts';

export interface Report {
  readonly date: string; // ISO 8601
  readonly machine: {
    readonly kernel: string;
    readonly cpu: string;
    readonly cores: number;
    readonly memoryMib: number;
    readonly node: string;
  };
  readonly options: Omit<BenchOptions, 'outDir' | 'profileDir'>;
  readonly versions: Readonly<Record<string, string>>;
  readonly results: readonly FigureResult[];
}

/** The report of one run on this machine. */
export function createReport(
  options: BenchOptions,
  versions: Readonly<Record<string, string>>,
  results: readonly FigureResult[],
): Report {
  const { outDir: _, profileDir: __, ...rest } = options;
  return {
    date: new Date().toISOString(),
    machine: {
      kernel: release(),
      cpu: cpus()[0]?.model ?? 'unknown',
      cores: cpus().length,
      memoryMib: Math.round(totalmem() / 2 ** 20),
      node: process.version,
    },
    options: rest,
    versions,
    results,
  };
}

/** One line about where and how a run was made. */
export function captionOf({ date, machine, options }: Report): string {
  const { kernel, cpu, cores } = machine;
  return `${date.slice(0, 10)}, ${cores} × ${cpu}, Linux ${kernel}, ${options.rounds} interleaved rounds of ${options.seconds} s, medians`;
}

/** Writes the report as JSON and SVG. Returns their paths. */
export function writeReport(report: Report, directory: string): string[] {
  mkdirSync(directory, { recursive: true });
  const json = join(directory, `${report.options.report}.json`);
  const svg = join(directory, `${report.options.report}.svg`);
  writeFileSync(json, `${JSON.stringify(report, null, 2)}\n`);
  writeFileSync(svg, plot(report.results, captionOf(report)));
  return [json, svg];
}
