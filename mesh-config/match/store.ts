// Where the states of a deterministic automaton and its transition table are kept, within limits.

import type { ByteClasses } from './classes.ts';
import { createInterner } from './interner.ts';
import { BEFORE, type Before, type Nfa } from './nfa.ts';

export interface DfaLimits {
  /** Bytes of the table. */
  readonly tableBytes: number;
  /** Nodes in all sets behind the states, which it takes to build more rows; and expressions in all sets of matches. */
  readonly setNodes: number;
  /** Nodes visited to build rows ahead: some 10 million a second. */
  readonly aheadVisits: number;
  /** Bytes of the rows and what is behind them, if they cannot all be built ahead; absent: what tableBytes allows. */
  readonly lazyBytes?: number;
}

/** Entries of the table that are no row. */
export const DEAD = 0;
export const UNBUILT = -1;
export const ESCAPE = -2;

/**
 * Rows of `width` entries: one per byte class (the row to go to, as an offset into the table), then the number of the
 * set of expressions that match if the text ends there. Row 0 is dead, the next is where to begin.
 */
export interface StateStore {
  readonly width: number;
  readonly count: number;
  /** Sets of expressions that the last column speaks of; number 0 is empty. */
  readonly accepts: readonly Int32Array[];
  /** The table; adding a row may replace it. */
  table(): Int32Array;
  /** The nodes behind a state, and what came before it. */
  nodesAt(state: number): Int32Array;
  beforeAt(state: number): Before;
  /** The row of the state with these nodes, a new one if there is none; UNBUILT if a limit is reached. */
  rowOf(nodes: Int32Array, before: Before): number;
  /** Forgets all rows but the first two. Numbers of sets in the last column stay what they were. */
  reset(): void;
  /** There will be at most as many rows as `bytes` can hold, or those that there are. */
  cap(bytes: number): void;
  /** Bytes that it may come to hold, about. After `trim`: that it holds. */
  readonly maxBytes: number;
  /** Gives back the room for more rows: there will be none. */
  trim(): void;
}

/** What a state takes beside its row: an array of nodes and its place in the interner. */
const STATE_BYTES = 250;

const NO_NODES = new Int32Array(0);

/** A store with the first two rows. */
export function createStateStore(nfa: Nfa, classes: ByteClasses, limits: DfaLimits): StateStore {
  const width = classes.count + 1;
  const rowBytes = 4 * width + STATE_BYTES;
  let maxStates = Math.max(2, Math.floor(limits.tableBytes / (4 * width)));
  let trimmed = false;
  const start = nfa.close(nfa.starts, BEFORE.begin);
  let table = new Int32Array(width * Math.min(maxStates, 16));
  let count = 0;
  let setNodes = 0;
  let acceptNodes = 0;
  const sets = createInterner();
  const befores: Before[] = [];
  const accepts = createInterner();
  accepts.intern(NO_NODES);

  const add = (nodes: Int32Array, before: Before): number => {
    const matched = nfa.matchedAt(nodes, before);
    const newMatches = accepts.find(matched) < 0 ? matched.length : 0;
    if (count >= maxStates || setNodes + nodes.length > limits.setNodes) return UNBUILT;
    if (acceptNodes + newMatches > limits.setNodes && newMatches > 0) return UNBUILT;
    acceptNodes += newMatches;
    setNodes += nodes.length;
    const row = count * width;
    if (row >= table.length) {
      const larger = new Int32Array(Math.min(maxStates, count * 2) * width);
      larger.set(table);
      table = larger;
    }
    sets.intern(nodes, before);
    befores.push(before);
    count++;
    table.fill(nodes.length === 0 ? DEAD : UNBUILT, row, row + width);
    if (nodes.length > 0) table[row + classes.escape] = ESCAPE;
    table[row + width - 1] = accepts.intern(matched);
    return row;
  };
  const reset = (): void => {
    sets.clear();
    befores.length = 0;
    count = 0;
    setNodes = -start.length; // the first two rows are there whatever the limit
    add(NO_NODES, BEFORE.other);
    add(start, BEFORE.begin);
  };
  reset();
  return {
    width,
    get count() {
      return count;
    },
    accepts: accepts.all,
    table: () => table,
    nodesAt: sets.get,
    beforeAt: (state) => befores[state] ?? BEFORE.other,
    rowOf(nodes, before) {
      const known = sets.find(nodes, before);
      return known < 0 ? add(nodes, before) : known * width;
    },
    reset,
    cap(bytes) {
      maxStates = Math.min(maxStates, Math.max(2, count, Math.floor(bytes / rowBytes)));
    },
    get maxBytes() {
      return trimmed
        ? count * rowBytes + 4 * (setNodes + acceptNodes)
        : maxStates * rowBytes + 4 * (limits.setNodes + acceptNodes);
    },
    trim() {
      trimmed = true;
      table = table.slice(0, count * width);
    },
  };
}
