// What it means that a selector matches the labels of an identity.

import type { Requirement, Selector } from '#mesh-config/model.ts';
import type { IdentityLabel } from '../identity/labels.ts';
import { SOURCE } from './world.ts';

/** Sources of labels that identities have only while a rule mentions them: only a selector that names one means them. */
const MENTIONED: ReadonlySet<string> = new Set([
  SOURCE.cidr,
  SOURCE.cidrGroup,
  SOURCE.name,
  SOURCE.service,
  SOURCE.port,
  SOURCE.node,
]);

/** Whether all requirements hold. NotIn and DoesNotExist hold for labels that are missing. */
export function matches(selector: Selector, labels: readonly IdentityLabel[]): boolean {
  for (const requirement of selector.requirements) if (!holds(requirement, labels)) return false;
  return true;
}

/** A text that is equal for selectors that mean the same by their form. */
export function selectorKey(selector: Selector): string {
  const parts = selector.requirements.map((r) =>
    JSON.stringify([r.source, r.key, r.operator, [...new Set(r.values)].sort()]),
  );
  return [...new Set(parts)].sort().join('&');
}

/** The selector with more requirements. */
export function narrowed(selector: Selector, ...more: readonly Requirement[]): Selector {
  return { requirements: [...selector.requirements, ...more] };
}

/** "The label is there" and "is not there". */
export function hasLabel(source: string, key: string): Requirement {
  return { source, key, operator: 'Exists', values: [] };
}

export function lacksLabel(source: string, key: string): Requirement {
  return { source, key, operator: 'DoesNotExist', values: [] };
}

function holds({ source, key, operator, values }: Requirement, labels: readonly IdentityLabel[]): boolean {
  const wanted = operator === 'In' || operator === 'Exists';
  for (const label of labels) {
    if (label.key !== key || !(source === 'any' ? !MENTIONED.has(label.source) : label.source === source)) continue;
    if (operator === 'Exists' || operator === 'DoesNotExist' || values.includes(label.value)) return wanted;
  }
  return !wanted;
}
