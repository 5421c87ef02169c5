// Rulesets as the agent sends them, and what they mean for one peer.

import { compileHttpRules, type HttpMatcher } from '#mesh-config/match/http.ts';
import type { HttpRule } from '#mesh-config/model.ts';

/** One rule with the policy it comes from. */
export type RuleOrder = HttpRule & { readonly policy: string };

export interface PeerOrder {
  readonly anyPeer: boolean;
  readonly identities: readonly number[];
  /** Every request passes. */
  readonly wildcard: boolean;
  readonly http: readonly RuleOrder[];
  readonly policies: readonly string[];
}

/** Rules of one subject, direction and port. Plain data: it travels between threads. */
export interface RulesetOrder {
  readonly id: number;
  readonly peers: readonly PeerOrder[];
}

/** A change of all rulesets as one step. `full`: what is not named is forgotten. */
export interface RulesOrder {
  readonly version: number;
  readonly full: boolean;
  readonly rulesets: readonly RulesetOrder[];
  readonly removed: readonly number[];
}

/** What one ruleset says to one peer. */
export interface PeerRules {
  /** Every request passes, on behalf of the policies with this number. */
  readonly wildcard: boolean;
  readonly wildcardPolicies: number;
  /** undefined: no rule at all. */
  readonly matcher: HttpMatcher | undefined;
  /** Number of the policy list of each rule. */
  readonly rulePolicies: readonly number[];
  /** Number of the list of all policies that had a say: those that did not allow a denied request. */
  readonly allPolicies: number;
}

/** Lists of policy names by number, so that a record carries a number. 0 is the empty list. */
export interface PolicyLists {
  numberOf(names: readonly string[]): number;
}

/** Numbers policy lists from 1; each new one is announced once. At most 2^32 - 1 lists. */
export function createPolicyLists(announce: (number: number, names: readonly string[]) => void): PolicyLists {
  const numbers = new Map<string, number>([['', 0]]);
  return {
    numberOf(names) {
      const sorted = [...new Set(names)].filter((name) => name !== '').sort();
      const key = sorted.join('\n');
      const known = numbers.get(key);
      if (known !== undefined) return known;
      const number = numbers.size;
      numbers.set(key, number);
      announce(number, sorted);
      return number;
    },
  };
}

/**
 * What `ruleset` says to peer `identity`; undefined (unknown ruleset): nothing, so everything is denied. `onProblem` gets
 * rules that cannot be compiled: they allow nothing, the others still hold.
 */
export function compilePeerRules(
  ruleset: RulesetOrder | undefined,
  identity: number,
  { lists, onProblem }: { readonly lists: PolicyLists; readonly onProblem: (problem: string) => void },
): PeerRules {
  const held = (ruleset?.peers ?? []).filter((peer) => peer.anyPeer || peer.identities.includes(identity));
  const wildcards = held.filter((peer) => peer.wildcard);
  const rules = held.flatMap((peer) => peer.http);
  let matcher: HttpMatcher | undefined;
  let compiled: readonly RuleOrder[] = rules;
  try {
    if (rules.length > 0) matcher = compileHttpRules(rules);
  } catch (cause) {
    onProblem(`Cannot compile rules of ruleset ${ruleset?.id}: ${(cause as Error).message}`);
    compiled = rules.filter(isSound);
    matcher = compiled.length > 0 ? compileHttpRules(compiled) : undefined;
  }
  return {
    wildcard: wildcards.length > 0,
    wildcardPolicies: lists.numberOf(wildcards.flatMap((peer) => peer.policies)),
    matcher,
    rulePolicies: compiled.map((rule) => lists.numberOf([rule.policy])),
    allPolicies: lists.numberOf([...held.flatMap((peer) => peer.policies), ...rules.map((rule) => rule.policy)]),
  };
}

function isSound(rule: RuleOrder): boolean {
  try {
    compileHttpRules([rule]);
    return true;
  } catch {
    return false;
  }
}
