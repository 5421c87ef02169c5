// The slow way: the automaton without determinism, run character by character. Linear in the text and in the number of
// nodes. For texts that are not ASCII, and for automata whose tables have grown to their limit.

import { type Before, beforeOf, type Nfa } from './nfa.ts';
import { decodeAt } from './utf8.ts';

/** Where to begin: the nodes that wait at `at`, and what came before. */
export interface Position {
  readonly at: number;
  readonly nodes: Int32Array;
  readonly before: Before;
}

/**
 * Expressions that match a text of which the part before `position` has been read, up to `end`; ascending. Bytes that
 * are not UTF-8 match nothing, not even ".*".
 */
export function simulate(nfa: Nfa, buffer: Uint8Array, position: Position, end: number): Int32Array {
  let { at, nodes, before } = position;
  while (at < end) {
    const decoded = decodeAt(buffer, at, end);
    if (decoded < 0 || nodes.length === 0) return new Int32Array(0);
    const codePoint = decoded >> 3;
    const ready = nfa.looksAhead(nodes) ? nfa.close(nodes, before, codePoint) : nodes;
    before = beforeOf(codePoint);
    nodes = nfa.close(nfa.advance(ready, codePoint), before);
    at += decoded & 7;
  }
  return nfa.matchedAt(nodes, before);
}
