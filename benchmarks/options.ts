// Options of a benchmark run.

import { parseArgs } from 'node:util';
import { err, ok, type Result } from '#common/result.ts';

export const FIGURES = ['memory', 'l7', 'connections', 'tcp', 'spans', 'policy'] as const;
export type FigureName = (typeof FIGURES)[number];

export const PEERS = ['no mesh', 'nginx', 'haproxy', 'envoy', 'weir'] as const;
export type PeerName = (typeof PEERS)[number];

export interface BenchOptions {
  readonly figures: readonly FigureName[];
  readonly peers: readonly PeerName[];
  /** How often each peer has its turn. */
  readonly rounds: number;
  /** Length of one measurement. */
  readonly seconds: number;
  /** How often the policy file is changed. */
  readonly policyChanges: number;
  /** Where results are written; undefined: nowhere. */
  readonly outDir: string | undefined;
}

export const USAGE = `Usage: weir dev bench [options]

Measures Weir against no mesh, nginx, HAProxy and Envoy. About ten minutes; needs root.

  --quick          two short rounds: whether it works, not how fast it is; writes no files unless --out is given
  --only FIGURE    only this figure, may be repeated: ${FIGURES.join(', ')}
  --peers LIST     only these peers, by comma: ${PEERS.join(', ')}
  --rounds N       how often each peer has its turn (default 5)
  --seconds N      length of one measurement (default 5)
  --out DIR        where the JSON and SVG files go (default benchmarks/results)
  --help           this text
`;

const FULL = { rounds: 5, seconds: 5, policyChanges: 200 };
const QUICK = { rounds: 2, seconds: 1, policyChanges: 20 };

/** Reads the command line; every problem is a sentence. 'help' if it asks for USAGE. */
export function readBenchOptions(argv: readonly string[], resultsDir: string): Result<BenchOptions | 'help', string> {
  let given: ReturnType<typeof parse>;
  try {
    given = parse(argv);
  } catch (cause) {
    return err(`Cannot read options: ${(cause as Error).message}`);
  }
  if (given.help) return ok('help');
  const defaults = given.quick ? QUICK : FULL;
  const figures = chosen('figure', given.only, FIGURES);
  const peers = chosen('peer', given.peers?.split(','), PEERS);
  const rounds = count('rounds', given.rounds, defaults.rounds);
  const seconds = count('seconds', given.seconds, defaults.seconds);
  for (const part of [figures, peers, rounds, seconds]) if (!part.ok) return part;
  if (!figures.ok || !peers.ok || !rounds.ok || !seconds.ok) throw new Error('unreachable');
  return ok({
    figures: figures.value,
    peers: peers.value,
    rounds: rounds.value,
    seconds: seconds.value,
    policyChanges: defaults.policyChanges,
    outDir: given.out ?? (given.quick ? undefined : resultsDir),
  });
}

function parse(argv: readonly string[]) {
  return parseArgs({
    args: [...argv],
    strict: true,
    options: {
      quick: { type: 'boolean' },
      only: { type: 'string', multiple: true },
      peers: { type: 'string' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      out: { type: 'string' },
      help: { type: 'boolean' },
    },
  }).values;
}

function chosen<T extends string>(
  what: string,
  given: readonly string[] | undefined,
  all: readonly T[],
): Result<readonly T[], string> {
  const unknown = given?.find((name) => !all.includes(name as T));
  if (unknown !== undefined) return err(`Cannot choose ${what} "${unknown}": there is ${all.join(', ')}`);
  return ok(given === undefined ? all : all.filter((name) => given.includes(name)));
}

function count(name: string, text: string | undefined, preset: number): Result<number, string> {
  if (text === undefined) return ok(preset);
  return /^[1-9]\d{0,3}$/.test(text)
    ? ok(Number(text))
    : err(`Cannot use --${name} "${text}": not a number from 1 to 9999`);
}
