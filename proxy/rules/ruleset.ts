// Rulesets as the agent sends them, and what they mean for their peers.

import { createHash } from 'node:crypto';
import type { HttpMatcher } from '#mesh-config/match/http.ts';
import type { Steps } from '#mesh-config/match/steps.ts';
import type { HttpRule } from '#mesh-config/model.ts';
import type { CompiledRules } from './compile.ts';
import type { PolicyLists } from './lists.ts';

/** One rule with the policy it comes from. */
export type RuleOrder = HttpRule & { readonly policy: string };

export interface PeerOrder {
  readonly anyPeer: boolean;
  readonly identities: readonly number[];
  /** Every request passes. */
  readonly wildcard: boolean;
  readonly http: readonly RuleOrder[];
  readonly policies: readonly string[];
  /** Nothing of these peers passes. */
  readonly refused: boolean;
  /** Requests that are refused though something allows them. */
  readonly denied: readonly RuleOrder[];
  /** Rules of other parsers than HTTP hold for these peers. */
  readonly otherParsers: boolean;
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
  /** Nothing passes. */
  readonly refused: boolean;
  /** It is L3/L4 policy that denies: it does not let the peer connect at all. Never of rules that are not known. */
  readonly barred: boolean;
  /** Requests that do not pass, whatever allows them; undefined: there are none. */
  readonly denials: HttpMatcher | undefined;
  /** Number of the policy list of each of these. */
  readonly denialPolicies: readonly number[];
  /** Number of the list of all policies that had a say: those that did not allow a denied request. */
  readonly allPolicies: number;
}

/** A ruleset ready to judge by. Peers to whom the same rules apply share them. */
export interface PreparedRuleset {
  readonly byIdentity: ReadonlyMap<number, PeerRules>;
  /** Of every other peer. */
  readonly others: PeerRules;
  /** What its matchers were made from. */
  readonly contents: readonly CompiledRules[];
  /** Numbers of all lists of policies that its rules name. */
  readonly policies: readonly number[];
}

/** An unknown ruleset: everything is denied. */
export const NO_RULES: PeerRules = {
  wildcard: false,
  wildcardPolicies: 0,
  matcher: undefined,
  rulePolicies: [],
  refused: false,
  barred: false,
  denials: undefined,
  denialPolicies: [],
  allPolicies: 0,
};

export interface Preparing {
  readonly lists: PolicyLists;
  /** Compiles rules, or finds those with the same key compiled. undefined: there is no room, nothing is allowed. */
  compile(key: string, rules: readonly RuleOrder[]): Steps<CompiledRules | undefined>;
}

/** Works out what `ruleset` says to each of its peers. */
export function* prepareRuleset(ruleset: RulesetOrder, preparing: Preparing): Steps<PreparedRuleset> {
  const { peers } = ruleset;
  const texts = new Map<RuleOrder, string>();
  const keys: string[] = [];
  const denialKeys: string[] = [];
  for (const peer of peers) {
    keys.push(yield* keyOf(peer.http, texts));
    denialKeys.push(yield* keyOf(peer.denied, texts));
  }
  const always = [...peers.keys()].filter((i) => peers[i]?.anyPeer);
  const named = new Map<number, Set<number>>();
  for (const [i, { identities }] of peers.entries()) {
    for (const identity of identities) {
      const known = named.get(identity);
      if (known === undefined) named.set(identity, new Set([...always, i]));
      else known.add(i);
    }
    yield;
  }
  const contents = new Set<CompiledRules>();
  const prepared = new Map<string, PeerRules>();
  const prepare = function* (held: readonly number[]): Steps<PeerRules> {
    const place = held.join();
    const known = prepared.get(place);
    if (known !== undefined) return known;
    const orders = held.map((i) => peers[i] as PeerOrder);
    const joined = { key: held.map((i) => keys[i]).join(''), denialKey: held.map((i) => denialKeys[i]).join('') };
    const rules = yield* preparePeer(orders, joined, { ...preparing, contents, texts });
    prepared.set(place, rules);
    return rules;
  };
  const others = yield* prepare(always);
  const byIdentity = new Map<number, PeerRules>();
  for (const [identity, held] of named) {
    byIdentity.set(identity, yield* prepare([...held].sort((a, b) => a - b)));
    yield;
  }
  const policies = new Set<number>();
  for (const { wildcardPolicies, allPolicies, rulePolicies, denialPolicies } of prepared.values()) {
    policies.add(wildcardPolicies).add(allPolicies);
    for (const number of [...rulePolicies, ...denialPolicies]) policies.add(number);
  }
  return { byIdentity, others, contents: [...contents], policies: [...policies] };
}

