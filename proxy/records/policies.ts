// The main thread's side of rules/lists.ts: names by number, for as long as a record may have the number.

import { AT, SLOT_BYTES, SLOTS, type Slab } from './slab.ts';

export interface PolicyNames {
  /** A list has this number now. */
  learn(number: number, names: readonly string[]): void;
  /** No record that begins from now on will have these numbers. */
  retire(numbers: readonly number[]): void;
  of(number: number): readonly string[];
  readonly size: number;
}

/** Retired lists that are kept without a look at the records; with more, those in no record are forgotten. */
export const MAX_RETIRED = 4096;

const NONE: readonly string[] = [];

/** No names yet. At most the lists in force, MAX_RETIRED, and two for each slot of `slab` are kept. */
export function createPolicyNames(slab: Slab): PolicyNames {
  const names = new Map<number, readonly string[]>();
  let retired: number[] = [];
  const sweep = (): void => {
    // Also slots that are free: what was written there last does not matter, and which those are need not be known.
    const held = new Set<number>();
    for (let slot = 0; slot < SLOTS; slot++) {
      held.add(slab.view.getUint32(slot * SLOT_BYTES + AT.egressPolicies));
      held.add(slab.view.getUint32(slot * SLOT_BYTES + AT.ingressPolicies));
    }
    for (const number of retired) if (!held.has(number)) names.delete(number);
    retired = retired.filter((number) => held.has(number));
  };
  let sweepAt = MAX_RETIRED;
  return {
    learn: (number, list) => void names.set(number, list),
    retire(numbers) {
      for (const number of numbers) retired.push(number);
      if (retired.length <= sweepAt) return;
      sweep();
      sweepAt = retired.length + MAX_RETIRED;
    },
    of: (number) => names.get(number) ?? NONE,
    get size() {
      return names.size;
    },
  };
}
