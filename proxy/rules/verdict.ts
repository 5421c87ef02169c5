// The verdict on one request: egress rules of the source and ingress rules of the destination, both must allow.

import type { HttpMatcher, RequestView } from '#mesh-config/match/http.ts';
import type { RequestHead } from '../http1/request.ts';
import { isPlain, readings } from './readings.ts';
import type { PeerRules } from './ruleset.ts';

export const VERDICT = { allowed: 0, denied: 1, ambiguous: 2 } as const;

/** The verdict, and the numbers of the policy lists behind it. One object serves all requests of a thread. */
export interface Judgement {
  verdict: number; // VERDICT
  egressPolicies: number;
  ingressPolicies: number;
  /** What L3/L4 policy denies: it passes, if it does, because a subject is in audit mode. */
  audited: boolean;
}

/** A judgement that has not been made. */
export function createJudgement(): Judgement {
  return { verdict: VERDICT.denied, egressPolicies: 0, ingressPolicies: 0, audited: false };
}

/** Judges a request into `into`. undefined: that side asks for no L7 rules. */
export function judge(
  into: Judgement,
  head: RequestHead,
  rules: { readonly egress: PeerRules | undefined; readonly ingress: PeerRules | undefined },
): void {
  const { egress, ingress } = rules;
  into.egressPolicies = 0;
  into.ingressPolicies = 0;
  let verdict: number = VERDICT.allowed;
  if (egress !== undefined) {
    const index = judgeSide(egress, head);
    verdict = verdictOf(index);
    into.egressPolicies = policiesOf(egress, index);
  }
  if (ingress !== undefined) {
    const index = judgeSide(ingress, head);
    // A denial by either side is the answer, also where the other cannot tell.
    const own = verdictOf(index);
    if (verdict === VERDICT.allowed || own === VERDICT.denied) verdict = own;
    into.ingressPolicies = policiesOf(ingress, index);
  }
  into.verdict = verdict;
}

const NONE = -1;
const AMBIGUOUS = -2;
const WILDCARD = -3;
/** This and what is below: denied by the rule of denials that is so far below. */
const DENIED = -16;

function verdictOf(index: number): number {
  if (index >= 0 || index === WILDCARD) return VERDICT.allowed;
  return index === NONE || index <= DENIED ? VERDICT.denied : VERDICT.ambiguous;
}

function policiesOf(rules: PeerRules, index: number): number {
  if (index === WILDCARD) return rules.wildcardPolicies;
  if (index <= DENIED) return rules.denialPolicies[DENIED - index] as number;
  return index >= 0 ? (rules.rulePolicies[index] as number) : rules.allPolicies;
}

/** Index of the rule that allows the request, or NONE, AMBIGUOUS, WILDCARD, or DENIED and below. */
function judgeSide(rules: PeerRules, head: RequestHead): number {
  if (rules.refused) return NONE;
  if (rules.denials !== undefined) {
    const index = denialOf(rules.denials, head);
    if (index >= 0) return DENIED - index;
    // What cannot be told is not let through past a denial.
    if (index === AMBIGUOUS) return AMBIGUOUS;
  }
  if (rules.wildcard) return WILDCARD;
  if (rules.matcher === undefined) return NONE;
  if (isPlain(head)) return rules.matcher.match(head);
  // Rules know no schemes: "https" in a plain request may mean another server than they do.
  if (head.secure) return AMBIGUOUS;
  const views = readings(head);
  return views === undefined ? AMBIGUOUS : agreed(rules, views);
}

/** Index of the rule that denies the request in any of its readings; NONE, or AMBIGUOUS. */
function denialOf(denials: HttpMatcher, head: RequestHead): number {
  if (isPlain(head)) return denials.match(head);
  if (head.secure) return AMBIGUOUS;
  const views = readings(head);
  if (views === undefined) return AMBIGUOUS;
  for (const view of views) {
    const index = denials.match(view);
    if (index >= 0) return index;
  }
  return NONE;
}

function agreed(rules: PeerRules, views: readonly RequestView[]): number {
  const indices = views.map((view) => rules.matcher?.match(view) ?? NONE);
  const allowed = indices.filter((index) => index >= 0).length;
  if (allowed === 0) return NONE;
  return allowed === indices.length ? (indices[0] as number) : AMBIGUOUS;
}
