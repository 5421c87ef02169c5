// Matchers by the content of their rules: the same rules are compiled once, whoever they are for.

import { DEFAULT_LIMITS, type DfaLimits } from '#mesh-config/match/dfa.ts';
import { compileHttpRulesInSteps, type HttpMatcher } from '#mesh-config/match/http.ts';
import { checkPattern } from '#mesh-config/match/program.ts';
import { FIELDS } from '#mesh-config/match/rules.ts';
import type { Steps } from '#mesh-config/match/steps.ts';
import type { HttpRule } from '#mesh-config/model.ts';

export interface CompiledRules {
  /** undefined: no rule can be compiled. */
  readonly matcher: HttpMatcher | undefined;
  /** Place of each rule of the matcher among those that were given. */
  readonly places: readonly number[];
  /** Bytes that it may come to hold, about. */
  readonly maxBytes: number;
}

/** Smaller than what one matcher alone may have: a worker has one for each set of rules. */
const LIMITS: DfaLimits = { ...DEFAULT_LIMITS, setNodes: 1 << 20, lazyBytes: 8 << 20 };
const MIN_COMBINATIONS = 1024;
const MAX_COMBINATIONS = 65_536;
const COMBINATIONS_PER_RULE = 64;

/** Compiles `rules`. `onProblem` gets why some cannot be compiled: those allow nothing, the others still hold. */
export function* compileRules(rules: readonly HttpRule[], onProblem: (problem: string) => void): Steps<CompiledRules> {
  try {
    return yield* compilePlaces(rules, [...rules.keys()]);
  } catch (cause) {
    onProblem((cause as Error).message);
  }
  const sound: number[] = [];
  for (const [place, rule] of rules.entries()) {
    if (FIELDS.every((field) => rule[field] === '' || checkPattern(rule[field]).ok)) sound.push(place);
    yield;
  }
  try {
    if (sound.length > 0) return yield* compilePlaces(rules, sound);
  } catch (cause) {
    onProblem((cause as Error).message);
  }
  return { matcher: undefined, places: [], maxBytes: 0 };
}

function* compilePlaces(rules: readonly HttpRule[], places: readonly number[]): Steps<CompiledRules> {
  const wanted = Math.max(MIN_COMBINATIONS, places.length * COMBINATIONS_PER_RULE);
  const options = { limits: LIMITS, maxCombinations: Math.min(MAX_COMBINATIONS, wanted) };
  const chosen = places.map((place) => rules[place] as HttpRule);
  const matcher = yield* compileHttpRulesInSteps(chosen, options);
  return { matcher, places, maxBytes: matcher.maxBytes };
}
