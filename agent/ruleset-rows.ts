// Rows of the table of L7 rulesets: who may make which requests on the ports of a policy entry.

import type { Identity, RulesetId } from '#common/ids.ts';
import type { GenericRule, HttpRule, KafkaRule, NamePattern } from '#mesh-config/model.ts';

/** What an L7 parser reads; with 'generic', whatever its rules name. */
export type Parser = 'http' | 'kafka' | 'generic' | 'tls' | 'dns';

/** Rules of every parser, each with the policy (objectKey) that it comes from. */
export interface L7RuleLists {
  readonly http: readonly (HttpRule & { readonly policy: string })[];
  readonly kafka: readonly (KafkaRule & { readonly policy: string })[];
  readonly dns: readonly (NamePattern & { readonly policy: string })[];
  /** Without `rule`: every request that the parser can read. */
  readonly generic: readonly {
    readonly parser: string;
    readonly rule: GenericRule | undefined;
    readonly policy: string;
  }[];
  /** TLS names, as patterns. */
  readonly serverNames: readonly { readonly name: string; readonly policy: string }[];
}

/**
 * What rules say of some peers on the ports of a ruleset. All elements that hold for a peer count together: a request
 * passes if one of them allows it, and none of them denies it.
 */
export interface PeerRules extends L7RuleLists {
  readonly peers: 'any' | readonly Identity[];
  /** A plain allow: every connection and request passes. It lifts only the rules of the parsers in `lifts`. */
  readonly wildcard: boolean;
  /** Parsers whose rules do not bind these peers. A parser without rules in the whole ruleset is not listed. */
  readonly lifts: readonly Parser[];
  /** Policies (objectKey) behind `wildcard`. */
  readonly policies: readonly string[];
  /** Nothing of these peers passes, whatever else allows it. */
  readonly refused: boolean;
  /** Requests that are refused though something allows them. */
  readonly denied: L7RuleLists;
}

export interface RulesetRow {
  readonly id: RulesetId;
  readonly subject: Identity;
  readonly direction: 'ingress' | 'egress';
  readonly port: number;
  readonly rules: readonly PeerRules[];
}
