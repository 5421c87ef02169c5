// What users' objects mean, after parsing: plain data with nothing left to interpret. Parsers make it, compute reads it.

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
  readonly spec: PodSpec;
}

export interface DeploymentObject extends Meta {
  readonly kind: 'Deployment';
  readonly replicas: number;
  readonly template: { readonly labels: Labels; readonly annotations: Labels; readonly spec: PodSpec };
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
}

export type L7Rules = { readonly kind: 'http'; readonly rules: readonly HttpRule[] };

/** `port` 0: every port of the protocol. `endPort` equals `port` for a single one. */
export interface PortMatch {
  readonly port: number;
  readonly endPort: number;
  readonly protocol: Protocol;
}

export interface PortRule {
  readonly ports: readonly PortMatch[];
  readonly l7: L7Rules | undefined;
}

export type PeerSelector = { readonly kind: 'labels'; readonly selector: Selector };

/** One list item of ingress or egress: peers AND ports. */
export interface DirectionRule {
  /** 'any': no restriction on the peer; an empty list selects nobody. */
  readonly peers: 'any' | readonly PeerSelector[];
  /** 'all': every port and protocol. */
  readonly ports: 'all' | readonly PortRule[];
  readonly deny: boolean;
}

/** One `spec`. A direction that is undefined is not spoken of. */
export interface PolicyRule {
  readonly subject: Selector;
  readonly ingress: readonly DirectionRule[] | undefined;
  readonly egress: readonly DirectionRule[] | undefined;
  readonly defaultDeny: { readonly ingress: boolean; readonly egress: boolean };
}

export interface PolicyObject extends Meta {
  readonly kind: 'CiliumNetworkPolicy';
  readonly rules: readonly PolicyRule[];
}

export type MeshObject = NamespaceObject | PodObject | DeploymentObject | ServiceObject | PolicyObject;

/** "Kind namespace/name", unique among the objects of a directory. */
export function objectKey(object: MeshObject): string {
  return `${object.kind} ${object.namespace}/${object.name}`;
}