function* preparePeer(
  orders: readonly PeerOrder[],
  { key, denialKey }: { readonly key: string; readonly denialKey: string },
  { lists, compile, contents, texts }: Preparing & { readonly contents: Set<CompiledRules>; readonly texts: RuleTexts },
): Steps<PeerRules> {
  const wildcards = orders.filter((peer) => peer.wildcard);
  const rules = orders.flatMap((peer) => peer.http);
  const denied = orders.flatMap((peer) => peer.denied);
  const policies = new Set([...rules, ...denied].map(({ policy }) => policy));
  // Where everything passes, no rule that allows is asked.
  const asked = wildcards.length === 0 && rules.length > 0;
  const compiled = asked ? yield* compile(key, rules) : undefined;
  const denials = denied.length > 0 ? yield* compile(denialKey, denied) : undefined;
  for (const content of [compiled, denials]) if (content !== undefined) contents.add(content);
  return {
    wildcard: wildcards.length > 0,
    wildcardPolicies: lists.numberOf(wildcards.flatMap((peer) => peer.policies)),
    matcher: compiled?.matcher,
    rulePolicies: yield* policiesOf(rules, compiled?.places ?? [], { lists, texts }),
    // What cannot be denied by a rule that is not understood, or not held, is denied altogether.
    refused: orders.some((peer) => peer.refused) || (denials?.places.length ?? 0) < denied.length,
    barred: orders.some((peer) => peer.refused) || !orders.some(lets),
    denials: denials?.matcher,
    denialPolicies: yield* policiesOf(denied, denials?.places ?? [], { lists, texts }),
    allPolicies: lists.numberOf([...orders.flatMap((peer) => peer.policies), ...policies]),
  };
}

/** What each rule says: equal for rules that match alike. */
type RuleTexts = ReadonlyMap<RuleOrder, string>;

/** The number of the policy list of each rule at `places`: all policies that say the same. */
function* policiesOf(
  rules: readonly RuleOrder[],
  places: readonly number[],
  { lists, texts }: { readonly lists: PolicyLists; readonly texts: RuleTexts },
): Steps<number[]> {
  if (places.length === 0) return [];
  const policies = new Map<string | undefined, string[]>();
  for (const [i, rule] of rules.entries()) {
    const text = texts.get(rule);
    const saying = policies.get(text);
    if (saying) saying.push(rule.policy);
    else policies.set(text, [rule.policy]);
    if (i % RULES_PER_STEP === 0) yield;
  }
  const numbers = new Map<string | undefined, number>();
  for (const [i, [text, saying]] of [...policies].entries()) {
    numbers.set(text, lists.numberOf(saying));
    if (i % RULES_PER_STEP === 0) yield;
  }
  return places.map((place) => numbers.get(texts.get(rules[place] as RuleOrder)) ?? 0);
}

/** Does L3/L4 policy let the peer connect, be it for requests that pass or for rules that decide? */
function lets({ wildcard, http, otherParsers }: PeerOrder): boolean {
  return wildcard || http.length > 0 || otherParsers;
}

const RULES_PER_STEP = 64;

/** Equal for rules that match alike, whatever policies they come from; '' for no rules. Notes in `texts` what each says. */
function* keyOf(rules: readonly RuleOrder[], texts: Map<RuleOrder, string>): Steps<string> {
  if (rules.length === 0) return '';
  const hash = createHash('sha256');
  for (const [i, rule] of rules.entries()) {
    const { method, path, host, headers } = rule;
    const text = JSON.stringify([method, path, host, headers.map(({ name, value }) => [name, value])]);
    texts.set(rule, text);
    hash.update(text);
    if (i % RULES_PER_STEP === 0) yield;
  }
  return hash.digest('base64');
}
