// `weir metrics`

import type { Command } from 'commander';
import { type NodeOptions, withNode, withNodeOptions } from '../client.ts';
import { CliError, EXIT } from '../exit.ts';
import { checkFormat } from '../formats.ts';
import { write } from '../output.ts';

/** Adds `metrics` to the CLI. */
export function registerMetrics(program: Command): void {
  withNodeOptions(program.command('metrics'))
    .description("the agent's metrics in Prometheus' text format")
    .argument('[regex]', 'only metrics whose name matches')
    .option('-o, --output <format>', 'text or json', 'text')
    .action(async (pattern: string | undefined, options: NodeOptions & { readonly output: string }) => {
      const format = checkFormat(options.output, ['text', 'json']);
      const isWanted = pattern === undefined ? () => true : await nameFilter(pattern);
      const text = await withNode(options, (node) => node.metrics());
      const families = splitFamilies(text).filter((family) => isWanted(family.name));
      if (format === 'text') return write(families.map((family) => family.text).join(''));
      return write(`${JSON.stringify(families.flatMap((family) => family.samples))}\n`);
    });
}

async function nameFilter(pattern: string): Promise<(name: string) => boolean> {
  const { RE2JS } = await import('re2js');
  try {
    const expression = RE2JS.compile(pattern);
    return (name) => expression.matcher(name).find();
  } catch (cause) {
    throw new CliError(`Cannot select metrics by "${pattern}": ${(cause as Error).message}`, EXIT.usage);
  }
}

interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

interface Family {
  readonly name: string;
  readonly text: string;
  readonly samples: readonly Sample[];
}

/** Cuts Prometheus text where a new metric's HELP line begins. */
export function splitFamilies(text: string): Family[] {
  return text.split(/^(?=# HELP )/m).flatMap((part) => {
    const name = /^# HELP (\S+)/.exec(part)?.[1];
    if (name === undefined) return [];
    return [{ name, text: part, samples: part.split('\n').flatMap(readSample) }];
  });
}

function readSample(line: string): Sample[] {
  const match = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
  if (!match) return [];
  const pairs = [...(match[2] ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)];
  const labels = Object.fromEntries(pairs.map(([, key = '', value = '']) => [key, unescapeLabel(value)]));
  return [{ name: match[1] ?? '', labels, value: Number(match[3]) }];
}

function unescapeLabel(value: string): string {
  return value.replace(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c));
}
