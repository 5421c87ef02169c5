// Builds the rows of a deterministic automaton's transition table (subset construction), all ahead or one entry at a time.

import { type ByteClasses, classify } from './classes.ts';
import { BEFORE, type Before, beforeOf, type Nfa } from './nfa.ts';
import type { Steps } from './steps.ts';
import { createStateStore, DEAD, type DfaLimits, type StateStore, UNBUILT } from './store.ts';

export interface States {
  readonly classes: ByteClasses;
  readonly store: StateStore;
  /** Fills one entry of the table and returns it; UNBUILT if a limit is reached. */
  build(row: number, column: number): number;
  /** Builds all rows; false if a limit is reached before. */
  buildAll(): Steps<boolean>;
}

/** States beyond twice the nodes and this are an explosion: most of them would be built ahead for nothing. */
const AHEAD_STATES = 4096;

/** The first two rows of the automaton of `nfa`. */
export function createStates(nfa: Nfa, limits: DfaLimits): States {
  const classes = classify(nfa.asciiSets, nfa);
  const store = createStateStore(nfa, classes, limits);
  const { width } = store;
  let visits = 0;

  // What came before matters only to assertions that are there; otherwise it would only multiply states.
  const normal = (before: Before): Before => {
    if (before === BEFORE.newline && !nfa.assertsLines) return BEFORE.other;
    return before === BEFORE.word && !nfa.assertsWords ? BEFORE.other : before;
  };
  const fill = (row: number, column: number, reached: readonly number[]): number => {
    const before = normal(beforeOf(classes.representatives[column] ?? 0));
    const nodes = nfa.close(reached, before);
    const target = nodes.length === 0 ? DEAD : store.rowOf(nodes, before);
    if (target !== UNBUILT) store.table()[row + column] = target;
    return target;
  };
  const build = (row: number, column: number): number => {
    const nodes = store.nodesAt(row / width);
    const byte = classes.representatives[column] ?? 0;
    visits += nodes.length;
    const ready = nfa.looksAhead(nodes) ? nfa.close(nodes, store.beforeAt(row / width), byte) : nodes;
    return fill(row, column, nfa.advance(ready, byte));
  };
  const buildRow = (row: number): boolean => {
    const nodes = store.nodesAt(row / width);
    const columns = classes.representatives.keys();
    if (nfa.looksAhead(nodes)) return columns.every((column) => build(row, column) !== UNBUILT);
    // One pass over the nodes for all columns: nearly all nodes of a large set lead on over one column only.
    const reached: number[][] = classes.representatives.map(() => []);
    for (const node of nodes) {
      const set = nfa.asciiSetOf(node);
      const over = set < 0 ? [] : (classes.ofSet[set] ?? []);
      for (const column of over) reached[column]?.push(nfa.outOf(node));
      visits += over.length + 1;
    }
    return columns.every((column) => fill(row, column, reached[column] ?? []) !== UNBUILT);
  };
  return {
    classes,
    store,
    build,
    *buildAll() {
      for (let state = 1; state < store.count; state++) {
        if (visits > limits.aheadVisits || store.count > AHEAD_STATES + 2 * nfa.size) return false;
        if (!buildRow(state * width)) return false;
        yield;
      }
      store.trim();
      return true;
    },
  };
}
