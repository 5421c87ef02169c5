// Whether policy gives one peer no more than another one.

import type { Identity } from '#common/ids.ts';
import type { ReadonlyTable } from '#common/table.ts';
import { type L4, l4Key } from '../policy/l4.ts';
import { ANY_PEERS } from '../policy/peer-sets.ts';
import { type Decision, decide, wideness } from '../policy/verdict.ts';
import type { PeerSetsRow } from '../tables.ts';
import type { EditionEntry, Entries } from './policy-subject.ts';

/** Whether the entries of one subject and direction let nothing of `peers[0]` pass that they refuse of `peers[1]`. */
export function isPeerNarrower(
  entries: Entries,
  peerSets: ReadonlyTable<PeerSetsRow>,
  peers: readonly [Identity, Identity],
): boolean {
  const [a, b] = peers.map((peer) => peerSets.get(String(peer))?.sets);
  if (a && a.join() === b?.join()) return true;
  if (!a) return false; // nobody knows what the map still says of it
  const tables = Map.groupBy(entries.values(), ({ peers: set }) => set);
  const of = (sets: readonly number[] | undefined, l4: L4): Decision<EditionEntry> =>
    decide(sets ? [ANY_PEERS, ...sets].map((set) => byL4(tables.get(set as EditionEntry['peers']))) : [], l4);
  const keys = new Map(entries.values().map((entry) => [l4Key(l4Of(entry)), l4Of(entry)]));
  return keys.values().every((l4) => isNarrower(of(a, l4), of(b, l4)));
}

function isNarrower(a: Decision<EditionEntry>, b: Decision<EditionEntry>): boolean {
  // Rules of different rulesets may differ either way.
  if (wideness(a) === 1 && wideness(b) === 1) return a.entry?.ruleset === b.entry?.ruleset;
  return wideness(a) <= wideness(b);
}

function byL4(entries: readonly EditionEntry[] | undefined): ReadonlyMap<number, EditionEntry> | undefined {
  return entries && new Map(entries.map((entry) => [l4Key(l4Of(entry)), entry]));
}

function l4Of({ protocol, port, l4Bits }: EditionEntry): L4 {
  return { protocol, port, bits: l4Bits };
}
