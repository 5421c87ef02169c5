// Byte classes: bytes that no expression tells apart share a column of the transition table.

import { ASCII_LIMIT, type Instruction } from './program.ts';

type RuneInstruction = Extract<Instruction, { kind: 'rune' }>;

export interface AsciiSets {
  /** Distinct sets of ASCII characters: 128 entries of 0 or 1 each. */
  readonly all: readonly Uint8Array[];
  /** The number of the set that an instruction matches. */
  intern(inst: RuneInstruction): number;
}

export interface ByteClasses {
  /** Class of each of the 256 bytes. All bytes past ASCII are in one class of their own. */
  readonly map: Uint8Array;
  readonly count: number;
  /** The class of bytes past ASCII. */
  readonly escape: number;
  /** One byte of each class; none for `escape`. */
  readonly representatives: readonly number[];
  /** The classes that make up each ASCII set. */
  readonly ofSet: readonly (readonly number[])[];
}

/** An empty list of sets. */
export function createAsciiSets(): AsciiSets {
  const all: Uint8Array[] = [];
  const byContent = new Map<string, number>();
  // Most runes are single characters or dots: those are not asked about 128 characters each.
  const byRune = new Map<number | RuneInstruction['matches'], number>();
  const add = (set: Uint8Array): number => {
    const key = String.fromCharCode(...set);
    const known = byContent.get(key) ?? all.push(set) - 1;
    byContent.set(key, known);
    return known;
  };
  return {
    all,
    intern({ single, matches }) {
      const key = single >= 0 ? single : matches;
      const known = byRune.get(key) ?? add(Uint8Array.from({ length: ASCII_LIMIT }, (_, c) => (matches(c) ? 1 : 0)));
      byRune.set(key, known);
      return known;
    },
  };
}

/** The coarsest partition of the bytes that the sets allow, and newline and word characters where they count. */
export function classify(
  sets: AsciiSets,
  asserts: { readonly assertsLines: boolean; readonly assertsWords: boolean },
): ByteClasses {
  const map = new Uint8Array(256);
  let count = 1;
  const refine = (member: (byte: number) => boolean): void => {
    const split = new Set<number>();
    for (let byte = 0; byte < ASCII_LIMIT; byte++) if (!member(byte)) split.add(map[byte] ?? 0);
    const moved = new Map<number, number>();
    for (let byte = 0; byte < ASCII_LIMIT; byte++) {
      const old = map[byte] ?? 0;
      if (!member(byte) || !split.has(old)) continue;
      const target = moved.get(old) ?? count++;
      moved.set(old, target);
      map[byte] = target;
    }
  };
  for (const set of sets.all) refine((byte) => set[byte] === 1);
  if (asserts.assertsLines) refine((byte) => byte === 0x0a);
  if (asserts.assertsWords) refine((byte) => /\w/.test(String.fromCharCode(byte)));
  const representatives: number[] = [];
  for (let byte = ASCII_LIMIT - 1; byte >= 0; byte--) representatives[map[byte] ?? 0] = byte;
  const ofSet = sets.all.map((set) => representatives.flatMap((byte, column) => (set[byte] === 1 ? [column] : [])));
  map.fill(count, ASCII_LIMIT);
  return { map, count: count + 1, escape: count, representatives, ofSet };
}
