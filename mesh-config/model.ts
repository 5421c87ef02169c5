// What users' objects mean, after parsing: plain data with nothing left to interpret. Parsers make it, compute reads it.

import type { Address, Cidr } from '#common/ip.ts';

/** Where an object was written. Lines count from 1. */
export interface Origin {
  readonly file: string;
  readonly line: number;
}

/** Something wrong, or with `warning` merely doubtful, in a user's file. `field` is a path: "spec.ingress[0].toPorts[0]". */
export interface Problem extends Origin {
  readonly field: string;
  readonly reason: string;
  readonly warning: boolean;
  /** objectKey of the object it is about, as far as the text tells. */
  readonly object?: string;
}

export type Labels = Readonly<Record<string, string>>;

export interface Meta {
  readonly namespace: string; // '' for cluster-scoped objects
  readonly name: string;
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly origin: Origin;
}

export type Protocol = 'TCP' | 'UDP' | 'SCTP' | 'ICMP' | 'ICMPv6' | 'ANY';

export interface NamespaceObject extends Meta {
  readonly kind: 'Namespace';
}

export interface ContainerPort {
  readonly name: string; // '' if unnamed
  readonly port: number;
  readonly protocol: Protocol;
}

export interface Container {
  readonly name: string;
  readonly command: readonly string[];
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string; readonly value: string }[];
  readonly workingDir: string; // '' for the default
  readonly ports: readonly ContainerPort[];
}

export interface PodSpec {
  readonly serviceAccount: string;
  readonly containers: readonly Container[];
  readonly restartPolicy: 'Always' | 'OnFailure' | 'Never';
}

export interface PodObject extends Meta {
  readonly kind: 'Pod';
  /** What its policy denies at L3 and L4 passes and is reported. */
  readonly audit: boolean;
  readonly spec: PodSpec;
}

export interface PodTemplate {
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly audit: boolean; // as in PodObject
  readonly spec: PodSpec;
}

export interface DeploymentObject extends Meta {
  readonly kind: 'Deployment';
  readonly replicas: number;
  readonly template: PodTemplate;
}

export interface ServicePort {
  readonly name: string;
  readonly port: number;
  readonly targetPort: number | string;
  readonly protocol: Protocol;
}

export interface ServiceObject extends Meta {
  readonly kind: 'Service';
  readonly selector: Labels | undefined;
  /** Addresses the user asked for; empty: allocate; 'None': headless. */
  readonly clusterIps: readonly string[] | 'None';
  readonly ports: readonly ServicePort[];
}

/** A requirement on one label. `source` "any" matches a label of every source. Keys have no source prefix. */
export interface Requirement {
  readonly source: string;
  readonly key: string;
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  readonly values: readonly string[];
}

/** All requirements must hold; none: everything matches. matchLabels are In with one value. */
export interface Selector {
  readonly requirements: readonly Requirement[];
}

export interface HttpRule {
  readonly method: string; // RE2, full match; '' any
  readonly path: string;
  readonly host: string;
  readonly headers: readonly { readonly name: string; readonly value: string | undefined }[];
  /** Further conditions on headers, with what happens where one does not hold; absent: none. */
  readonly headerMatches?: readonly HeaderMatch[];
}

/**
 * A header that must have exactly `value`; undefined: must be there. `mismatch` is what happens otherwise. 'FAIL': the
 * rule does not match. With all others it does, and the request is noted ('LOG'), gets the header ('ADD'), loses the header
 * ('DELETE') or has it set to the value ('REPLACE').
 */
export interface HeaderMatch {
  readonly name: string;
  readonly value: string | undefined;
  readonly mismatch: 'FAIL' | 'LOG' | 'ADD' | 'DELETE' | 'REPLACE';
}

/** A name as toFQDNs and DNS rules give it, lower case, without trailing dot. A pattern's "*" covers no dot; "**." labels. */
export type NamePattern =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'pattern'; readonly pattern: string };

export interface KafkaRule {
  readonly role: 'produce' | 'consume' | '';
  readonly apiKey: string; // lower case; '' any
  readonly apiVersion: number | undefined;
  readonly clientId: string;
  readonly topic: string;
}

/** A parser that only the proxy knows: key and value pairs, opaque here. */
export type GenericRule = Readonly<Record<string, string>>;

/** What the requests on a port must be. The lists are not empty, but for 'generic', where none means every request. */
export type L7Rules =
  | { readonly kind: 'http'; readonly rules: readonly HttpRule[] }
  | { readonly kind: 'dns'; readonly rules: readonly NamePattern[] }
  | { readonly kind: 'kafka'; readonly rules: readonly KafkaRule[] }
  | { readonly kind: 'generic'; readonly parser: string; readonly rules: readonly GenericRule[] };

