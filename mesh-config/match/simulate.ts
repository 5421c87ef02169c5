// The slow way: the automaton without determinism, run character by character. Linear in the text and in the number of
// nodes. For texts that are not ASCII, and for automata whose tables have grown to their limit.

import { BEFORE, type Before, beforeOf, type Nfa } from './nfa.ts';
import { decodeAt } from './utf8.ts';

/**
 * Expressions that match the whole of `buffer` from `start` to `end`, ascending. Bytes that are not UTF-8 match nothing,
 * not even ".*".
 */
export function simulate(nfa: Nfa, buffer: Uint8Array, range: { start: number; end: number }): Int32Array {
  let before: Before = BEFORE.begin;
  let set = nfa.close(nfa.starts, before);
  for (let at = range.start; at < range.end; ) {
    const decoded = decodeAt(buffer, at, range.end);
    if (decoded < 0 || set.length === 0) return new Int32Array(0);
    const codePoint = decoded >> 3;
    const ready = nfa.looksAhead(set) ? nfa.close(set, before, codePoint) : set;
    before = beforeOf(codePoint);
    set = nfa.close(nfa.advance(ready, codePoint), before);
    at += decoded & 7;
  }
  return nfa.matchedAt(set, before);
}
