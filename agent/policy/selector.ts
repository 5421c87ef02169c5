// What it means that a selector matches the labels of an identity.

import type { Requirement, Selector } from '#mesh-config/model.ts';
import type { IdentityLabel } from '../identity/labels.ts';

/** Labels of one identity by key; one key may have a label of several sources. */
export type LabelsByKey = ReadonlyMap<string, readonly IdentityLabel[]>;

/** Groups labels for matching. */
export function labelsByKey(labels: readonly IdentityLabel[]): LabelsByKey {
  const byKey = new Map<string, IdentityLabel[]>();
  for (const label of labels) {
    const list = byKey.get(label.key);
    if (list) list.push(label);
    else byKey.set(label.key, [label]);
  }
  return byKey;
}

/** Whether all requirements hold. NotIn and DoesNotExist hold for labels that are missing. */
export function matches(selector: Selector, labels: LabelsByKey): boolean {
  return selector.requirements.every((requirement) => holds(requirement, labels));
}

/** A text that is equal for selectors that mean the same by their form. */
export function selectorKey(selector: Selector): string {
  const parts = selector.requirements.map((r) =>
    JSON.stringify([r.source, r.key, r.operator, [...new Set(r.values)].sort()]),
  );
  return [...new Set(parts)].sort().join('&');
}

function holds(requirement: Requirement, labels: LabelsByKey): boolean {
  const found = labels
    .get(requirement.key)
    ?.filter((l) => requirement.source === 'any' || l.source === requirement.source);
  const present = found !== undefined && found.length > 0;
  switch (requirement.operator) {
    case 'Exists':
      return present;
    case 'DoesNotExist':
      return !present;
    case 'In':
      return present && found.some((label) => requirement.values.includes(label.value));
    case 'NotIn':
      return !present || !found.some((label) => requirement.values.includes(label.value));
  }
}
