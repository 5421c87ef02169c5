// Which namespace and cluster the selectors of a policy mean.

import type { Requirement, Selector } from '../../model.ts';
import { show } from '../../schema/report.ts';
import { lowerNodeSelector, lowerSourcedSelector, type WrittenSelector } from '../selector.ts';
import type { Place, RuleContext } from './place.ts';

export const NAMESPACE_KEY = 'io.kubernetes.pod.namespace';
export const NAMESPACE_LABELS_PREFIX = 'io.cilium.k8s.namespace.labels';
const CLUSTER_KEY = 'io.cilium.k8s.policy.cluster';
/** Name of this cluster in the labels of its pods. */
const CLUSTER = 'default';

export const IN_ANY_NAMESPACE: Requirement = { source: 'k8s', key: NAMESPACE_KEY, operator: 'Exists', values: [] };
export const IN_THIS_CLUSTER: Requirement = { source: 'k8s', key: CLUSTER_KEY, operator: 'In', values: [CLUSTER] };

/** Pods of the namespace. */
export function inNamespace(namespace: string): Requirement {
  return { source: 'k8s', key: NAMESPACE_KEY, operator: 'In', values: [namespace] };
}

/** Endpoints that a rule is for. A policy in a namespace acts only there, whatever its selector says. */
export function lowerSubject(written: WrittenSelector, namespace: string, place: Place): Selector {
  const requirements = lowerSourcedSelector(written, place);
  if (namespace === '') return { requirements };
  const other = requirements.find(
    (r) => r.key === NAMESPACE_KEY && r.operator === 'In' && !r.values.includes(namespace),
  );
  if (other) {
    const values = other.values.map(show).join(', ');
    place.report.warn(place.path, `names the namespace ${values}, but a policy acts only in its own, "${namespace}"`);
  }
  // matchLabels is a map: what the user wrote under the very same key is replaced, all else must hold too.
  const replaced = `k8s:${NAMESPACE_KEY}`;
  const kept = Object.hasOwn(written.matchLabels ?? {}, replaced)
    ? lowerSourcedSelector({ ...written, matchLabels: without(written.matchLabels ?? {}, replaced) }, silent(place))
    : requirements;
  return { requirements: [...kept, inNamespace(namespace)] };
}

/** Nodes that a rule is for. */
export function lowerNodeSubject(written: WrittenSelector, place: Place): Selector {
  return { requirements: lowerNodeSelector(written, place) };
}

/**
 * Endpoints as peers: of the policy's namespace, or of a clusterwide policy pods of any namespace, and of this cluster,
 * unless the selector speaks of namespaces, clusters or reserved labels itself.
 */
export function lowerPeer(written: WrittenSelector, place: RuleContext): Selector {
  const requirements = lowerSourcedSelector(written, place);
  if (requirements.some((r) => r.source === 'reserved')) return { requirements };
  const names = requirements.some((r) => r.key === NAMESPACE_KEY);
  const goesByLabels = requirements.some((r) => r.key.startsWith(NAMESPACE_LABELS_PREFIX));
  if (place.namespace !== '' && !names && !goesByLabels) requirements.push(inNamespace(place.namespace));
  if (place.namespace === '' && !names && !place.init) requirements.push(IN_ANY_NAMESPACE);
  if (!requirements.some((r) => r.key === CLUSTER_KEY)) requirements.push(IN_THIS_CLUSTER);
  return { requirements };
}

/** Nodes as peers. */
export function lowerNodePeer(written: WrittenSelector, place: Place): Selector {
  const isNode: Requirement = { source: 'reserved', key: 'remote-node', operator: 'Exists', values: [] };
  return { requirements: [...lowerNodeSelector(written, place), isNode] };
}

function without(labels: Readonly<Record<string, string>>, key: string): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).filter(([name]) => name !== key));
}

/** The same place; what has been reported once is not reported again. */
function silent(place: Place): Place {
  return { ...place, report: { problem: () => {}, warn: () => {} } };
}
