// From a pod's labels to the labels that make its identity: what the platform knows is added, what only numbers or dates pods is left out.

import type { Labels } from '#mesh-config/model.ts';

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

// Prefixes of keys, matched as they stand. A kept prefix wins over a dropped one.
const KEPT = ['app.kubernetes.io'];
const DROPPED = [
  'io.kubernetes',
  'kubernetes.io',
  'k8s.io',
  'topology.kubernetes.io',
  'statefulset.kubernetes.io/pod-name',
  'apps.kubernetes.io/pod-index',
  'batch.kubernetes.io/job-completion-index',
  'batch.kubernetes.io/controller-uid',
  'pod-template-hash',
  'pod-template-generation',
  'controller-revision-hash',
  'controller-uid',
  'annotation',
  'etcd_node',
  // Ours to set; a pod that could write them would choose its own namespace labels, cluster and service account.
  'io.cilium.k8s',
];
const BETA = /^.*beta\.kubernetes\.io/;

/** Whether a label that a user wrote on a pod takes part in its identity. */
export function isSecurityRelevant(key: string): boolean {
  if (KEPT.some((prefix) => key.startsWith(prefix))) return true;
  return !DROPPED.some((prefix) => key.startsWith(prefix)) && !BETA.test(key);
}

/**
 * The identity labels of a pod, "source:key=value", sorted. `namespaceLabels` are those of the Namespace object, if there
 * is one; the namespace's own name is a label of it in any case.
 */
export function identityLabels(pod: {
  readonly namespace: string;
  readonly labels: Labels;
  readonly namespaceLabels: Labels | undefined;
  readonly serviceAccount: string;
  readonly cluster: string;
}): readonly string[] {
  const labels = Object.entries(pod.labels)
    .filter(([key]) => isSecurityRelevant(key))
    .map(([key, value]) => `k8s:${key}=${value}`);
  const ofNamespace = { ...pod.namespaceLabels, 'kubernetes.io/metadata.name': pod.namespace };
  for (const [key, value] of Object.entries(ofNamespace)) labels.push(`k8s:${NAMESPACE_LABEL_PREFIX}${key}=${value}`);
  labels.push(
    `k8s:${NAMESPACE_KEY}=${pod.namespace}`,
    `k8s:${CLUSTER_KEY}=${pod.cluster}`,
    `k8s:${SERVICE_ACCOUNT_KEY}=${pod.serviceAccount}`,
  );
  return labels.sort();
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
