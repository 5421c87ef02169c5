// Policies that are written for people: the smallest one that allows what they ask about, or what was observed.

import {
  CLUSTER_KEY,
  NAMESPACE_KEY,
  NAMESPACE_LABEL_PREFIX,
  parseIdentityLabel,
  SERVICE_ACCOUNT_KEY,
} from '../identity/labels.ts';
import type { Direction } from './lookup.ts';
import type { Port } from './port.ts';

/** An end of a flow, as far as a policy can name it. */
export interface DraftParty {
  readonly labels: readonly string[];
  /** Text form; missing: only its labels are known. */
  readonly address?: string;
  /** DNS names of the address, if it is outside the mesh. */
  readonly names?: readonly string[];
}

/** What shall be allowed between the subject and one peer. */
export interface DraftRule {
  readonly direction: Direction;
  readonly peer: DraftParty;
  readonly port: Port;
  /** Requests, paths as regular expressions; none: the whole port. */
  readonly http: readonly { readonly method: string; readonly path: string }[];
}

type Plain = Readonly<Record<string, unknown>>;

/** Entities by the reserved label that stands for them alone, the most telling first. */
const ENTITY_LABELS: readonly (readonly [string, string])[] = [
  ['reserved:kube-apiserver', 'kube-apiserver'],
  ['reserved:host', 'host'],
  ['reserved:remote-node', 'remote-node'],
  ['reserved:health', 'health'],
  ['reserved:ingress', 'ingress'],
  ['reserved:init', 'init'],
  ['reserved:unmanaged', 'unmanaged'],
];

/** The namespace of a pod; undefined: it is none. */
export function namespaceOf(labels: readonly string[]): string | undefined {
  const prefix = `k8s:${NAMESPACE_KEY}=`;
  return labels.find((label) => label.startsWith(prefix))?.slice(prefix.length);
}

/**
 * A CiliumNetworkPolicy for a pod, or a CiliumClusterwideNetworkPolicy for the node, that allows `rules` and nothing
 * else; undefined: a policy cannot name one of the ends.
 */
export function draftPolicy(
  subject: DraftParty,
  rules: readonly DraftRule[],
  options: { readonly name: string },
): Plain | undefined {
  const namespace = namespaceOf(subject.labels);
  const isNode = subject.labels.includes('reserved:host');
  if (namespace === undefined && !isNode) return undefined;
  const directions: Record<string, unknown[]> = {};
  for (const rule of rules) {
    const peer = peerFields(rule, namespace);
    if (peer === undefined) return undefined;
    directions[rule.direction] = [...(directions[rule.direction] ?? []), { ...peer, ...portFields([rule]) }];
  }
  const selector = isNode ? { nodeSelector: {} } : { endpointSelector: podSelector(subject.labels, namespace) };
  return {
    apiVersion: 'cilium.io/v2',
    kind: isNode ? 'CiliumClusterwideNetworkPolicy' : 'CiliumNetworkPolicy',
    metadata: { name: draftName(options.name), ...(isNode ? {} : { namespace }) },
    spec: { ...selector, ...directions },
  };
}

/** The peer's field of a rule, e.g. fromEndpoints; undefined: no field can name it. */
export function peerFields(
  { direction, peer }: Pick<DraftRule, 'direction' | 'peer'>,
  subjectNamespace: string | undefined,
): Plain | undefined {
  const side = direction === 'ingress' ? 'from' : 'to';
  if (namespaceOf(peer.labels) !== undefined) {
    return { [`${side}Endpoints`]: [podSelector(peer.labels, subjectNamespace)] };
  }
  const entity = ENTITY_LABELS.find(([label]) => peer.labels.includes(label))?.[1];
  if (entity !== undefined) return { [`${side}Entities`]: [entity] };
  if (!peer.labels.some((label) => label.startsWith('reserved:world'))) return undefined;
  if (direction === 'egress' && peer.names?.length) return { toFQDNs: peer.names.map((name) => ({ matchName: name })) };
  if (peer.address === undefined) return { [`${side}Entities`]: ['world'] };
  return { [`${side}CIDR`]: [`${peer.address}/${peer.address.includes(':') ? 128 : 32}`] };
}

/** toPorts or icmps of rules that share a peer. */
export function portFields(rules: readonly Pick<DraftRule, 'port' | 'http'>[]): Plain {
  const icmp = rules.filter(({ port }) => port.protocol.startsWith('ICMP'));
  if (icmp.length > 0) {
    const fields = icmp.map(({ port }) => ({
      type: port.port,
      family: port.protocol === 'ICMP' ? 'IPv4' : 'IPv6',
    }));
    return { icmps: [{ fields }] };
  }
  const toPorts = rules.map(({ port, http }) => ({
    ports: [{ port: String(port.port), protocol: port.protocol }],
    ...(http.length === 0 ? {} : { rules: { http } }),
  }));
  return { toPorts };
}

/** A selector of exactly the pods with these labels; of another namespace than the policy's it names that. */
export function podSelector(labels: readonly string[], policyNamespace: string | undefined): Plain {
  const matchLabels: Record<string, string> = {};
  let serviceAccount: string | undefined;
  for (const label of labels) {
    const { source, key, value } = parseIdentityLabel(label);
    if (source !== 'k8s' || key === CLUSTER_KEY || key.startsWith(NAMESPACE_LABEL_PREFIX)) continue;
    if (key === SERVICE_ACCOUNT_KEY) serviceAccount = value;
    else if (key !== NAMESPACE_KEY) matchLabels[key] = value;
    else if (value !== policyNamespace) matchLabels[`k8s:${key}`] = value;
  }
  // A pod without labels of its own is told by its service account: everything else would select its neighbours too.
  const isBare = Object.keys(matchLabels).every((key) => key === `k8s:${NAMESPACE_KEY}`);
  if (isBare && serviceAccount !== undefined) matchLabels[`k8s:${SERVICE_ACCOUNT_KEY}`] = serviceAccount;
  return { matchLabels };
}

/** A regular expression that matches exactly `text`. */
export function quotePattern(text: string): string {
  return text.replace(/[\\.+*?()|[\]{}^$]/g, '\\$&');
}

/** A name for an object: lower case, no longer than it may be. */
export function draftName(text: string): string {
  const clean = text.toLowerCase().replace(/[^a-z0-9]+/g, '-');
  return clean.slice(0, 63).replace(/^-+|-+$/g, '') || 'policy';
}
