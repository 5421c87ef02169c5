// One deterministic automaton over many expressions: one table look-up per byte, however many they are.
//
// Rows are built ahead as far as the budget reaches, the others when a request first needs them, up to the limit. When the
// table is full it is begun anew, but not before it has earned its cost (as in RE2's own automaton, dfa.cc); until then
// `run` stops where the table ends and `resume` goes on without it. Bytes past ASCII are not in the table either:
// expressions speak of characters, and in the requests that HTTP's grammar allows there are none.

import type { ByteClasses } from './classes.ts';
import type { Nfa } from './nfa.ts';
import { simulate } from './simulate.ts';
import { createStates } from './states.ts';
import { finishSteps, type Steps } from './steps.ts';
import type { StateStore } from './store.ts';
import { DEAD, type DfaLimits, ESCAPE, UNBUILT } from './store.ts';

export { type DfaLimits, ESCAPE };

export const DEFAULT_LIMITS: DfaLimits = { tableBytes: 32 << 20, setNodes: 4 << 20, aheadVisits: 8 << 20 };

/** Returned by `run`: not known, `resume` tells. */
export const UNKNOWN_RESULT = -1;

/** The automaton as plain data, for a kernel program or a test. State 0 is dead, state 1 is where to begin. */
export interface DfaTable {
  readonly states: number;
  readonly classes: number;
  /** Class of each byte, 256 entries. */
  readonly classMap: Uint8Array;
  /** next[state * classes + class] = state; ESCAPE: the text is not ASCII, ask the proxy. */
  readonly next: Int32Array;
  /** accepts[state]: index into `sets`. */
  readonly accepts: Int32Array;
  /** Sets of expressions, ascending; sets[0] is empty. */
  readonly sets: readonly Int32Array[];
}

export interface Dfa {
  /**
   * Number of the set of expressions that match the whole of `buffer` from `start` to `end`, or UNKNOWN_RESULT.
   * Allocates nothing where the rows it needs exist.
   */
  run(buffer: Uint8Array, start: number, end: number): number;
  /** After `run` has returned UNKNOWN_RESULT for the same text: the set itself, ascending. */
  resume(buffer: Uint8Array, end: number): Int32Array;
  /** The expressions of a set, ascending. Set 0 is empty. */
  setOf(number: number): Int32Array;
  readonly states: number;
  /** Every row is built: `run` is UNKNOWN_RESULT only for texts that are not ASCII. */
  readonly complete: boolean;
  /** Table look-ups so far. */
  readonly steps: number;
  /** How often the table was full and begun anew. */
  readonly resets: number;
  /** Bytes that it may come to hold, about. */
  readonly maxBytes: number;
  /** undefined if it is not complete. */
  table(): DfaTable | undefined;
}

const NO_EXPRESSIONS = new Int32Array(0);
/** What a node takes: its place in arrays, and the instruction behind it. */
const NODE_BYTES = 300;
/** Look-ups that each row of a full table must have served before the table is begun anew. */
const STEPS_PER_ROW = 10;

/** Builds the automaton of all expressions of `nfa`. */
export function createDfa(nfa: Nfa, limits: DfaLimits = DEFAULT_LIMITS): Dfa {
  return finishSteps(createDfaInSteps(nfa, limits));
}

/** `createDfa` in steps. */
export function* createDfaInSteps(nfa: Nfa, limits: DfaLimits = DEFAULT_LIMITS): Steps<Dfa> {
  const states = createStates(nfa, limits);
  const complete = yield* states.buildAll();
  if (!complete && limits.lazyBytes !== undefined) states.store.cap(limits.lazyBytes);
  const { map } = states.classes;
  const { store } = states;
  const { width } = store;
  // A counter in a plain variable would become a heap number, allocated anew at each change.
  const steps = new Float64Array(1);
  let resets = 0;
  let resetAt = 0;
  // Where the last run stopped without a result.
  let stoppedRow = 0;
  let stoppedAt = 0;
  const run: Dfa['run'] = (buffer, start, end) => {
    let table = store.table();
    let row = width;
    for (let i = start; i < end; i++) {
      const column = map[buffer[i] as number] as number;
      let next = table[row + column] as number;
      if (next === UNBUILT) {
        next = states.build(row, column);
        table = store.table();
        if (next === UNBUILT && (steps[0] as number) - resetAt >= store.count * STEPS_PER_ROW) {
          resetAt = steps[0] as number;
          resets++;
          store.reset();
          return run(buffer, start, end);
        }
      }
      if (next <= DEAD) {
        steps[0] = (steps[0] as number) + (i - start + 1);
        if (next === DEAD) return 0;
        stoppedRow = row;
        stoppedAt = i;
        return UNKNOWN_RESULT;
      }
      row = next;
    }
    steps[0] = (steps[0] as number) + (end - start);
    return table[row + width - 1] as number;
  };
  return {
    run,
    resume(buffer, end) {
      const state = stoppedRow / width;
      const position = { at: stoppedAt, nodes: store.nodesAt(state), before: store.beforeAt(state) };
      return simulate(nfa, buffer, position, end);
    },
    setOf: (number) => store.accepts[number] ?? NO_EXPRESSIONS,
    get states() {
      return store.count;
    },
    complete,
    maxBytes: store.maxBytes + nfa.size * NODE_BYTES,
    get steps() {
      return steps[0] ?? 0;
    },
    get resets() {
      return resets;
    },
    table: () => (complete ? exportTable(store, states.classes) : undefined),
  };
}

function exportTable({ table, width, count, accepts }: StateStore, classes: ByteClasses): DfaTable {
  const rows = table();
  const next = new Int32Array(count * classes.count);
  const ends = new Int32Array(count);
  for (let state = 0; state < count; state++) {
    for (let column = 0; column < classes.count; column++) {
      const entry = rows[state * width + column] ?? DEAD;
      next[state * classes.count + column] = entry === ESCAPE ? ESCAPE : entry / width;
    }
    ends[state] = rows[state * width + width - 1] ?? 0;
  }
  return { states: count, classes: classes.count, classMap: classes.map, next, accepts: ends, sets: accepts };
}
