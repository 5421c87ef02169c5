// Reasons that a record may carry, by number.

import { REFUSALS, type Refusal, UPSTREAM_FAILURES, type UpstreamFailure } from '../http1/refusal.ts';

/** VERDICT_* of api/proxy.proto. */
export const RECORD_VERDICT = { forwarded: 1, denied: 2, refused: 3, error: 4, audited: 5 } as const;

export type Reason = Refusal | UpstreamFailure | '' | 'connection lost' | 'body of a denied request';

/** Texts by number; 0 is none. */
export const REASONS: readonly Reason[] = [
  '',
  'connection lost',
  'body of a denied request',
  ...(Object.keys(REFUSALS) as Refusal[]),
  ...(Object.keys(UPSTREAM_FAILURES) as UpstreamFailure[]),
];

const numbers = new Map(REASONS.map((reason, i) => [reason, i]));

/** Number of a reason. */
export function reasonNumber(reason: Reason): number {
  return numbers.get(reason) ?? 0;
}
