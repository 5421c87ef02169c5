// How this node treats policy as a whole.

import { err, ok, type Result } from '#common/result.ts';
import { createLabelFilter, defaultLabelFilter, type LabelFilter } from '../identity/label-filter.ts';

/**
 * default: a direction is enforced where a rule speaks of it. always: both directions of every endpoint. never: nothing.
 */
export type EnforcementMode = 'default' | 'always' | 'never';

export interface PolicySettings {
  readonly enforcement: EnforcementMode;
  /** Which labels of pods make identities. */
  readonly labels: LabelFilter;
  /** Audit mode of every endpoint, and of the node itself. */
  readonly audit: boolean;
}

const MODES: readonly EnforcementMode[] = ['default', 'always', 'never'];

/** Settings from options: the mode, and the words of createLabelFilter with blanks between them. */
export function readPolicySettings(written: {
  readonly enforcement: string;
  readonly labels: string;
  readonly audit: boolean;
}): Result<PolicySettings, string> {
  const enforcement = MODES.find((mode) => mode === written.enforcement);
  if (!enforcement) return err(`Cannot enforce policy: "${written.enforcement}" is none of ${MODES.join(', ')}`);
  const words = written.labels.split(/\s+/).filter((word) => word !== '');
  return ok({ enforcement, labels: createLabelFilter(words), audit: written.audit });
}

export const DEFAULT_SETTINGS: PolicySettings = {
  enforcement: 'default',
  labels: defaultLabelFilter,
  audit: false,
};
