// Types and definition of the node API (node.proto), for the agent that serves it and the CLI that calls it.

import type { ServiceDefinition } from '@grpc/grpc-js';
import { loadService } from './load.ts';

export type ComponentState = 'ok' | 'degraded' | 'failed' | 'starting';

export interface Component {
  readonly name: string;
  readonly state: ComponentState;
  readonly message: string;
}

export interface ObjectProblem {
  readonly file: string;
  readonly line: number;
  readonly field: string;
  readonly reason: string;
  readonly warning: boolean;
}

/** One object, or one file that could not be read as objects (kind "File"). */
export interface ObjectStatus {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly file: string;
  readonly line: number;
  readonly accepted: boolean;
  readonly problems: readonly ObjectProblem[];
  /** Of a policy: how many endpoints of this node it selects. Otherwise 0. */
  readonly endpoints: number;
  /** Of a policy: policy revision since which it is in force as written; 0: it is not. */
  readonly revision: number;
}

export interface MapStatus {
  readonly name: string;
  readonly entries: number;
  readonly capacity: number;
  /** Writes that failed since the agent started. */
  readonly errors: number;
  /** Why not everything that is wanted is in it; '': it is. */
  readonly lastError: string;
}

export interface WorkerStatus {
  readonly slot: number;
  /** 0: not running. */
  readonly pid: number;
  readonly state: 'attached' | 'starting' | 'draining' | 'failed';
  /** Version of the last update that it acknowledged. */
  readonly version: number;
  readonly restarts: number;
}

export interface NodeStatus {
  readonly node: string;
  readonly pid: number;
  readonly version: string;
  readonly ready: boolean;
  /** Why it is not ready. */
  readonly message: string;
  readonly policyRevision: number;
  readonly source: string;
  readonly components: readonly Component[];
  readonly objects: readonly ObjectStatus[];
  readonly maps: readonly MapStatus[];
  readonly workers: readonly WorkerStatus[];
}

export const LIST_KINDS = ['pods', 'services', 'policies', 'endpoints', 'identities'] as const;
export type ListKind = (typeof LIST_KINDS)[number];

export interface ListRequest {
  readonly kind: string;
  /** '': every namespace. */
  readonly namespace: string;
}

export interface ListReply {
  /** Names of the row fields to show, in order. */
  readonly columns: readonly string[];
  readonly wideColumns: readonly string[];
  /** JSON objects. */
  readonly rowsJson: readonly string[];
}

export interface GetPodRequest {
  readonly namespace: string;
  readonly name: string;
  /** '': the first one. */
  readonly container: string;
}

export interface PodHandle {
  /** Path of the network namespace. */
  readonly netns: string;
  /** Path of the pod's cgroup. */
  readonly cgroup: string;
  readonly logFile: string;
  /** Path of the file to mount on /etc/resolv.conf. */
  readonly resolvConf: string;
  readonly workingDir: string;
  /** NAME=value */
  readonly env: readonly string[];
  /** First process of the container; 0: not running. */
  readonly pid: number;
}

/** weir.node.v1.ExplainRequest; `request` null: the connection alone. */
export interface ExplainRequest {
  readonly from: string;
  readonly to: string;
  readonly port: string;
  readonly request?: {
    readonly method: string;
    readonly path: string;
    readonly host: string;
    readonly headers: readonly { readonly name: string; readonly value: string }[];
  } | null;
}

export interface VerdictsRequest {
  readonly ports: readonly string[];
  readonly peers: readonly string[];
  readonly namespace: string;
}

/** The answer's shape is the agent's to say. */
export interface JsonReply {
  readonly json: string;
}

/** A row of `List` of policies: an object that somebody wrote, and what has become of it. */
export interface PolicyStatus {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly file: string;
  readonly line: number;
  /** "file:line". */
  readonly location: string;
  /** "Valid", "Refused", "Refused (earlier version in force)". */
  readonly status: string;
  /** Why it is refused; '': it is not. */
  readonly message: string;
  readonly problems: readonly ObjectProblem[];
  /** Endpoints of this node that it selects. */
  readonly endpoints: number;
  /** Their names, "namespace/name". */
  readonly selects: readonly string[];
  readonly directions: readonly string[];
  /** Policy revision of the node since which it is in force as written; null: it is not (yet). */
  readonly revision: number | null;
  /** Entries of the policy map that it is behind. */
  readonly entries: number;
  /** Connections that these entries have decided; null: not counted here. */
  readonly hits: number | null;
  readonly rules: readonly PolicyRuleStatus[];
}

/** One rule of a policy, by its place in the file. */
export interface PolicyRuleStatus {
  readonly line: number;
  readonly field: string;
  readonly direction: string;
  readonly deny: boolean;
  readonly entries: number;
  readonly hits: number | null;
}

/** weir.node.v1.Node, with camel-case names and numbers for 64-bit integers. */
export function nodeService(): ServiceDefinition {
  return loadService({ file: 'node.proto', name: 'weir.node.v1.Node', camelCase: true, longs: 'number' });
}

/** observer.Observer, with the names of its .proto file: messages are those of observe/flow.ts. */
export function observerService(): ServiceDefinition {
  return loadService({ file: 'observer.proto', name: 'observer.Observer', camelCase: false, longs: 'text' });
}
