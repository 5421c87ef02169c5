// Many programs joined into one automaton without determinism, and what is done on sets of its nodes: following empty
// edges, stepping over a character, and asking which expressions have matched.
//
// A set holds only nodes that wait: for a character (rune), for knowledge of the next character (assert), or nothing
// (match). An assertion that looks only backwards is decided while the set is made; one that looks forward when the
// next character is known.

import { type AsciiSets, createAsciiSets } from './classes.ts';
import { ASCII_LIMIT, EMPTY, type Program } from './program.ts';
import { finishSteps, type Steps } from './steps.ts';

const KIND = { fail: 0, split: 1, jump: 2, assert: 3, rune: 4, match: 5 } as const;
const NEWLINE = 10;
const FORWARD = EMPTY.endLine | EMPTY.endText | EMPTY.wordBoundary | EMPTY.noWordBoundary;

/** What came before a set: needed for assertions that look backwards. */
export const BEFORE = { begin: 0, newline: 1, word: 2, other: 3 } as const;
export type Before = (typeof BEFORE)[keyof typeof BEFORE];

/** Instead of a code point: the end of the text. */
const END = -1;

export interface Nfa {
  /** Number of nodes. */
  readonly size: number;
  /** Where each expression begins, in the order given. */
  readonly starts: Int32Array;
  readonly asciiSets: AsciiSets;
  readonly assertsLines: boolean;
  readonly assertsWords: boolean;
  /** The ASCII characters that a rune node matches, as a number in `asciiSets`; -1 for other nodes. */
  asciiSetOf(node: number): number;
  /** Where a rune node leads. */
  outOf(node: number): number;
  /** The nodes that wait, from `from` over empty edges; ascending. `after`: undefined while the next character is not known. */
  close(from: ArrayLike<number>, before: Before, after?: number): Int32Array;
  /** Whether a node of the set waits for knowledge of the next character (its being the end does not count). */
  looksAhead(set: Int32Array): boolean;
  /** Nodes that follow a set over one character. The set has been closed with this character as `after`. */
  advance(set: Int32Array, codePoint: number): number[];
  /** Expressions that match if the text ends here; ascending. */
  matchedAt(set: Int32Array, before: Before): Int32Array;
}

/** The nodes in flat arrays. */
interface Nodes {
  readonly kind: Uint8Array;
  readonly out: Int32Array;
  /** split: the other way; assert: its conditions; rune: number of the ASCII set; match: the expression. */
  readonly extra: Int32Array;
  readonly matchers: readonly (((codePoint: number) => boolean) | undefined)[];
  readonly starts: Int32Array;
  readonly asciiSets: AsciiSets;
  /** All conditions that any assertion has. */
  readonly conditions: number;
}

/** What a character is for assertions that look at it from behind. */
export function beforeOf(codePoint: number): Before {
  if (codePoint === NEWLINE) return BEFORE.newline;
  return isWord(codePoint) ? BEFORE.word : BEFORE.other;
}

/** Joins programs; expression i is programs[i]. */
export function joinPrograms(programs: readonly Program[]): Nfa {
  return finishSteps(joinProgramsInSteps(programs));
}

/** `joinPrograms` in steps. */
export function* joinProgramsInSteps(programs: readonly Program[]): Steps<Nfa> {
  const nodes = yield* layOut(programs);
  const { kind, out, extra, matchers, asciiSets } = nodes;
  const close = createClose(nodes);
  return {
    size: kind.length,
    starts: nodes.starts,
    asciiSets,
    assertsLines: (nodes.conditions & (EMPTY.beginLine | EMPTY.endLine)) !== 0,
    assertsWords: (nodes.conditions & (EMPTY.wordBoundary | EMPTY.noWordBoundary)) !== 0,
    asciiSetOf: (node) => (kind[node] === KIND.rune ? (extra[node] ?? -1) : -1),
    outOf: (node) => out[node] ?? 0,
    close,
    looksAhead: (set) => set.some((node) => kind[node] === KIND.assert && extra[node] !== EMPTY.endText),
    advance(set, codePoint) {
      const next: number[] = [];
      for (const node of set) {
        if (kind[node] !== KIND.rune) continue;
        const holds =
          codePoint < ASCII_LIMIT
            ? asciiSets.all[extra[node] ?? 0]?.[codePoint] === 1
            : matchers[node]?.(codePoint) === true;
        if (holds) next.push(out[node] ?? 0);
      }
      return next;
    },
    matchedAt(set, before) {
      const found = new Set<number>();
      for (const node of close(set, before, END)) if (kind[node] === KIND.match) found.add(extra[node] ?? 0);
      return Int32Array.from(found).sort();
    },
  };
}

