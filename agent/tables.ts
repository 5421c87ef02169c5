// The agent's tables. Sources and CNI write `inputs`, compute writes `desired` from them, sync carries `desired` out.

import type { Cookie, EndpointId, Identity, Ifindex, PeerSetId, RulesetId } from '#common/ids.ts';
import type { Address, Cidr } from '#common/ip.ts';
import { createTable, type Table } from '#common/table.ts';
import type {
  CidrGroupObject,
  DeploymentObject,
  EndpointSliceObject,
  Labels,
  NamespaceObject,
  PodObject,
  PolicyObject,
  Problem,
  ServiceObject,
} from '#mesh-config/model.ts';
import type { RulesetRow } from './ruleset-rows.ts';

/** A pod that shall exist on this node: written by a user, or derived from a Deployment. Key: "namespace/name". */
export interface PodRow {
  readonly object: PodObject;
  /** The workload that the pod belongs to. */
  readonly workload: { readonly kind: string; readonly name: string };
}

/** An address family pair of one pod or node. */
export interface Addresses {
  readonly ip4: Address | undefined;
  readonly ip6: Address | undefined;
}

/** A container port with a name. */
export interface NamedPort {
  readonly name: string;
  readonly port: number;
  readonly protocol: string;
}

/** What policy asks of a pod, wherever it runs. */
export interface PodFacts extends Addresses {
  readonly namespace: string;
  readonly labels: Labels;
  readonly serviceAccount: string;
  readonly namedPorts: readonly NamedPort[];
}

/**
 * A joined workload: written by CNI ADD, removed by CNI DEL. Key: "namespace/pod". A row without interface is an
 * address of the node itself that acts as a workload (the DNS resolver).
 */
export interface EndpointRow extends PodFacts {
  readonly pod: string;
  readonly id: EndpointId;
  readonly workload: { readonly kind: string; readonly name: string };
  readonly device:
    | {
        readonly ifindex: Ifindex;
        readonly name: string;
        readonly podMac: string;
        readonly hostMac: string;
        readonly netns: string; // path
        readonly containerId: string;
      }
    | undefined;
  /** Container processes run and may serve. Decides whether services send traffic here. */
  readonly ready: boolean;
  readonly init?: boolean; // its labels are not known yet: reserved:init is all it has
  readonly audit?: boolean; // what its policy denies at L3 and L4 passes and is reported
}

/** A pod of another node. Key: "namespace/pod". Rows of one workload should share `labels` and `namedPorts`. */
export interface RemotePodRow extends PodFacts {
  readonly node: string;
}

export interface Inputs {
  readonly namespaces: Table<NamespaceObject>; // key: name
  readonly pods: Table<PodRow>;
  readonly deployments: Table<DeploymentObject>; // key: "namespace/name"
  readonly services: Table<ServiceObject>; // key: "namespace/name"
  readonly policies: Table<PolicyObject>; // key: objectKey
  readonly cidrGroups: Table<CidrGroupObject>; // key: name
  readonly endpointSlices: Table<EndpointSliceObject>; // key: "namespace/name"
  readonly nodes: Table<NodeRow>; // key: name
  readonly names: Table<NameRow>; // key: lower-case name without trailing dot
  readonly endpoints: Table<EndpointRow>;
  readonly remotePods: Table<RemotePodRow>;
}

/** A node of the cluster. */
export interface NodeRow {
  readonly name: string;
  readonly labels: Labels;
  readonly addresses: readonly Address[];
  /** The one that this agent runs on. */
  readonly local: boolean;
  readonly apiServer: boolean;
}

/** Addresses that a name has been resolved to. What fills it (DNS, a file) decides when they lapse. */
export interface NameRow {
  readonly name: string;
  readonly addresses: readonly Address[];
}

/** A security identity. Pods with the same labels but different named ports have different ones: port names mean other ports. */
export interface IdentityRow {
  readonly identity: Identity;
  /** "source:key=value", sorted. */
  readonly labels: readonly string[];
  /** "TCP http=8080", sorted. */
  readonly namedPorts: readonly string[];
}

export interface AddressRow {
  readonly cidr: Cidr;
  readonly identity: Identity;
  /** ADDR_* bits of bpf/lib/abi.h. */
  readonly flags: number;
}

