// Options of a benchmark run.

import { parseArgs } from 'node:util';
import { err, ok, type Result } from '#common/result.ts';

export const FIGURES = ['memory', 'l7', 'connections', 'tcp', 'spans', 'policy'] as const;
/** A run of its own: what policy costs. */
export const POLICY_FIGURES = [
  'policy-change',
  'policy-cluster',
  'policy-start',
  'policy-packets',
  'policy-requests',
] as const;
const ALL_FIGURES = [...FIGURES, ...POLICY_FIGURES] as const;
export type FigureName = (typeof ALL_FIGURES)[number];

const GROUPS = ['policy'] as const;

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
  /** How many changes of each kind the simulated agent is given. */
  readonly changes: number;
  /** Name of the result files. */
  readonly report: 'latest' | 'policy';
  /** Where CPU profiles of the simulated agent go; undefined: none are made. */
  readonly profileDir: string | undefined;
  /** Where results are written; undefined: nowhere. */
  readonly outDir: string | undefined;
}

export const USAGE = `Usage: weir dev bench [policy] [options]

Measures Weir against no mesh, nginx, HAProxy and Envoy. About ten minutes; needs root.
With "policy": what policy costs in the agent and in the kernel, on nodes of large clusters. About five minutes.

  --quick          two short rounds: whether it works, not how fast it is; writes no files unless --out is given
  --only FIGURE    only this figure, may be repeated: ${FIGURES.join(', ')},
                   ${POLICY_FIGURES.join(', ')}
  --peers LIST     only these peers, by comma: ${PEERS.join(', ')}
  --rounds N       how often each peer has its turn (default 5; policy: 7)
  --seconds N      length of one measurement (default 5; policy: 2)
  --profile DIR    CPU profiles of the agent in policy-change, policy-cluster and policy-start go there
  --out DIR        where the JSON and SVG files go (default benchmarks/results)
  --help           this text
`;

const FULL = { rounds: 5, seconds: 5, policyChanges: 200, changes: 500 };
/** The ratios of policy figures are near 1: more turns, and shorter ones. */
const FULL_POLICY = { ...FULL, rounds: 7, seconds: 2 };
const QUICK = { rounds: 2, seconds: 1, policyChanges: 20, changes: 20 };
const POLICY_PEERS: readonly PeerName[] = ['no mesh', 'weir'];

/** Reads the command line; every problem is a sentence. 'help' if it asks for USAGE. */
export function readBenchOptions(argv: readonly string[], resultsDir: string): Result<BenchOptions | 'help', string> {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(argv);
  } catch (cause) {
    return err(`Cannot read options: ${(cause as Error).message}`);
  }
  const { values: given, positionals } = parsed;
  if (given.help) return ok('help');
  const groups = chosen('group', positionals, GROUPS);
  const isPolicy = positionals.length > 0 || given.only?.every((name) => isIn(POLICY_FIGURES, name)) === true;
  const defaults = given.quick ? QUICK : isPolicy ? FULL_POLICY : FULL;
  const figures = chosenOr(isPolicy ? POLICY_FIGURES : FIGURES, chosen('figure', given.only, ALL_FIGURES));
  const peers = chosenOr(isPolicy ? POLICY_PEERS : PEERS, chosen('peer', given.peers?.split(','), PEERS));
  const rounds = count('rounds', given.rounds, defaults.rounds);
  const seconds = count('seconds', given.seconds, defaults.seconds);
  for (const part of [groups, figures, peers, rounds, seconds]) if (!part.ok) return part;
  if (!figures.ok || !peers.ok || !rounds.ok || !seconds.ok) throw new Error('unreachable');
  return ok({
    figures: figures.value,
    peers: peers.value,
    rounds: rounds.value,
    seconds: seconds.value,
    policyChanges: defaults.policyChanges,
    changes: defaults.changes,
    report: isPolicy ? 'policy' : 'latest',
    profileDir: given.profile,
    outDir: given.out ?? (given.quick ? undefined : resultsDir),
  });
}

function parse(argv: readonly string[]) {
  return parseArgs({
    args: [...argv],
    strict: true,
    allowPositionals: true,
    options: {
      quick: { type: 'boolean' },
      only: { type: 'string', multiple: true },
      peers: { type: 'string' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      out: { type: 'string' },
      profile: { type: 'string' },
      help: { type: 'boolean' },
    },
  });
}

function chosen<T extends string>(
  what: string,
  given: readonly string[] | undefined,
  all: readonly T[],
): Result<readonly T[] | undefined, string> {
  const unknown = given?.find((name) => !isIn(all, name));
  if (unknown !== undefined) return err(`Cannot choose ${what} "${unknown}": there is ${all.join(', ')}`);
  return ok(given && all.filter((name) => given.includes(name)));
}

function chosenOr<T>(
  preset: readonly T[],
  given: Result<readonly T[] | undefined, string>,
): Result<readonly T[], string> {
  return given.ok ? ok(given.value ?? preset) : given;
}

function isIn<T extends string>(all: readonly T[], name: string): name is T {
  return (all as readonly string[]).includes(name);
}

function count(name: string, text: string | undefined, preset: number): Result<number, string> {
  if (text === undefined) return ok(preset);
  return /^[1-9]\d{0,3}$/.test(text)
    ? ok(Number(text))
    : err(`Cannot use --${name} "${text}": not a number from 1 to 9999`);
}
