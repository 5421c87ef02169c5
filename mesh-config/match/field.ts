// Matching one field of a request (method, path or host) against all expressions that rules have for it.

import { ok, type Result } from '#common/result.ts';
import { createDfaInSteps, type Dfa, type DfaLimits, type DfaTable, UNKNOWN_RESULT } from './dfa.ts';
import { createLiteralTable } from './literals.ts';
import { joinProgramsInSteps } from './nfa.ts';
import { compilePattern, literalOf, type Program } from './program.ts';
import { finishSteps, type Steps } from './steps.ts';

/** Instructions of all expressions of one field; past it a rule set is refused. */
const MAX_FIELD_INSTRUCTIONS = 4 << 20;

const LITERALS_PER_STEP = 64;
/** What a literal takes beside its bytes. */
const LITERAL_BYTES = 200;

export interface FieldStats {
  readonly literals: number;
  readonly expressions: number;
  readonly states: number;
  readonly complete: boolean;
  /** Table look-ups so far. */
  readonly steps: number;
  /** How often the table was full and begun anew. */
  readonly resets: number;
  /** Texts that the table could not decide so far. */
  readonly simulations: number;
}

export interface FieldMatcher {
  /**
   * Number of the set of patterns that match the whole of `buffer` from `start` to `end`; 0: none; UNKNOWN_RESULT: ask
   * `resume`. The same set may have several numbers.
   */
  run(buffer: Uint8Array, start: number, end: number): number;
  /** Patterns of a set, ascending. */
  setOf(number: number): Int32Array;
  /** After `run` has returned UNKNOWN_RESULT for the same text: the set itself. Slower, and allocates. */
  resume(buffer: Uint8Array, end: number): Int32Array;
  stats(): FieldStats;
  /** Bytes that it may come to hold, about. */
  readonly maxBytes: number;
  /** The automaton of the patterns that are not literals; undefined while it is not complete. */
  table(): DfaTable | undefined;
}

/** Compiles distinct patterns; pattern i is patterns[i]. The error names the pattern that is not RE2. */
export function compileField(patterns: readonly string[], limits?: DfaLimits): Result<FieldMatcher, string> {
  return finishSteps(compileFieldInSteps(patterns, limits));
}

/** `compileField` in steps. */
export function* compileFieldInSteps(
  patterns: readonly string[],
  limits?: DfaLimits,
): Steps<Result<FieldMatcher, string>> {
  const literals: { bytes: Uint8Array; pattern: number }[] = [];
  const programs: Program[] = [];
  const patternOf: number[] = [];
  let instructions = 0;
  for (const [pattern, text] of patterns.entries()) {
    // Without a metacharacter a pattern is its own literal; thousands of them need not be compiled to see that.
    if (!/[\\.+*?()|[\]{}^$]/.test(text) && text.isWellFormed()) {
      literals.push({ bytes: new TextEncoder().encode(text), pattern });
      continue;
    }
    yield;
    const compiled = compilePattern(text);
    if (!compiled.ok) return { ok: false, error: `${JSON.stringify(text)}: ${compiled.error}` };
    const literal = literalOf(compiled.value);
    if (literal !== undefined) {
      literals.push({ bytes: new TextEncoder().encode(literal), pattern });
      continue;
    }
    instructions += compiled.value.instructions.length;
    if (instructions > MAX_FIELD_INSTRUCTIONS) return { ok: false, error: 'the expressions are too large together' };
    programs.push(compiled.value);
    patternOf.push(pattern);
  }
  return ok(yield* assemble(literals, programs, Int32Array.from(patternOf), limits));
}

function* assemble(
  literals: readonly { bytes: Uint8Array; pattern: number }[],
  programs: readonly Program[],
  patternOf: Int32Array,
  limits: DfaLimits | undefined,
): Steps<FieldMatcher> {
  const dfa: Dfa | undefined =
    programs.length > 0 ? yield* createDfaInSteps(yield* joinProgramsInSteps(programs), limits) : undefined;
  const toPatterns = (expressions: Int32Array): Int32Array => expressions.map((e) => patternOf[e] ?? 0);
  const expressionsOf = (bytes: Uint8Array): Int32Array => {
    if (!dfa) return new Int32Array(0);
    const set = dfa.run(bytes, 0, bytes.length);
    return set === UNKNOWN_RESULT ? dfa.resume(bytes, bytes.length) : dfa.setOf(set);
  };

  // Different patterns may be the same literal: "/a" and "^/a$". One entry stands for all of them, and for the
  // expressions that match the literal, so that a literal that is found needs no second look.
  const merged = new Map<string, { bytes: Uint8Array; patterns: number[] }>();
  for (const { bytes, pattern } of literals) {
    const key = Buffer.from(bytes).toString('latin1');
    const entry = merged.get(key) ?? { bytes, patterns: [...toPatterns(expressionsOf(bytes))] };
    entry.patterns.push(pattern);
    merged.set(key, entry);
    if (merged.size % LITERALS_PER_STEP === 0) yield;
  }
  const entries = [...merged.values()];
  const literalSets = entries.map((entry) => Int32Array.from(entry.patterns).sort());
  const table = createLiteralTable(entries.map(({ bytes }, value) => ({ bytes, value })));
  let simulations = 0;

  return {
    // Odd numbers are literals, even ones sets of the automaton.
    run(buffer, start, end) {
      const literal = table.find(buffer, start, end);
      if (literal >= 0) return literal * 2 + 1;
      if (dfa === undefined) return 0;
      const set = dfa.run(buffer, start, end);
      return set === UNKNOWN_RESULT ? UNKNOWN_RESULT : set * 2;
    },
    setOf(number) {
      if (number % 2 === 1) return literalSets[number >> 1] ?? new Int32Array(0);
      return dfa ? toPatterns(dfa.setOf(number >> 1)) : new Int32Array(0);
    },
    resume(buffer, end) {
      simulations++;
      return dfa ? toPatterns(dfa.resume(buffer, end)) : new Int32Array(0);
    },
    stats: () => ({
      literals: entries.length,
      expressions: programs.length,
      states: dfa?.states ?? 0,
      complete: dfa?.complete ?? true,
      steps: dfa?.steps ?? 0,
      resets: dfa?.resets ?? 0,
      simulations,
    }),
    maxBytes: (dfa?.maxBytes ?? 0) + entries.reduce((sum, { bytes }) => sum + bytes.length + LITERAL_BYTES, 0),
    table: () => dfa?.table(),
  };
}