export interface PolicyEntryRow {
  readonly subject: Identity;
  readonly peers: PeerSetId; // 0: any
  readonly direction: 'ingress' | 'egress';
  readonly protocol: number; // IP protocol; 0: any
  readonly port: number; // 0: any
  /** 0, 8, or 8 + significant port bits. */
  readonly l4Bits: number;
  /** 'refuse': what another entry lets pass goes through the proxy. */
  readonly action: 'allow' | 'deny' | 'redirect' | 'refuse';
  readonly precedence: number;
  readonly ruleset: RulesetId | undefined;
  readonly cookie: Cookie;
}

/** The sets of peers that an identity belongs to. Every known identity has a row. */
export interface PeerSetsRow {
  readonly identity: Identity;
  /** Ascending. */
  readonly sets: readonly PeerSetId[];
}

/** A rule of a policy and where it is written. */
export interface RuleOrigin {
  readonly policy: string; // objectKey
  readonly file: string;
  readonly line: number;
  readonly field: string;
}

/** What is behind an entry. */
export interface CookieRow {
  readonly cookie: Cookie;
  /** objectKey, sorted. */
  readonly policies: readonly string[];
  readonly rules: readonly RuleOrigin[];
}

export interface BackendRow {
  readonly id: number;
  readonly address: Address;
  readonly port: number;
  readonly protocol: number;
}

export interface FrontendRow {
  readonly address: Address;
  readonly port: number;
  readonly protocol: number;
  readonly service: number; // service id
  readonly name: string; // "namespace/name"
  readonly backends: readonly number[]; // backend ids
}

/** A name that the resolver answers. Key: lower-case name without trailing dot. */
export interface DnsRow {
  readonly name: string;
  readonly addresses: readonly Address[];
  readonly srv: readonly { readonly target: string; readonly port: number }[];
}

/** Whether policy is asked for an endpoint. That of the node itself is there while some policy selects the node. */
export interface EnforcementRow {
  readonly endpoint: string; // "namespace/pod"; of the node: HOST_ENDPOINT
  readonly identity: Identity;
  readonly ingress: boolean;
  readonly egress: boolean;
  readonly audit: boolean; // by the endpoint's own audit mode or the node's: what it denies at L3 and L4 passes
}

/** Key of the node's own enforcement row: no pod has it, for it has no namespace. */
export const HOST_ENDPOINT = 'host';

/** An endpoint with everything that its interface and addresses need to be let in. */
export interface AdmittedEndpointRow {
  readonly endpoint: EndpointRow;
  readonly identity: Identity;
}

export interface Desired {
  readonly identities: Table<IdentityRow>; // key: decimal identity
  readonly addresses: Table<AddressRow>; // key: formatCidr
  readonly policy: Table<PolicyEntryRow>;
  readonly peerSets: Table<PeerSetsRow>; // key: decimal identity
  readonly rulesets: Table<RulesetRow>; // key: decimal id
  readonly cookies: Table<CookieRow>; // key: decimal cookie
  readonly frontends: Table<FrontendRow>; // key: "address port protocol"
  readonly backends: Table<BackendRow>; // key: decimal id
  readonly dns: Table<DnsRow>;
  readonly enforcement: Table<EnforcementRow>; // key: EnforcementRow.endpoint
  readonly endpoints: Table<AdmittedEndpointRow>; // key: "namespace/pod"
}

/** Status of one object or file, for people. Key: objectKey, or the file's path. */
export interface ObjectStatusRow {
  readonly kind: string; // 'File' if the file could not be read as objects
  readonly namespace: string;
  readonly name: string;
  readonly file: string;
  readonly line: number;
  readonly accepted: boolean;
  readonly problems: readonly Problem[];
}

export interface Tables {
  readonly inputs: Inputs;
  readonly desired: Desired;
  readonly objects: Table<ObjectStatusRow>;
}

/** All tables, empty. */
export function createTables(): Tables {
  return {
    inputs: {
      namespaces: createTable('namespaces'),
      pods: createTable('pods'),
      deployments: createTable('deployments'),
      services: createTable('services'),
      policies: createTable('policies'),
      cidrGroups: createTable('CIDR groups'),
      endpointSlices: createTable('endpoint slices'),
      nodes: createTable('nodes'),
      names: createTable('names'),
      endpoints: createTable('endpoints'),
      remotePods: createTable('remote pods'),
    },
    desired: {
      identities: createTable('identities'),
      addresses: createTable('addresses'),
      policy: createTable('policy'),
      peerSets: createTable('peer sets'),
      rulesets: createTable('rulesets'),
      cookies: createTable('cookies'),
      frontends: createTable('frontends'),
      backends: createTable('backends'),
      dns: createTable('dns'),
      enforcement: createTable('enforcement'),
      endpoints: createTable('desired endpoints'),
    },
    objects: createTable('objects'),
  };
}
