// The part of a policy that is being read.

import type { PolicyRule, RulePlace } from '../../model.ts';
import type { Report } from '../../schema/report.ts';
import type { Path } from '../../yaml.ts';

export type Direction = 'ingress' | 'egress';

/** A part of an object: where it stands, and where to say what is wrong with it. */
export interface Place {
  readonly path: Path;
  readonly report: Report;
  /** Line and full field path of the part at `path`. */
  readonly placeOf: (path: Path) => RulePlace;
}

/** A part of the part. */
export function inside<P extends Place>(place: P, ...steps: Path): P {
  return { ...place, path: [...place.path, ...steps] };
}

/** What a rule is for, as far as its parts depend on it. */
export interface RuleContext extends Place {
  /** Namespace of the policy; '' of a clusterwide one. */
  readonly namespace: string;
  readonly on: PolicyRule['on'];
  /** The rule is for endpoints whose labels are not known yet. */
  readonly init: boolean;
  /** Peers may be nodes by their labels. */
  readonly nodePeers: boolean;
}

/** One entry of a direction. */
export interface EntryContext extends RuleContext {
  readonly direction: Direction;
  readonly deny: boolean;
}
