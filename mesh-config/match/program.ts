// A regular expression in RE2 syntax as the program of an automaton. Parsing and compiling are re2js's; running is ours,
// because many expressions shall be run at once and without allocating.

import { RE2JS } from 're2js';
import { err, ok, type Result } from '#common/result.ts';

/** Instructions of one expression: counted repetition multiplies them. RE2's own default is of the same size. */
export const MAX_INSTRUCTIONS = 10_000;
/** Highest code point that is matched by table; the rest is matched by calling `matches`. */
export const ASCII_LIMIT = 0x80;

/** Conditions of an empty-width assertion, as bits. */
export const EMPTY = {
  beginLine: 1,
  endLine: 2,
  beginText: 4,
  endText: 8,
  wordBoundary: 16,
  noWordBoundary: 32,
} as const;

export type Instruction =
  | { readonly kind: 'split'; readonly out: number; readonly other: number }
  | { readonly kind: 'jump'; readonly out: number }
  | { readonly kind: 'assert'; readonly out: number; readonly conditions: number }
  | {
      readonly kind: 'rune';
      readonly out: number;
      matches(codePoint: number): boolean;
      readonly single: number /* the one code point, or -1 */;
    }
  | { readonly kind: 'match' }
  | { readonly kind: 'fail' };

export interface Program {
  readonly start: number;
  readonly instructions: readonly Instruction[];
}

/** re2js's instruction; the numbers are those of Go's regexp/syntax, from which it was ported. */
interface Re2Instruction {
  readonly op: number;
  readonly out: number;
  readonly arg: number;
  readonly runes: ArrayLike<number>;
  matchRune(codePoint: number): boolean;
}

const OP = {
  alt: 1,
  altMatch: 2,
  capture: 3,
  assert: 4,
  fail: 5,
  match: 6,
  nop: 7,
  rune: 8,
  rune1: 9,
  any: 10,
  anyNotNewline: 11,
};
const FOLD_CASE = 1;
const NEWLINE = 10;

/** Compiles `pattern`; the error says what is wrong with it, in words that stand after "no RE2 regular expression:". */
export function compilePattern(pattern: string): Result<Program, string> {
  let compiled: { readonly start: number; readonly inst: readonly Re2Instruction[] };
  try {
    compiled = RE2JS.compile(pattern).re2Input.prog;
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    return err(cause.message.replace(/^error parsing regexp: /, ''));
  }
  const size = compiled.inst.length;
  if (size > MAX_INSTRUCTIONS) {
    return err(`it is too complex: ${size} steps, at most ${MAX_INSTRUCTIONS}; large repetition counts multiply`);
  }
  return ok({ start: compiled.start, instructions: compiled.inst.map(translate) });
}

/** Whether `pattern` is an RE2 regular expression that can be compiled. */
export function checkPattern(pattern: string): Result<void, string> {
  const compiled = compilePattern(pattern);
  return compiled.ok ? ok(undefined) : compiled;
}

function translate(inst: Re2Instruction): Instruction {
  const { op, out, arg } = inst;
  switch (op) {
    case OP.alt:
    case OP.altMatch:
      return { kind: 'split', out, other: arg };
    case OP.capture:
    case OP.nop:
      return { kind: 'jump', out };
    case OP.assert:
      return { kind: 'assert', out, conditions: arg };
    case OP.match:
      return { kind: 'match' };
    case OP.fail:
      return { kind: 'fail' };
    case OP.any:
      return { kind: 'rune', out, matches: any, single: -1 };
    case OP.anyNotNewline:
      return { kind: 'rune', out, matches: anyNotNewline, single: -1 };
    case OP.rune:
    case OP.rune1:
      return { kind: 'rune', out, matches: (codePoint) => inst.matchRune(codePoint), single: singleRune(inst) };
    default:
      // Look-behind, which RE2 lacks, or a re2js that has changed under us.
      throw new Error(`Cannot compile regular expression: re2js gave the unknown instruction ${op}`);
  }
}

// Named, so that all dots of all expressions share one function and are recognised by it.
const any = (): boolean => true;
const anyNotNewline = (codePoint: number): boolean => codePoint !== NEWLINE;

/** The one code point that the instruction matches, or -1. */
function singleRune(inst: Re2Instruction): number {
  const [first = -1, last = first] = Array.from(inst.runes);
  return inst.runes.length <= 2 && first === last && (inst.arg & FOLD_CASE) === 0 ? first : -1;
}

/** The one text that the program matches, or undefined if it matches none, several, or one that is not Unicode. */
export function literalOf(program: Program): string | undefined {
  let text = '';
  let begun = false;
  let ended = false;
  let at = program.start;
  // Every step goes to another instruction, so that a program of n instructions is read after n steps.
  for (let step = 0; step <= program.instructions.length; step++) {
    const inst = program.instructions[at];
    switch (inst?.kind) {
      case 'match':
        return text.isWellFormed() ? text : undefined;
      case 'jump':
        break;
      case 'assert': {
        const before = inst.conditions === EMPTY.beginText && !begun;
        if (inst.conditions === EMPTY.endText) ended = true;
        else if (!before) return undefined;
        break;
      }
      case 'rune':
        if (inst.single < 0 || ended) return undefined;
        text += String.fromCodePoint(inst.single);
        begun = true;
        break;
      default:
        return undefined;
    }
    at = inst.out;
  }
  return undefined;
}
