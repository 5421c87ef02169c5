// One deterministic automaton over many expressions: one table look-up per byte, however many they are.
//
// The table has a row per state: one column per byte class (the row to go to), and a last column with the number of the
// set of expressions that match if the text ends there. Rows are built ahead as far as the budget reaches, the others when
// a request first needs them, up to the limit; past it `run` says that it does not know, and the caller simulates.
// Bytes past ASCII are not in the table: expressions speak of characters, and in the requests that HTTP's grammar
// allows there are none.

import { type ByteClasses, classify } from './classes.ts';
import { BEFORE, type Before, beforeOf, type Nfa } from './nfa.ts';

export interface DfaLimits {
  /** Bytes of the table. */
  readonly tableBytes: number;
  /** Nodes in all sets behind the states: what it takes to build more rows. */
  readonly setNodes: number;
  /** Nodes visited to build rows ahead: about 10 million a second. */
  readonly aheadVisits: number;
}

export const DEFAULT_LIMITS: DfaLimits = { tableBytes: 8 << 20, setNodes: 2 << 20, aheadVisits: 4 << 20 };

/** Returned by `run`: not known, to be simulated. */
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

/** In DfaTable.next: leave the table. */
export const ESCAPE = -2;

export interface Dfa {
  /**
   * Number of the set of expressions that match the whole of `buffer` from `start` to `end`, or UNKNOWN_RESULT.
   * Allocates nothing where the rows it needs exist.
   */
  run(buffer: Uint8Array, start: number, end: number): number;
  /** The expressions of a set, ascending. Set 0 is empty. */
  setOf(number: number): Int32Array;
  readonly states: number;
  /** Every row is built: `run` is UNKNOWN_RESULT only for texts that are not ASCII. */
  readonly complete: boolean;
  /** Table look-ups so far. */
  readonly steps: number;
  /** undefined while the table is not complete. */
  table(): DfaTable | undefined;
}

const DEAD = 0;
const UNBUILT = -1;

/** Builds the automaton of all expressions of `nfa`. */
export function createDfa(nfa: Nfa, limits: DfaLimits = DEFAULT_LIMITS): Dfa {
  const classes = classify(nfa.asciiSets, nfa);
  const { map } = classes;
  const width = classes.count + 1;
  const builder = createRows(nfa, classes, limits);
  // Float64Array: a counter in a plain variable would become a heap number, allocated anew at each change.
  const counters = new Float64Array(1);
  buildAhead();

  function buildAhead(): void {
    for (let state = 1; state < builder.states; state++) {
      if (builder.visits > limits.aheadVisits || !builder.buildRow(state * width)) return;
    }
    builder.finish();
  }

  return {
    run(buffer, start, end) {
      let rows = builder.rows();
      let row = width;
      let i = start;
      while (i < end) {
        let next = rows[row + (map[buffer[i] as number] as number)] as number;
        if (next <= DEAD) {
          if (next === UNBUILT) {
            next = builder.build(row, map[buffer[i] as number] as number);
            rows = builder.rows();
          }
          if (next <= DEAD) {
            counters[0] = (counters[0] as number) + (i - start) + 1;
            return next === DEAD ? 0 : UNKNOWN_RESULT;
          }
        }
        row = next;
        i++;
      }
      counters[0] = (counters[0] as number) + (i - start);
      return rows[row + width - 1] as number;
    },
    setOf: builder.setOf,
    get states() {
      return builder.states;
    },
    get complete() {
      return builder.complete;
    },
    get steps() {
      return counters[0] ?? 0;
    },
    table: () => (builder.complete ? exportTable(builder, classes) : undefined),
  };
}

interface Rows {
  readonly states: number;
  readonly visits: number;
  readonly complete: boolean;
  /** The table; another one after `build`. Entries are row offsets, DEAD, UNBUILT or ESCAPE. */
  rows(): Int32Array;
  /** Fills one entry and returns it; UNBUILT if a limit is reached. */
  build(row: number, column: number): number;
  /** Fills all entries of a row; false if a limit is reached. */
  buildRow(row: number): boolean;
  finish(): void;
  setOf(number: number): Int32Array;
  readonly sets: readonly Int32Array[];
}

