// Identities of endpoints: a number for each set of labels, known to policy compute while somebody has it, and a subject
// of it while an endpoint of this node does.

import type { Identity } from '#common/ids.ts';
import { ok, type Result } from '#common/result.ts';
import type { Allocator } from '../identity/allocator.ts';
import { RESERVED_IDENTITIES } from '../identity/reserved.ts';
import type { PolicyCompute } from '../policy/compute.ts';
import type { Desired } from '../tables.ts';

/** One endpoint's hold on an identity. */
export interface Hold {
  readonly identity: Identity;
  readonly isSubject: boolean;
  /** The labels as one text, by which the number is allocated. */
  readonly key: string;
}

export interface Identities {
  /** Takes a hold on the identity of these labels. Fails when there is no number left. */
  take(labels: readonly string[], isSubject: boolean): Result<Hold, string>;
  release(hold: Hold): void;
}

/** Identities whose rows are kept in `table`. The reserved ones are there from the start. */
export function createIdentities(
  table: Desired['identities'],
  policy: PolicyCompute,
  allocator: Allocator<Identity>,
): Identities {
  const holders = new Map<Identity, number>();
  const subjects = new Map<Identity, number>();
  for (const row of RESERVED_IDENTITIES) {
    table.set(String(row.identity), row);
    policy.addIdentity(row.identity, row.labels);
  }
  return {
    take(labels, isSubject) {
      const key = labels.join(';');
      const number = allocator.acquire(key);
      if (!number.ok) return number;
      const identity = number.value;
      if (increase(holders, identity)) {
        table.set(String(identity), { identity, labels });
        policy.addIdentity(identity, labels);
      }
      if (isSubject && increase(subjects, identity)) policy.addSubject(identity);
      return ok({ identity, isSubject, key });
    },
    release({ identity, isSubject, key }) {
      if (isSubject && decrease(subjects, identity)) policy.removeSubject(identity);
      allocator.release(key);
      if (!decrease(holders, identity)) return;
      policy.removeIdentity(identity);
      table.delete(String(identity));
    },
  };
}

// True for the first one.
function increase(counts: Map<Identity, number>, identity: Identity): boolean {
  const count = (counts.get(identity) ?? 0) + 1;
  counts.set(identity, count);
  return count === 1;
}

// True for the last one.
function decrease(counts: Map<Identity, number>, identity: Identity): boolean {
  const count = (counts.get(identity) ?? 0) - 1;
  if (count > 0) counts.set(identity, count);
  else counts.delete(identity);
  return count === 0;
}
