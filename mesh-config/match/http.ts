// The request matcher: which HTTP rules allow a request. Rules are alternatives; the fields of one rule must all match.
//
// Each field is matched on its own, against all patterns that rules have for it at once, and gives the number of a set of
// patterns. Which rules hold for a combination of sets is worked out once and kept, so that a request costs one pass
// over each field and two look-ups, however many rules there are.

import type { HttpRule } from '../model.ts';
import { type DfaLimits, type DfaTable, UNKNOWN_RESULT } from './dfa.ts';
import { compileFieldInSteps, type FieldMatcher, type FieldStats } from './field.ts';
import { createPairTable } from './pairs.ts';
import { createRuleIndex, FIELDS, type FieldName } from './rules.ts';
import { finishSteps, type Steps } from './steps.ts';

/** A request as the proxy read it: where its parts are in the buffer. Header names are asked for in lower case. */
export interface RequestView {
  readonly buffer: Uint8Array;
  readonly methodStart: number;
  readonly methodEnd: number;
  readonly pathStart: number;
  readonly pathEnd: number;
  readonly hostStart: number;
  readonly hostEnd: number;
  header(nameLowerCase: string): string | undefined;
}

export interface HttpMatcherOptions {
  readonly limits?: DfaLimits;
  /** Combinations of pattern sets whose rules are kept; past it they are worked out for each request. */
  readonly maxCombinations?: number;
}

export interface HttpMatcher {
  readonly rules: number;
  /** Bytes that it may come to hold, about. */
  readonly maxBytes: number;
  /** Index of the first rule that allows the request, or -1. Allocates nothing once the combination has been met. */
  match(view: RequestView): number;
  /** Indices of all rules that allow the request, ascending. */
  matchAll(view: RequestView): readonly number[];
  stats(): Readonly<Record<FieldName, FieldStats>> & { readonly combinations: number };
  /** The automaton of one field, for a kernel program; undefined if it has none or it is not complete. */
  table(field: FieldName): DfaTable | undefined;
}

const MAX_COMBINATIONS = 65_536;
/** What a rule takes, its texts aside. */
const RULE_BYTES = 200;
/** Rule numbers in the lists of all kept combinations, for each that may be kept. */
const KEPT_RULES_PER_COMBINATION = 8;
/** What a kept combination takes, with its rules. */
const COMBINATION_BYTES = 100 + 4 * KEPT_RULES_PER_COMBINATION;

/**
 * Compiles rules. Throws if a pattern is not RE2: rules come from `readObjects`, which has checked that; a caller that
 * cannot be sure must refuse all requests when this throws.
 */
export function compileHttpRules(rules: readonly HttpRule[], options: HttpMatcherOptions = {}): HttpMatcher {
  return finishSteps(compileHttpRulesInSteps(rules, options));
}

/** `compileHttpRules` in steps. */
export function* compileHttpRulesInSteps(
  rules: readonly HttpRule[],
  options: HttpMatcherOptions = {},
): Steps<HttpMatcher> {
  const index = createRuleIndex(rules);
  const fields = {
    method: yield* compile('method', index.patterns.method, options.limits),
    path: yield* compile('path', index.patterns.path, options.limits),
    host: yield* compile('host', index.patterns.host, options.limits),
  };
  const { method, path, host } = fields;
  const maxCombinations = options.maxCombinations ?? MAX_COMBINATIONS;
  const maxKeptRules = maxCombinations * KEPT_RULES_PER_COMBINATION;
  const pairs = createPairTable(maxCombinations);
  const combinations = createPairTable(maxCombinations);
  // Of a combination: its first rule and, if that asks for headers, the rules up to the first that does not.
  const first: number[] = [];
  const conditional: (Int32Array | undefined)[] = [];
  let keptRules = 0;
  let nextPair = 0;

  const keep = (methodSet: number, pathSet: number, hostSet: number): number => {
    const found = index.find(method.setOf(methodSet), path.setOf(pathSet), host.setOf(hostSet));
    const list = index.decisive(found);
    let pair = pairs.get(methodSet, pathSet);
    if (pair < 0) {
      pair = nextPair++;
      if (!pairs.set(methodSet, pathSet, pair)) return -1;
    }
    if (keptRules + list.length > maxKeptRules || !combinations.set(pair, hostSet, first.length)) return -1;
    keptRules += list.length;
    conditional.push(list.length > 1 || index.needsHeaders(list[0] ?? -1) ? list : undefined);
    return first.push(list[0] ?? -1) - 1;
  };
  const matchSlowly = (view: RequestView, all: boolean): number[] => {
    const found = index.find(
      setNow(method, view.buffer, view.methodStart, view.methodEnd),
      setNow(path, view.buffer, view.pathStart, view.pathEnd),
      setNow(host, view.buffer, view.hostStart, view.hostEnd),
    );
    const held: number[] = [];
    for (const rule of found) {
      if (!index.headersHold(rule, view)) continue;
      held.push(rule);
      if (!all) break;
    }
    return held;
  };

  return {
    rules: rules.length,
    maxBytes:
      method.maxBytes + path.maxBytes + host.maxBytes + rules.length * RULE_BYTES + maxCombinations * COMBINATION_BYTES,
    match(view) {
      const { buffer } = view;
      const methodSet = method.run(buffer, view.methodStart, view.methodEnd);
      const pathSet = path.run(buffer, view.pathStart, view.pathEnd);
      const hostSet = host.run(buffer, view.hostStart, view.hostEnd);
      if (methodSet === UNKNOWN_RESULT || pathSet === UNKNOWN_RESULT || hostSet === UNKNOWN_RESULT) {
        return matchSlowly(view, false)[0] ?? -1;
      }
      const pair = pairs.get(methodSet, pathSet);
      let combination = pair < 0 ? -1 : combinations.get(pair, hostSet);
      if (combination < 0) combination = keep(methodSet, pathSet, hostSet);
      if (combination < 0) return matchSlowly(view, false)[0] ?? -1;
      const candidates = conditional[combination];
      if (candidates === undefined) return first[combination] ?? -1;
      for (let i = 0; i < candidates.length; i++) {
        const rule = candidates[i] ?? -1;
        if (index.headersHold(rule, view)) return rule;
      }
      return -1;
    },
    matchAll: (view) => matchSlowly(view, true),
    stats: () => ({
      method: method.stats(),
      path: path.stats(),
      host: host.stats(),
      combinations: combinations.size,
    }),
    table: (field) => fields[field].table(),
  };
}

function* compile(field: FieldName, patterns: readonly string[], limits: DfaLimits | undefined): Steps<FieldMatcher> {
  const compiled = yield* compileFieldInSteps(patterns, limits);
  if (!compiled.ok) throw new Error(`Cannot compile HTTP rules: ${field} ${compiled.error}`);
  return compiled.value;
}

function setNow(field: FieldMatcher, buffer: Uint8Array, start: number, end: number): Int32Array {
  const set = field.run(buffer, start, end);
  return set === UNKNOWN_RESULT ? field.resume(buffer, end) : field.setOf(set);
}

export { FIELDS, type FieldName };