function createRows(nfa: Nfa, classes: ByteClasses, limits: DfaLimits): Rows {
  const width = classes.count + 1;
  const maxStates = Math.max(2, Math.floor(limits.tableBytes / (4 * width)));
  let table = new Int32Array(width * 16);
  let states = 0;
  let visits = 0;
  let setNodes = 0;
  let complete = false;
  const nodesOf: Int32Array[] = [];
  const beforeAt: Before[] = [];
  const byNodes = createInterner();
  const accepts = createInterner();
  accepts.intern(new Int32Array(0), 0);

  const add = (nodes: Int32Array, before: Before): number => {
    const { number: state, isNew } = byNodes.intern(nodes, before);
    if (!isNew) return state * width;
    if ((states + 1) * width > table.length) {
      const larger = new Int32Array(Math.min(maxStates, states * 2) * width);
      larger.set(table);
      table = larger;
    }
    states++;
    setNodes += nodes.length;
    nodesOf.push(nodes);
    beforeAt.push(before);
    const row = state * width;
    table.fill(nodes.length === 0 ? DEAD : UNBUILT, row, row + width);
    if (nodes.length > 0) table[row + classes.escape] = ESCAPE;
    table[row + width - 1] = accepts.intern(nfa.matchedAt(nodes, before), 0).number;
    return row;
  };
  // What came before matters only to assertions that are there; otherwise it would only multiply states.
  const normal = (before: Before): Before => {
    if (before === BEFORE.newline && !nfa.assertsLines) return BEFORE.other;
    return before === BEFORE.word && !nfa.assertsWords ? BEFORE.other : before;
  };
  add(new Int32Array(0), BEFORE.other);
  add(nfa.close(nfa.starts, BEFORE.begin), BEFORE.begin);
  return {
    get states() {
      return states;
    },
    get visits() {
      return visits;
    },
    get complete() {
      return complete;
    },
    rows: () => table,
    build(row, column) {
      const state = row / width;
      const nodes = nodesOf[state] ?? new Int32Array(0);
      const byte = classes.representatives[column] ?? 0;
      visits += nodes.length + 1;
      const ready = nfa.looksAhead(nodes) ? nfa.close(nodes, beforeAt[state] ?? BEFORE.other, byte) : nodes;
      const before = normal(beforeOf(byte));
      const next = nfa.close(nfa.advance(ready, byte), before);
      const known = next.length === 0 ? 0 : byNodes.find(next, before);
      if (known < 0 && (states >= maxStates || setNodes + next.length > limits.setNodes)) return UNBUILT;
      const target = known < 0 ? add(next, before) : known * width;
      table[row + column] = target;
      return target;
    },
    finish() {
      complete = true;
      nodesOf.length = 0;
      beforeAt.length = 0;
      byNodes.clear();
    },
    setOf: accepts.get,
    sets: accepts.all,
  };
}

function exportTable(rows: Rows, classes: ByteClasses): DfaTable {
  const { count } = classes;
  const width = count + 1;
  const source = rows.rows();
  const next = new Int32Array(rows.states * count);
  const accepts = new Int32Array(rows.states);
  for (let state = 0; state < rows.states; state++) {
    for (let column = 0; column < count; column++) {
      const entry = source[state * width + column] ?? DEAD;
      next[state * count + column] = entry === ESCAPE ? ESCAPE : entry / width;
    }
    accepts[state] = source[state * width + count] ?? 0;
  }
  return { states: rows.states, classes: count, classMap: classes.map, next, accepts, sets: rows.sets };
}

interface Interner {
  readonly all: Int32Array[];
  get(number: number): Int32Array;
  /** The number of an equal list with the same tag, or -1. */
  find(list: Int32Array, tag: number): number;
  intern(list: Int32Array, tag: number): { readonly number: number; readonly isNew: boolean };
  /** Forgets the lists; numbers stay given out. */
  clear(): void;
}

/** Numbers for distinct lists of integers. */
function createInterner(): Interner {
  const all: Int32Array[] = [];
  const tags: number[] = [];
  const byHash = new Map<number, number[]>();
  const hashOf = (list: Int32Array, tag: number): number => {
    let hash = tag;
    for (const n of list) hash = Math.imul(hash ^ n, 0x01000193) ^ (hash >>> 13);
    return hash;
  };
  const find = (list: Int32Array, tag: number): number => {
    const same = (n: number): boolean => {
      const other = all[n];
      return tags[n] === tag && other?.length === list.length && other.every((value, i) => value === list[i]);
    };
    return byHash.get(hashOf(list, tag))?.find(same) ?? -1;
  };
  return {
    all,
    get: (number) => all[number] ?? new Int32Array(0),
    find,
    intern(list, tag) {
      const known = find(list, tag);
      if (known >= 0) return { number: known, isNew: false };
      const number = all.push(list) - 1;
      tags.push(tag);
      const hash = hashOf(list, tag);
      byHash.set(hash, [...(byHash.get(hash) ?? []), number]);
      return { number, isNew: true };
    },
    clear() {
      all.length = 0;
      tags.length = 0;
      byHash.clear();
    },
  };
}
