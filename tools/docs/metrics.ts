// docs/metrics.md from the metrics that the programs register.

/** One metric as a program defines it. */
export interface MetricInfo {
  readonly name: string;
  readonly help: string;
  /** "counter", "gauge", "histogram" or "summary". */
  readonly type: string;
  readonly labels: readonly string[];
}

export interface ProgramMetrics {
  /** "Agent", "Proxy worker". */
  readonly program: string;
  /** Where it is served. */
  readonly endpoint: string;
  readonly metrics: readonly MetricInfo[];
}

/** The whole file. */
export function renderMetrics(programs: readonly ProgramMetrics[]): string {
  const sections = programs.map(({ program, endpoint, metrics }) => {
    const rows = [...metrics]
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map(
        ({ name, type, labels, help }) =>
          `| \`${name}\` | ${type} | ${code(labels)} | ${help.replaceAll('|', '\\|')} |`,
      );
    return [
      `## ${program}\n`,
      `${endpoint}\n`,
      '| name | type | labels | what |',
      '|---|---|---|---|',
      ...rows,
      '',
    ].join('\n');
  });
  return ['# Metrics\n', 'Generated from the metric definitions by `./weir dev generate`.\n', ...sections].join('\n');
}

function code(labels: readonly string[]): string {
  return labels.map((label) => `\`${label}\``).join(', ');
}
