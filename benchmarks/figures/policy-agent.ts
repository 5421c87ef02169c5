// How long the agent takes for a change of policy or of pods, on a full node of a small and of a large cluster, and to
// start there.

import type { Bench } from '../bench.ts';
import type { FigureName } from '../options.ts';
import { type FigureResult, type Goal, limitGoal, type Series } from '../result.ts';
import { CHANGE_KINDS, type ChangeKind, type Sample, type Samples } from '../simulation/changes.ts';
import type { Outcome } from '../simulation/main.ts';
import { simulate } from '../simulation/run.ts';
import { median, percentile } from '../statistics.ts';

const SHARE = 0.99;

/** Changes on a node of a small cluster. */
export async function measurePolicyChange(bench: Bench): Promise<FigureResult> {
  const { outcome, samples } = await changed(bench, { figure: 'policy-change', cluster: 'small' });
  return {
    name: 'policy-change',
    title: 'One change, from the table to the last map write',
    unit: 'ms',
    series: seriesOf(samples),
    goals: goalsOf(samples, { text: '100 pods here, 1,000 policies, 5,000 identities', targetMs: 10 }),
    notes: [sizeNote(outcome), ...notesOf(samples)],
  };
}

/** The same changes, and memory, on a node of a large cluster. */
export async function measurePolicyCluster(bench: Bench): Promise<FigureResult> {
  const { outcome, samples } = await changed(bench, { figure: 'policy-cluster', cluster: 'large' });
  const { started, ended, peak } = outcome.memory;
  const memory = limitGoal({
    text: '1,000 nodes, 50,000 pods: agent, resident',
    target: 300,
    value: Math.max(started, ended),
    unit: 'MiB',
    values: [started, ended],
  });
  return {
    name: 'policy-cluster',
    title: 'One change in a large cluster, from the table to the last map write',
    unit: 'ms',
    series: seriesOf(samples),
    goals: [...goalsOf(samples, { text: '1,000 nodes, 50,000 pods', targetMs: 100 }), memory],
    notes: [
      sizeNote(outcome),
      `Resident after the start ${started.toFixed(0)} MiB, after the changes ${ended.toFixed(0)} MiB, at most ${peak.toFixed(0)} MiB.`,
      ...notesOf(samples),
    ],
  };
}

/** Starts with nothing in the kernel, and starts that find everything there. */
export async function measurePolicyStart(bench: Bench): Promise<FigureResult> {
  const rounds: (readonly Outcome[])[] = [];
  for (let round = 0; round < Math.min(bench.options.rounds, MAX_STARTS); round++) {
    bench.progress(`starting an agent in a large cluster, round ${round + 1}`);
    rounds.push(await simulate(bench, { figure: 'policy-start', cluster: 'large', changes: 0, starts: 2 }));
  }
  const outcomes = (start: number): Outcome[] => rounds.flatMap((round) => round[start] ?? []);
  const seconds = (start: number): number[] => outcomes(start).map(({ startSeconds }) => startSeconds);
  const goal = limitGoal({
    text: '1,000 nodes, 50,000 pods: cold start, slowest',
    target: 10,
    value: Math.max(...seconds(0)),
    unit: 's',
    values: seconds(0),
  });
  return {
    name: 'policy-start',
    title: 'Start in a large cluster, from the process to the last map write',
    unit: 's',
    series: [
      { name: 'cold', values: seconds(0) },
      { name: 'everything pinned', values: seconds(1) },
    ],
    goals: [goal],
    notes: [`Cold: ${phasesText(outcomes(0))}.`, `Everything pinned: ${phasesText(outcomes(1))}.`],
  };
}

const MAX_STARTS = 3;

async function changed(
  bench: Bench,
  options: { readonly figure: FigureName; readonly cluster: 'small' | 'large' },
): Promise<{ readonly outcome: Outcome; readonly samples: Samples }> {
  const { changes } = bench.options;
  bench.progress(`making ${changes} changes of each of ${CHANGE_KINDS.length} kinds in a ${options.cluster} cluster`);
  const [outcome] = await simulate(bench, { ...options, changes, starts: 1 });
  if (!outcome?.samples) throw new Error(`Cannot measure ${options.figure}: the agent reported no changes`);
  return { outcome, samples: outcome.samples };
}

function seriesOf(samples: Samples): Series[] {
  return CHANGE_KINDS.map((kind) => ({
    name: kind,
    values: samples[kind].map(({ ms }) => Math.round(ms * 1_000) / 1_000),
  }));
}

function goalsOf(samples: Samples, { text, targetMs }: { readonly text: string; readonly targetMs: number }): Goal[] {
  return (['policy', 'pod'] as const).map((what) => {
    const all = CHANGE_KINDS.filter((kind) => kind.startsWith(what)).flatMap((kind) => samples[kind]);
    const value = percentile(
      all.map(({ ms }) => ms),
      SHARE,
    );
    return limitGoal({ text: `${text}: one ${what} changed, p99`, target: targetMs, value, unit: 'ms', values: [] });
  });
}

function sizeNote({ sizes }: Outcome): string {
  return `State: ${Object.entries(sizes)
    .map(([name, count]) => `${count.toLocaleString('en')} ${name}`)
    .join(', ')}.`;
}

function notesOf(samples: Samples): string[] {
  const perKind = (of: (list: readonly Sample[]) => string): string =>
    CHANGE_KINDS.map((kind) => `${kind} ${of(samples[kind])}`).join(', ');
  const all = CHANGE_KINDS.flatMap((kind) => samples[kind].map((sample) => ({ kind, ...sample })));
  const slowest = all.reduce<(Sample & { readonly kind: ChangeKind }) | undefined>(
    (worst, sample) => (worst && worst.ms >= sample.ms ? worst : sample),
    undefined,
  );
  return [
    `p99, ms: ${perKind((list) =>
      percentile(
        list.map(({ ms }) => ms),
        SHARE,
      ).toFixed(2),
    )}.`,
    `Map writes, median and most: ${perKind((list) => {
      const writes = list.map((sample) => sample.writes);
      return `${median(writes)} to ${Math.max(...writes)}`;
    })}.`,
    slowest
      ? `Slowest: ${slowest.kind} (${slowest.what}), ${slowest.ms.toFixed(1)} ms for ${slowest.writes} writes.`
      : '',
  ].filter(Boolean);
}

function phasesText(outcomes: readonly Outcome[]): string {
  const names = Object.keys(outcomes[0]?.phases ?? {});
  return names
    .map((name) => `${name} ${median(outcomes.map(({ phases }) => phases[name] ?? 0)).toFixed(2)} s`)
    .join(', ');
}