/** Whether `program` matches any text that begins with the character. False is certain. */
export function canBeginWith(program: Program, character: string): boolean {
  const codePoint = character.codePointAt(0) ?? END;
  const nfa = joinPrograms([program]);
  return nfa.advance(nfa.close(nfa.starts, BEFORE.begin, codePoint), codePoint).length > 0;
}

function* layOut(programs: readonly Program[]): Steps<Nodes> {
  const size = programs.reduce((sum, p) => sum + p.instructions.length, 0);
  const kind = new Uint8Array(size);
  const out = new Int32Array(size);
  const extra = new Int32Array(size);
  const matchers: (((codePoint: number) => boolean) | undefined)[] = new Array(size);
  const asciiSets = createAsciiSets();
  const starts = new Int32Array(programs.length);
  let conditions = 0;
  let base = 0;
  for (const [expression, program] of programs.entries()) {
    starts[expression] = base + program.start;
    for (const [i, inst] of program.instructions.entries()) {
      const node = base + i;
      kind[node] = KIND[inst.kind];
      if ('out' in inst) out[node] = base + inst.out;
      if (inst.kind === 'split') extra[node] = base + inst.other;
      else if (inst.kind === 'assert') {
        extra[node] = inst.conditions;
        conditions |= inst.conditions;
      } else if (inst.kind === 'rune') {
        extra[node] = asciiSets.intern(inst);
        matchers[node] = inst.matches;
      } else if (inst.kind === 'match') extra[node] = expression;
    }
    base += program.instructions.length;
    yield;
  }
  return { kind, out, extra, matchers, starts, asciiSets, conditions };
}

function createClose({ kind, out, extra }: Nodes): Nfa['close'] {
  // A node has been visited if its mark is the current round.
  const marks = new Float64Array(kind.length);
  let round = 0;
  const stack: number[] = [];
  return (from, before, after) => {
    round++;
    const found: number[] = [];
    const holds = conditionsAt(before, after);
    for (let i = from.length - 1; i >= 0; i--) stack.push(from[i] ?? 0);
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      if (marks[node] === round) continue;
      marks[node] = round;
      switch (kind[node]) {
        case KIND.split:
          stack.push(extra[node] ?? 0, out[node] ?? 0);
          break;
        case KIND.jump:
          stack.push(out[node] ?? 0);
          break;
        case KIND.assert: {
          const open = (extra[node] ?? 0) & ~holds;
          if (open === 0) stack.push(out[node] ?? 0);
          else if (after === undefined && (open & ~FORWARD) === 0) found.push(node);
          break;
        }
        case KIND.rune:
        case KIND.match:
          found.push(node);
          break;
      }
    }
    return Int32Array.from(found).sort();
  };
}

/** Conditions that hold between two characters; without `after` only those that look backwards. */
function conditionsAt(before: Before, after: number | undefined): number {
  let holds = 0;
  if (before === BEFORE.begin) holds |= EMPTY.beginText | EMPTY.beginLine;
  if (before === BEFORE.newline) holds |= EMPTY.beginLine;
  if (after === undefined) return holds;
  if (after === END) holds |= EMPTY.endText | EMPTY.endLine;
  if (after === NEWLINE) holds |= EMPTY.endLine;
  return holds | (isWord(after) === (before === BEFORE.word) ? EMPTY.noWordBoundary : EMPTY.wordBoundary);
}

/** [0-9A-Za-z_], the only word characters of RE2. */
function isWord(codePoint: number): boolean {
  return (
    (codePoint >= 0x30 && codePoint <= 0x39) ||
    (codePoint >= 0x41 && codePoint <= 0x5a) ||
    (codePoint >= 0x61 && codePoint <= 0x7a) ||
    codePoint === 0x5f
  );
}
