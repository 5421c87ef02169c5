// What is asked of policy, and what is answered: plain data, as it goes over the node API and into `-o json`.

import type { EnforcementMode } from '../compute/settings.ts';
import type { Direction, Reason } from './lookup.ts';

export type { Direction, EnforcementMode, Reason };

/**
 * A flow that is asked about. `from` and `to` are "namespace/name" of a pod, or of a workload for any of its pods; an
 * address; "entity:host"; "service:namespace/name"; "name:example.com"; "identity:300".
 */
export interface Question {
  readonly from: string;
  readonly to: string;
  /** "80", "http" (a container port's name), "53/UDP", "8/ICMP". */
  readonly port: string;
  readonly request?: HttpRequest;
}

export interface HttpRequest {
  readonly method: string;
  /** Path with query, as in the request line. */
  readonly path: string;
  /** '': not said. */
  readonly host: string;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
}

/** One end of a flow. */
export interface Party {
  /** How people call it: "default/xwing", "10.0.0.1", "entity:host". */
  readonly name: string;
  readonly kind: 'pod' | 'node' | 'outside' | 'entity';
  readonly identity: number;
  /** "source:key=value". */
  readonly labels: readonly string[];
  /** Whatever was chosen for the asker: which pod of a workload, which backend of a service. */
  readonly note?: string;
  /** Text form; missing: it stands for no single address. */
  readonly address?: string;
}

/** A policy that people wrote, and where. */
export interface PolicyReference {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly file: string;
  readonly line: number;
}

/** One rule of a policy, by its place in the file. */
export interface RuleReference extends PolicyReference {
  readonly field: string;
}

/** What would have to change for a flow that is refused. */
export interface Change {
  /** One sentence. */
  readonly text: string;
  /** A policy that allows the flow and no other; missing: only a change of what is there helps. */
  readonly yaml?: string;
}

/** What the rules of the proxy say of connections of this peer. */
export interface RequestRules {
  /** Parsers that have rules here: "http", "kafka", … */
  readonly parsers: readonly string[];
  /** Every request passes; the proxy only looks. */
  readonly everything: boolean;
  /** The requests that pass, one text for each rule: "GET /v1/.*". */
  readonly allowed: readonly string[];
  /** Requests that are refused though something allows them. */
  readonly refused: readonly string[];
}

/** What the request that was asked about meets. */
export interface RequestAnswer {
  readonly verdict: 'allow' | 'deny';
  /** One sentence. */
  readonly reason: string;
  /** The rule that decided, as a text; missing: none did. */
  readonly rule?: string;
  readonly policies: readonly PolicyReference[];
}

/** One direction: what the policy of `subject` says of `peer`. */
export interface Side {
  readonly direction: Direction;
  readonly subject: string;
  readonly peer: string;
  readonly verdict: 'allow' | 'deny' | 'redirect';
  readonly reason: Reason;
  /** One sentence. */
  readonly text: string;
  /** It is denied and passes all the same, because the subject is in audit mode. */
  readonly audited?: true;
  /** The rules that decide; none: built in, or nothing matched. */
  readonly rules: readonly RuleReference[];
  /** Policies that select the subject for this direction. */
  readonly selecting: readonly PolicyReference[];
  readonly requests?: RequestRules;
  readonly request?: RequestAnswer;
  readonly change?: Change;
}

export interface Explanation {
  readonly from: Party;
  readonly to: Party;
  /** "TCP". */
  readonly protocol: string;
  /** Port, or ICMP type. */
  readonly port: number;
  readonly request?: HttpRequest;
  /**
   * deny if a side denies and is not in audit mode, else redirect if a side does. A request that was asked about has no
   * redirect.
   */
  readonly verdict: 'allow' | 'deny' | 'redirect';
  /** Missing: the end is no endpoint of this node, and nothing is decided for it here. */
  readonly egress?: Side;
  readonly ingress?: Side;
}
