// Runs cases: asks whoever shall answer for every flow, and compares.

import { flowExpectation, objectExpectation } from './changes.ts';
import { type Answerer, createEngine } from './engine.ts';
import { type Case, type CaseFlow, expectationsOf, type FlowsCase, type ObjectCase } from './format.ts';
import { buildMesh, type Mesh, readPolicies } from './mesh.ts';
import { agrees, expectedVerdict, showVerdict, type Verdict } from './verdict.ts';

/** Who is asked for verdicts. */
export type Judge = 'engine' | 'kernel';

/** One answer that is not the one expected. */
export interface Difference {
  readonly case: string;
  /** "alpha/web -> 192.0.2.1 TCP/80 egress"; "every flow", if the case cannot be decided at all; "object". */
  readonly flow: string;
  /** 'reader': it is not about a verdict, but about how the case or its objects are read. */
  readonly judge: Judge | 'reader';
  readonly expected: string;
  readonly got: string;
  /** The entry that decided, or what else there is to say. */
  readonly by: string;
}

/** Directions of flows (and objects) that are as expected in the eyes of all judges, and those that are not. */
export interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly differences: readonly Difference[];
  /** Flows that the reference cannot decide and for which nobody has said what Weir shall say: only decided, not compared. */
  readonly undecided: number;
}

export interface Judges {
  readonly engine: boolean;
  /** Puts the rows of a case into the kernel's maps. undefined: the kernel is not asked. */
  readonly kernel: ((mesh: Mesh) => Promise<Answerer>) | undefined;
}

/** Judges one case. */
export async function runCase(one: Case, judges: Judges): Promise<Tally> {
  switch (one.kind) {
    case 'unreadable':
      return broken(one.name, { flow: 'every flow', count: 1, reason: one.reason });
    case 'object':
      return runObject(one.value);
    case 'flows':
      return runFlows(one.value, judges);
  }
}

/** The sum of two tallies. */
export function sumOf(a: Tally, b: Tally): Tally {
  return {
    passed: a.passed + b.passed,
    failed: a.failed + b.failed,
    differences: [...a.differences, ...b.differences],
    undecided: a.undecided + b.undecided,
  };
}

export const NOTHING: Tally = { passed: 0, failed: 0, differences: [], undecided: 0 };

function broken(name: string, what: { readonly flow: string; readonly count: number; readonly reason: string }): Tally {
  const by = what.count > 1 ? `${what.count} verdicts` : '';
  const difference = {
    case: name,
    flow: what.flow,
    judge: 'reader',
    expected: 'a case that can be decided',
    by,
  } as const;
  return { ...NOTHING, failed: what.count, differences: [{ ...difference, got: what.reason }] };
}

function runObject(one: ObjectCase): Tally {
  const { accepted, why } = objectExpectation(one);
  const read = readPolicies([one.object]);
  if (read.ok === accepted) return { ...NOTHING, passed: 1 };
  const reference = [one.error, one.schemaError].filter(Boolean).join('; ');
  const expected = `${accepted ? 'accepted' : 'refused'}${why ? `, for ${why}` : reference ? `: ${reference}` : ''}`;
  const got = read.ok ? 'accepted' : `refused: ${read.error}`;
  const difference: Difference = { case: one.name, flow: 'object', judge: 'reader', expected, got, by: '' };
  return { ...NOTHING, failed: 1, differences: [difference] };
}

async function runFlows(vector: FlowsCase, judges: Judges): Promise<Tally> {
  const asked = vector.flows.flatMap((flow) => expectationsOf(flow).map((pair) => [flow, ...pair] as const));
  const answerers: [Judge, Answerer][] = [];
  try {
    const mesh = buildMesh(vector);
    if (judges.engine) answerers.push(['engine', createEngine(mesh)]);
    if (judges.kernel) answerers.push(['kernel', await judges.kernel(mesh)]);
  } catch (error) {
    return broken(vector.name, { flow: 'every flow', count: asked.length, reason: (error as Error).message });
  }
  let [passed, undecided] = [0, 0];
  const differences: Difference[] = [];
  for (const [flow, direction, written] of asked) {
    const expected = expectedVerdict(flowExpectation(vector.name, { ...flow, direction }, written));
    const found = judge({ name: vector.name, flow, direction, expected }, answerers);
    if (found.length === 0) passed++;
    if (!expected) undecided++;
    differences.push(...found);
  }
  return { passed, failed: asked.length - passed, differences, undecided };
}

interface Asked {
  readonly name: string;
  readonly flow: CaseFlow;
  readonly direction: 'ingress' | 'egress';
  readonly expected: Verdict | undefined;
}

/** The differences of one direction of a flow. Without an expectation all judges must say the same. */
function judge(asked: Asked, answerers: readonly (readonly [Judge, Answerer])[]): readonly Difference[] {
  const { name, flow, direction } = asked;
  const place = { case: name, flow: `${flow.from} -> ${flow.to} ${flow.protocol}/${flow.port} ${direction}` };
  let expected = asked.expected;
  const differences: Difference[] = [];
  for (const [by, answerer] of answerers) {
    const shown = expected ? showVerdict(expected) : 'a verdict';
    try {
      const got = answerer.answer(flow, direction);
      expected ??= got;
      if (agrees(expected, got)) continue;
      differences.push({ ...place, judge: by, expected: shown, got: showVerdict(got), by: got.by });
    } catch (error) {
      differences.push({ ...place, judge: by, expected: shown, got: (error as Error).message, by: '' });
    }
  }
  return differences;
}
