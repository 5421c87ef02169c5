// Options of a program: one table, read once from flags, then environment, then defaults; frozen and printed at start.

import { parseArgs } from 'node:util';
import { err, ok, type Result } from './result.ts';

export interface OptionSpec {
  /** Environment variable. */
  readonly env: string;
  readonly type: 'string' | 'number' | 'boolean';
  readonly default: string | number | boolean;
  /** One sentence. */
  readonly about: string;
  /** Smallest number allowed, for numbers. */
  readonly min?: number;
  /** Largest number allowed, for numbers. */
  readonly max?: number;
  /** Only whole numbers, for numbers. */
  readonly integer?: true;
  /** The only texts allowed, for strings. */
  readonly oneOf?: readonly string[];
  /** An http or https URL, or '' for none, for strings. */
  readonly url?: true;
}

type ValueOf<S extends OptionSpec> = S['type'] extends 'number'
  ? number
  : S['type'] extends 'boolean'
    ? boolean
    : string;
export type Options<T extends Record<string, OptionSpec>> = { readonly [K in keyof T]: ValueOf<T[K]> };

/**
 * Reads `--name value` flags (camelCase names become kebab-case) and environment variables against `table`.
 * Returns every problem at once.
 */
export function readOptions<T extends Record<string, OptionSpec>>(
  table: T,
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Result<Options<T>, readonly string[]> {
  const flags = Object.fromEntries(Object.keys(table).map((name) => [kebab(name), { type: 'string' as const }]));
  let given: Record<string, string | undefined>;
  try {
    given = parseArgs({ args: [...argv], options: flags, strict: true }).values;
  } catch (cause) {
    return err([`Cannot read options: ${(cause as Error).message}`]);
  }
  const values: Record<string, string | number | boolean> = {};
  const problems: string[] = [];
  for (const [name, spec] of Object.entries(table)) {
    const text = given[kebab(name)] ?? env[spec.env];
    const value = text === undefined ? ok(spec.default) : convert(spec, text);
    if (value.ok) values[name] = value.value;
    else problems.push(`Cannot read option --${kebab(name)} (${spec.env}): ${value.error}`);
  }
  return problems.length > 0 ? err(problems) : ok(Object.freeze(values) as Options<T>);
}

/** The command line that hands `options` to another process of the same program. */
export function optionArgs(options: Readonly<Record<string, string | number | boolean>>): string[] {
  return Object.entries(options).map(([name, value]) => `--${kebab(name)}=${value}`);
}

function convert(spec: OptionSpec, text: string): Result<string | number | boolean, string> {
  switch (spec.type) {
    case 'string':
      return convertText(spec, text);
    case 'boolean':
      return text === 'true' || text === 'false' ? ok(text === 'true') : err(`"${text}" is neither true nor false`);
    case 'number':
      return convertNumber(spec, text);
  }
}

function convertText({ oneOf, url }: OptionSpec, text: string): Result<string, string> {
  if (oneOf && !oneOf.includes(text)) return err(`"${text}" is not one of ${oneOf.join(', ')}`);
  if (url && text !== '' && !/^https?:$/.test(URL.parse(text)?.protocol ?? '')) {
    return err(`"${text}" is not a URL of the form http://HOST:PORT or https://HOST:PORT`);
  }
  return ok(text);
}

function convertNumber({ min, max, integer }: OptionSpec, text: string): Result<number, string> {
  const range = min !== undefined && max !== undefined ? ` from ${min} to ${max}` : '';
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) return err(`"${text}" is not a number${range}`);
  if (integer && !Number.isInteger(value)) return err(`"${text}" is not a whole number${range}`);
  if (min !== undefined && value < min) return err(`${value} is below ${min}`);
  if (max !== undefined && value > max) return err(`${value} is above ${max}`);
  return ok(value);
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
