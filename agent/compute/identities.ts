// Identities in use: a number for each set of labels, known to policy compute while somebody has it, and a subject of it
// while an endpoint of this node does.

import { type Identity, RESERVED } from '#common/ids.ts';
import type { Allocator } from '../identity/allocator.ts';
import { RESERVED_IDENTITIES, UNNUMBERED } from '../identity/reserved.ts';
import type { PolicyCompute } from '../policy/compute.ts';
import type { Enforcement } from '../policy/subject.ts';
import type { Desired } from '../tables.ts';

/** Where numbers come from: the cluster's, or this node's own for prefixes and for nodes. */
export type Scope = 'cluster' | 'prefix' | 'node';

export interface Wanted {
  readonly scope: Scope;
  /** "source:key=value", sorted. */
  readonly labels: readonly string[];
  /** "TCP http=8080", sorted. */
  readonly ports: readonly string[];
  /** Set: the identity has an endpoint here. */
  readonly subject: Enforcement | undefined;
}

/** A hold on an identity. */
export interface Hold {
  readonly identity: Identity;
  readonly isSubject: boolean;
  /** By which the number is allocated; undefined: it is a fixed one. */
  readonly key: string | undefined;
  readonly scope: Scope;
  /** There was no number: nobody may reach or be reached by what holds this one. */
  readonly problem: string | undefined;
}

export interface Identities {
  /** Takes a hold on the identity of these labels and ports. */
  take(wanted: Wanted): Hold;
  release(hold: Hold): void;
  /** Gives the host's identity other labels. */
  relabelHost(labels: readonly string[]): void;
}

/** Identities whose rows are kept in `table`. The reserved ones are there from the start. */
export function createIdentities(
  table: Desired['identities'],
  policy: Pick<PolicyCompute, 'addIdentity' | 'removeIdentity' | 'addSubject' | 'removeSubject'>,
  allocators: Readonly<Record<Scope, Allocator<Identity>>>,
): Identities {
  const holders = new Map<Identity, number>();
  const subjects = new Map<Identity, number>();
  const fixed = new Map<string, Identity>();
  // One hold for all that hold the same: there may be many more pods than identities.
  const holds = new Map<Identity, Hold>();
  const appear = (identity: Identity, labels: readonly string[], ports: readonly string[]): void => {
    table.set(String(identity), { identity, labels, namedPorts: ports });
    policy.addIdentity(identity, labels, ports);
  };
  for (const { identity, labels } of RESERVED_IDENTITIES) {
    appear(identity, labels, []);
    holders.set(identity, 1);
    fixed.set(labels.join(';'), identity);
  }
  return {
    take({ scope, labels, ports, subject }) {
      const text = labels.join(';');
      const key = ports.length > 0 ? `${text}#${ports.join(';')}` : text;
      const known = fixed.get(key);
      const number = known === undefined ? allocators[scope].acquire(key) : undefined;
      const problem = number && !number.ok ? number.error : undefined;
      const identity = known ?? (number?.ok ? number.value : UNNUMBERED.identity);
      const isSubject = subject !== undefined && !problem;
      if (increase(holders, identity)) appear(identity, problem ? UNNUMBERED.labels : labels, problem ? [] : ports);
      if (isSubject && increase(subjects, identity)) policy.addSubject(identity, subject);
      const shared = holds.get(identity);
      if (shared?.isSubject === isSubject && !problem) return shared;
      const hold = { identity, isSubject, key: number?.ok ? key : undefined, scope, problem };
      if (!problem) holds.set(identity, hold);
      return hold;
    },
    release({ identity, isSubject, key, scope }) {
      if (isSubject && decrease(subjects, identity)) policy.removeSubject(identity);
      if (key !== undefined) allocators[scope].release(key);
      if (!decrease(holders, identity)) return;
      holds.delete(identity);
      policy.removeIdentity(identity);
      table.delete(String(identity));
    },
    relabelHost(labels) {
      policy.removeIdentity(RESERVED.host);
      appear(RESERVED.host, labels, []);
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
