// The rules of one layer that select a subject and speak of one direction, with what nobody should have to count anew for
// each change. Plain data, close together: a policy for everybody touches those of every subject.

import type { CompiledRule, Direction } from './rules.ts';

/** What has come and gone. */
export interface RuleChanges {
  readonly added: readonly CompiledRule[];
  readonly removed: readonly CompiledRule[];
}

export interface RuleSet {
  readonly direction: Direction;
  readonly rules: ReadonlySet<CompiledRule>;
  /** 64 bits, the same for equal sets and hardly ever for others. Those of two sets without common rules add up by XOR. */
  readonly hashHigh: number;
  readonly hashLow: number;
  /** How many want everything denied that none allows. */
  readonly closing: number;
  /** How many want the proxy. */
  readonly proxied: number;
}

/** What only the functions here change. */
interface Writable extends RuleSet {
  readonly rules: Set<CompiledRule>;
  hashHigh: number;
  hashLow: number;
  closing: number;
  proxied: number;
  /** Since they were taken. */
  added: CompiledRule[];
  removed: CompiledRule[];
}

/** No rules. */
export function createRuleSet(direction: Direction): RuleSet {
  const counts = { hashHigh: 0, hashLow: 0, closing: 0, proxied: 0 };
  const set: Writable = { direction, rules: new Set(), ...counts, added: NONE, removed: NONE };
  return set;
}

/** Puts a rule that speaks of the direction in, or takes it out. */
export function changeRuleSet(set: RuleSet, rule: CompiledRule, isIn: boolean): void {
  if (set.rules.has(rule) === isIn) return;
  const own = set as Writable;
  if (own.added === NONE) [own.added, own.removed] = [[], []];
  const [to, from] = isIn ? [own.added, own.removed] : [own.removed, own.added];
  const undone = from.indexOf(rule);
  if (undone < 0) to.push(rule);
  else from.splice(undone, 1);
  if (isIn) own.rules.add(rule);
  else own.rules.delete(rule);
  const compiled = rule.directions[set.direction];
  const count = isIn ? 1 : -1;
  if (compiled?.defaultDeny) own.closing += count;
  if (compiled?.items.some((item) => item.wantsProxy)) own.proxied += count;
  own.hashLow ^= mix(rule.id);
  own.hashHigh ^= mix(~rule.id);
}

/** What has changed since the last call. */
export function takeChanges(set: RuleSet): RuleChanges {
  const own = set as Writable;
  const { added, removed } = own;
  if (added.length + removed.length === 0) return NO_CHANGES;
  own.added = NONE;
  own.removed = NONE;
  return { added, removed };
}

const NONE: CompiledRule[] = [];
export const NO_CHANGES: RuleChanges = { added: NONE, removed: NONE };

/** Whether sets that were equal, each with its changes, are equal again. */
export function areSameChanges(a: readonly RuleChanges[], b: readonly RuleChanges[]): boolean {
  return a.length === b.length && a.every((one, i) => isSameChange(one, b[i] ?? NO_CHANGES));
}

function isSameChange(a: RuleChanges, b: RuleChanges): boolean {
  return a === b || (isSame(a.added, b.added) && isSame(a.removed, b.removed));
}

function isSame(a: readonly CompiledRule[], b: readonly CompiledRule[]): boolean {
  return a.length === b.length && a.every((rule) => b.includes(rule));
}

/** Spreads a number over 32 bits, so that few numbers hardly ever come to the same by XOR: MurmurHash3, fmix32. */
function mix(number: number): number {
  let hash = Math.imul(number ^ (number >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
