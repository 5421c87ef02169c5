// Ids and rows of L7 rulesets. An id belongs to one subject, direction, protocol and port prefix for as long as the
// subject exists: connections that already go through the proxy keep asking for it, also when no entry names it now.

import { type RulesetId, rulesetId } from '#common/ids.ts';
import type { Table } from '#common/table.ts';
import type { Allocator } from '../identity/allocator.ts';
import type { PeerRules, RulesetRow } from '../ruleset-rows.ts';
import { type L4, l4Key } from './l4.ts';
import { DIRECTIONS, type Direction } from './rules.ts';
import type { SubjectDirection } from './subject.ts';

export interface Rulesets {
  /** The id of the subject's ruleset at `l4`, allocated when first asked for; undefined when there is none left. */
  idFor(subject: SubjectDirection, l4: L4): RulesetId | undefined;
  /** Stores a ruleset's content; equal content leaves the row as it is. */
  set(row: RulesetRow): void;
  /** Gives a new subject the rulesets that are remembered of it, e.g. from before a restart. */
  adopt(subject: Readonly<Record<Direction, SubjectDirection>>): void;
  /** Ends the rulesets of a subject that is gone. */
  abandon(subject: Readonly<Record<Direction, SubjectDirection>>): void;
}

/** Rulesets that live in `table` (key: decimal id). */
export function createRulesets(table: Table<RulesetRow>, allocator: Allocator<number>): Rulesets {
  // What earlier runs remembered, by subject; later subjects find their ids in the allocator by key.
  const remembered = new Map<string, L4[]>();
  for (const key of allocator.keys()) {
    const [subject, direction, protocol, port, bits] = key.split(' ');
    const l4 = { protocol: Number(protocol), port: Number(port), bits: Number(bits) };
    const owner = `${subject} ${direction}`;
    const list = remembered.get(owner);
    if (list) list.push(l4);
    else remembered.set(owner, [l4]);
  }
  const idFor = (subject: SubjectDirection, l4: L4): RulesetId | undefined => {
    const existing = subject.rulesets.get(l4Key(l4));
    if (existing) return existing.id;
    const number = allocator.acquire(keyOf(subject, l4));
    if (!number.ok) return undefined;
    const id = rulesetId(number.value);
    subject.rulesets.set(l4Key(l4), { id, l4 });
    return id;
  };
  return {
    idFor,
    set(row) {
      const before = table.get(String(row.id));
      if (!before || !sameRules(before.rules, row.rules)) table.set(String(row.id), row);
    },
    adopt(subject) {
      for (const direction of DIRECTIONS) {
        const owner = `${subject[direction].identity} ${direction}`;
        for (const l4 of remembered.get(owner) ?? []) idFor(subject[direction], l4);
        remembered.delete(owner);
      }
    },
    abandon(subject) {
      for (const direction of DIRECTIONS) {
        const { rulesets } = subject[direction];
        for (const { id, l4 } of rulesets.values()) {
          table.delete(String(id));
          allocator.release(keyOf(subject[direction], l4));
        }
        rulesets.clear();
      }
    },
  };
}

function keyOf(subject: SubjectDirection, l4: L4): string {
  return `${subject.identity} ${subject.direction} ${l4.protocol} ${l4.port} ${l4.bits}`;
}

// Subjects with the same plan have the same lists, and mostly nothing else has to be compared.
function sameRules(a: readonly PeerRules[], b: readonly PeerRules[]): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  return a.every((x, i) => {
    const y = b[i];
    if (!y || !samePeers(x.peers, y.peers)) return false;
    return JSON.stringify({ ...x, peers: 0 }) === JSON.stringify({ ...y, peers: 0 });
  });
}

function samePeers(a: PeerRules['peers'], b: PeerRules['peers']): boolean {
  if (a === b) return true;
  if (a === 'any' || b === 'any') return false;
  return a.length === b.length && a.every((identity, i) => identity === b[i]);
}
