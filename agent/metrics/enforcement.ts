// Label values of cilium_policy_endpoint_enforcement_status.

import type { EnforcementRow } from '../tables.ts';

/** What an endpoint can be. */
export const ENFORCEMENT_STATES = [
  'none',
  'ingress',
  'egress',
  'both',
  'audit-ingress',
  'audit-egress',
  'audit-both',
] as const;

/** The state of one endpoint. */
export function enforcementState({ ingress, egress, audit }: EnforcementRow): (typeof ENFORCEMENT_STATES)[number] {
  if (!ingress && !egress) return 'none';
  const directions = ingress && egress ? 'both' : ingress ? 'ingress' : 'egress';
  return audit ? `audit-${directions}` : directions;
}
