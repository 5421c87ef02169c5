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
}

const MODES: readonly EnforcementMode[] = ['default', 'always', 'never'];

/** Settings from texts: the mode, and the words of createLabelFilter with blanks between them. */
export function readPolicySettings(texts: {
  readonly enforcement: string;
  readonly labels: string;
}): Result<PolicySettings, string> {
  const enforcement = MODES.find((mode) => mode === texts.enforcement);
  if (!enforcement) return err(`Cannot enforce policy: "${texts.enforcement}" is none of ${MODES.join(', ')}`);
  const words = texts.labels.split(/\s+/).filter((word) => word !== '');
  return ok({ enforcement, labels: createLabelFilter(words) });
}

export const DEFAULT_SETTINGS: PolicySettings = { enforcement: 'default', labels: defaultLabelFilter };
