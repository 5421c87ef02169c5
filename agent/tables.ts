// The agent's tables. Sources and CNI write `inputs`, compute writes `desired` from them, sync carries `desired` out.

import type { Cookie, EndpointId, Identity, Ifindex, RulesetId } from '#common/ids.ts';
import type { Address, Cidr } from '#common/ip.ts';
import { createTable, type Table } from '#common/table.ts';
import type {
  DeploymentObject,
  HttpRule,
  Labels,
  NamespaceObject,
  PodObject,
  PolicyObject,
  Problem,
  ServiceObject,
} from '#mesh-config/model.ts';

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

/**
 * A joined workload: written by CNI ADD, removed by CNI DEL. Key: "namespace/pod". A row without interface is an
 * address of the node itself that acts as a workload (the DNS resolver).
 */
export interface EndpointRow extends Addresses {
  readonly namespace: string;
  readonly pod: string;
  readonly id: EndpointId;
  readonly labels: Labels;
  readonly workload: { readonly kind: string; readonly name: string };
  readonly serviceAccount: string;
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
  readonly namedPorts: readonly { readonly name: string; readonly port: number; readonly protocol: string }[];
}

export interface Inputs {
  readonly namespaces: Table<NamespaceObject>; // key: name
  readonly pods: Table<PodRow>;
  readonly deployments: Table<DeploymentObject>; // key: "namespace/name"
  readonly services: Table<ServiceObject>; // key: "namespace/name"
  readonly policies: Table<PolicyObject>; // key: "namespace/name"
  readonly endpoints: Table<EndpointRow>;
}

export interface IdentityRow {
  readonly identity: Identity;
  /** "source:key=value", sorted. */
  readonly labels: readonly string[];
}

export interface AddressRow {
  readonly cidr: Cidr;
  readonly identity: Identity;
  /** ADDR_* bits of bpf/lib/abi.h. */
  readonly flags: number;
}

export interface PolicyEntryRow {
  readonly subject: Identity;
  readonly peer: Identity; // 0: any
  readonly direction: 'ingress' | 'egress';
  readonly protocol: number; // IP protocol; 0: any
  readonly port: number; // 0: any
  /** 0, 8, or 8 + significant port bits. */
  readonly l4Bits: number;
  readonly action: 'allow' | 'deny' | 'redirect';
  readonly precedence: number;
  readonly ruleset: RulesetId | undefined;
  readonly cookie: Cookie;
}

export interface PeerRules {
  readonly peers: 'any' | readonly Identity[];
  readonly wildcard: boolean;
  readonly http: readonly (HttpRule & { readonly policy: string })[];
  readonly policies: readonly string[];
}

export interface RulesetRow {
  readonly id: RulesetId;
  readonly subject: Identity;
  readonly direction: 'ingress' | 'egress';
  readonly port: number;
  readonly rules: readonly PeerRules[];
}

/** Which policies ("namespace/name") are behind an entry. */
export interface CookieRow {
  readonly cookie: Cookie;
  readonly policies: readonly string[];
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

export interface EnforcementRow {
  readonly endpoint: string; // "namespace/pod"
  readonly identity: Identity;
  readonly ingress: boolean;
  readonly egress: boolean;
}

/** An endpoint with everything that its interface and addresses need to be let in. */
export interface AdmittedEndpointRow {
  readonly endpoint: EndpointRow;
  readonly identity: Identity;
}

export interface Desired {
  readonly identities: Table<IdentityRow>; // key: decimal identity
  readonly addresses: Table<AddressRow>; // key: formatCidr
  readonly policy: Table<PolicyEntryRow>;
  readonly rulesets: Table<RulesetRow>; // key: decimal id
  readonly cookies: Table<CookieRow>; // key: decimal cookie
  readonly frontends: Table<FrontendRow>; // key: "address port protocol"
  readonly backends: Table<BackendRow>; // key: decimal id
  readonly dns: Table<DnsRow>;
  readonly enforcement: Table<EnforcementRow>; // key: "namespace/pod"
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
      endpoints: createTable('endpoints'),
    },
    desired: {
      identities: createTable('identities'),
      addresses: createTable('addresses'),
      policy: createTable('policy'),
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
