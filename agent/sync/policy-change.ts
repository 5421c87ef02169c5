// When the kernel comes to ask another edition for a subject: the rules of policy-sync.ts.

import { type Identity, type PeerSetId, RESERVED } from '#common/ids.ts';
import type { Edition } from './editions.ts';
import type { Direction, Entries, SubjectName } from './policy-subject.ts';

/** In which directions the node itself is under policy. */
export type HostEnforcement = Readonly<Record<Direction, boolean>>;

export interface PlanOptions {
  /** What the kernel is told now of the node itself, and what it shall be told. */
  readonly host: { readonly now: HostEnforcement; readonly next: HostEnforcement };
  readonly isFresh: (identity: Identity) => boolean;
  readonly isLeaving: (identity: Identity) => boolean;
  /** Whether the kernel knows an endpoint with the identity, and so may ask for its policy before this update is over. */
  readonly isAsked: (identity: Identity) => boolean;
}

/** How the kernel comes to ask an edition: rules 1 and 2, or 3. */
export type PolicyChange = 'both' | 'at once in stage one' | 'at once in stage two';

/** How it does for one subject. `isGone`: it has no policy any more. */
export function changeOf(
  { identity, direction, isGone }: SubjectName & { readonly isGone: boolean },
  { isAsked, host }: Pick<PlanOptions, 'isAsked' | 'host'>,
): PolicyChange {
  if (identity === RESERVED.host) {
    const [now, next] = [host.now[direction], host.next[direction]];
    if (now && next) return 'both';
    return next ? 'at once in stage one' : 'at once in stage two';
  }
  if (isAsked(identity)) return 'both';
  // What goes makes room; what comes waits for those who are there.
  return isGone ? 'at once in stage one' : 'at once in stage two';
}

/** Whether a set is named by what is in force when the plans are carried out. They are looked at when it is asked. */
export function namedAfter<S extends { readonly inForce: Edition }>(
  subjects: Iterable<S>,
  plans: Iterable<{ readonly subject: S; readonly wanted: Entries }>,
): (set: PeerSetId) => boolean {
  let named: Set<PeerSetId> | undefined;
  const find = (): Set<PeerSetId> => {
    const found = new Set<PeerSetId>();
    const planned = new Set<S>();
    for (const { subject, wanted } of plans) {
      planned.add(subject);
      for (const { peers } of wanted.values()) found.add(peers);
    }
    for (const subject of subjects) if (!planned.has(subject)) for (const set of subject.inForce.sets) found.add(set);
    return found;
  };
  return (set) => {
    named ??= find();
    return named.has(set);
  };
}