/**
 * A number (0: every port of the protocol; `endPort` equals `port` for a single one), a name that each destination
 * resolves by its own container ports (lower case), or with an ICMP protocol a type (0: every type of the family).
 */
export type PortMatch =
  | { readonly kind: 'number'; readonly port: number; readonly endPort: number; readonly protocol: Protocol }
  | { readonly kind: 'name'; readonly name: string; readonly protocol: Protocol };

/** An entry of toPorts, or all of icmps. Without ports it matches nothing. */
export interface PortRule {
  readonly ports: readonly PortMatch[];
  readonly l7: L7Rules | undefined;
  /** TLS server names that a client may ask for; empty: any, without looking. */
  readonly serverNames: readonly string[];
}

export type Entity =
  | 'all'
  | 'world'
  | 'world-ipv4'
  | 'world-ipv6'
  | 'cluster'
  | 'cluster-mesh'
  | 'host'
  | 'remote-node'
  | 'kube-apiserver'
  | 'ingress'
  | 'init'
  | 'health'
  | 'unmanaged'
  | 'none';

/**
 * Who is at the other end.
 * labels: endpoints, with namespace and cluster already added to the selector; nodes (source "node", reserved:remote-node).
 * cidr: world peers in the prefix and in none of `except`; host bits are zero.
 * cidrGroup: world peers in a prefix of the groups by name or by the groups' labels, and in none of `except`.
 * fqdn: world peers whose address is one of the name's.
 * service: what the service "namespace/name", or those of `namespace` ('': every one) that `selector` selects, stands for:
 * the pods it selects, or for a service without selector the addresses of its EndpointSlices.
 */
export type PeerSelector =
  | { readonly kind: 'labels'; readonly selector: Selector }
  | { readonly kind: 'entity'; readonly entity: Entity }
  | { readonly kind: 'cidr'; readonly cidr: Cidr; readonly except: readonly Cidr[] }
  | { readonly kind: 'cidrGroup'; readonly group: string | Selector; readonly except: readonly Cidr[] }
  | { readonly kind: 'fqdn'; readonly name: NamePattern }
  | { readonly kind: 'service'; readonly namespace: string; readonly service: string | Selector };

/** One list item of ingress or egress: peers AND ports. */
export interface DirectionRule {
  /** 'any': no restriction on the peer; an empty list selects nobody. */
  readonly peers: 'any' | readonly PeerSelector[];
  /** 'all': every port and protocol, ICMP too. */
  readonly ports: 'all' | readonly PortRule[];
  /** Refuses instead of allowing; with L7 rules, the requests that match one of them. */
  readonly deny: boolean;
  /** Where it was written: line and field path in the object's file. */
  readonly place: RulePlace;
}

/** Where in the object's file a rule stands. */
export interface RulePlace {
  readonly line: number;
  readonly field: string;
}

/** One `spec`. A direction that is undefined is not spoken of. `subject` of 'nodes' selects nodes by their labels. */
export interface PolicyRule {
  readonly on: 'endpoints' | 'nodes';
  readonly subject: Selector;
  readonly ingress: readonly DirectionRule[] | undefined;
  readonly egress: readonly DirectionRule[] | undefined;
  readonly defaultDeny: { readonly ingress: boolean; readonly egress: boolean };
}

export type PolicyKind = 'CiliumNetworkPolicy' | 'CiliumClusterwideNetworkPolicy' | 'NetworkPolicy';

/** Any kind of policy: their differences are gone after parsing. */
export interface PolicyObject extends Meta {
  readonly kind: PolicyKind;
  readonly rules: readonly PolicyRule[];
}

export interface CidrGroupObject extends Meta {
  readonly kind: 'CiliumCIDRGroup';
  readonly cidrs: readonly Cidr[];
}

/** Addresses of a service without selector. `service`: its name, from the label kubernetes.io/service-name. */
export interface EndpointSliceObject extends Meta {
  readonly kind: 'EndpointSlice';
  readonly service: string;
  readonly addresses: readonly Address[];
}

/** A node of the cluster, this one included. */
export interface NodeObject extends Meta {
  readonly kind: 'Node';
  readonly addresses: readonly Address[];
}

export type MeshObject =
  | NamespaceObject
  | PodObject
  | DeploymentObject
  | ServiceObject
  | PolicyObject
  | CidrGroupObject
  | EndpointSliceObject
  | NodeObject;

/** "Kind namespace/name", unique among the objects of a directory. */
export function objectKey(object: MeshObject): string {
  return `${object.kind} ${object.namespace}/${object.name}`;
}
