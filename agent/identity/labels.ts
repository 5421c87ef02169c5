// From what is known of a pod to the labels that make its identity.

import type { Labels } from '#mesh-config/model.ts';
import type { NamedPort } from '../tables.ts';
import type { LabelFilter } from './label-filter.ts';

/** Label keys that the platform sets; users cannot. */
export const NAMESPACE_KEY = 'io.kubernetes.pod.namespace';
export const NAMESPACE_LABEL_PREFIX = 'io.cilium.k8s.namespace.labels.';
export const CLUSTER_KEY = 'io.cilium.k8s.policy.cluster';
export const SERVICE_ACCOUNT_KEY = 'io.cilium.k8s.policy.serviceaccount';

/** One label of an identity. */
export interface IdentityLabel {
  readonly source: string;
  readonly key: string;
  readonly value: string;
}

/**
 * The identity labels of a pod, "source:key=value", sorted. `namespaceLabels` are those of the Namespace object, if there
 * is one; the namespace's own name is a label of it in any case.
 */
export function identityLabels(
  pod: { readonly namespace: string; readonly labels: Labels; readonly serviceAccount: string },
  options: { readonly namespaceLabels: Labels | undefined; readonly cluster: string; readonly filter: LabelFilter },
): readonly string[] {
  const labels: string[] = [];
  for (const key in pod.labels) if (options.filter(key)) labels.push(`k8s:${key}=${pod.labels[key]}`);
  const ofNamespace = { ...options.namespaceLabels, 'kubernetes.io/metadata.name': pod.namespace };
  for (const [key, value] of Object.entries(ofNamespace)) labels.push(`k8s:${NAMESPACE_LABEL_PREFIX}${key}=${value}`);
  labels.push(
    `k8s:${NAMESPACE_KEY}=${pod.namespace}`,
    `k8s:${CLUSTER_KEY}=${options.cluster}`,
    `k8s:${SERVICE_ACCOUNT_KEY}=${pod.serviceAccount}`,
  );
  return labels.sort();
}

/** The named ports of a pod as "TCP http=8080", sorted, each once. Names have no case. */
export function portTexts(ports: readonly NamedPort[]): readonly string[] {
  const texts = new Set<string>();
  for (const { name, port, protocol } of ports) {
    if (name !== '') texts.add(`${protocol} ${name.toLowerCase()}=${port}`);
  }
  return [...texts].sort();
}

/** Takes "source:key=value" apart; a label without value ("reserved:host") has the value ''. */
export function parseIdentityLabel(label: string): IdentityLabel {
  const colon = label.indexOf(':');
  const equals = label.indexOf('=', colon);
  return {
    source: label.slice(0, colon),
    key: equals < 0 ? label.slice(colon + 1) : label.slice(colon + 1, equals),
    value: equals < 0 ? '' : label.slice(equals + 1),
  };
}
