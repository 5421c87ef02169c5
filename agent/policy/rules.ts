// From a parsed policy to contributions: the flat statements that compute works with.

import type { DirectionRule, HttpRule, PolicyObject, PolicyRule } from '#mesh-config/model.ts';
import { expandPorts, type L4, L4_ALL } from './l4.ts';
import type { EntryKind } from './precedence.ts';
import type { CachedSelector, SelectorCache } from './selector-cache.ts';

export type Direction = 'ingress' | 'egress';
export const DIRECTIONS: readonly Direction[] = ['ingress', 'egress'];

/** "Peers may (not) be reached at l4", by one policy. Built-in ones have the policy ''. */
export interface Contribution {
  readonly peer: CachedSelector | 'any';
  readonly l4: L4;
  readonly kind: EntryKind;
  /** The requests a redirect allows. */
  readonly http: readonly HttpRule[];
  readonly policy: string;
}

/** What one rule says of one direction. No contributions: it only turns enforcement on. */
export interface CompiledDirection {
  readonly contributions: readonly Contribution[];
  readonly defaultDeny: boolean;
}

/** One rule (`spec`) of a policy, its selectors held in the cache until `releaseRule`. */
export interface CompiledRule {
  readonly policy: string;
  readonly subject: CachedSelector;
  readonly directions: Readonly<Record<Direction, CompiledDirection | undefined>>;
}

/** Compiles the rules of a policy. `key` is "namespace/name". */
export function compilePolicy(key: string, policy: PolicyObject, cache: SelectorCache): readonly CompiledRule[] {
  return policy.rules.map((rule) => ({
    policy: key,
    subject: cache.acquire(rule.subject),
    directions: {
      ingress: compileDirection(key, rule, 'ingress', cache),
      egress: compileDirection(key, rule, 'egress', cache),
    },
  }));
}

/** Gives the selectors of a rule back. */
export function releaseRule(rule: CompiledRule, cache: SelectorCache): void {
  cache.release(rule.subject);
  for (const direction of DIRECTIONS) {
    for (const { peer } of rule.directions[direction]?.contributions ?? []) if (peer !== 'any') cache.release(peer);
  }
}

function compileDirection(
  policy: string,
  rule: PolicyRule,
  direction: Direction,
  cache: SelectorCache,
): CompiledDirection | undefined {
  const items = rule[direction];
  if (items === undefined || items.length === 0) return undefined;
  const contributions: Contribution[] = [];
  for (const item of items) {
    const peers = item.peers === 'any' ? (['any'] as const) : item.peers;
    for (const peer of peers) {
      for (const part of portsOf(item)) {
        contributions.push({ peer: peer === 'any' ? 'any' : cache.acquire(peer.selector), ...part, policy });
      }
    }
  }
  return { contributions, defaultDeny: rule.defaultDeny[direction] };
}

function portsOf(item: DirectionRule): readonly Pick<Contribution, 'l4' | 'kind' | 'http'>[] {
  const plain = item.deny ? ('deny' as const) : ('allow' as const);
  if (item.ports === 'all') return [{ l4: L4_ALL, kind: plain, http: [] }];
  return item.ports.flatMap((rule) => {
    // An empty list of L7 rules is none; a deny has none.
    const http = item.deny ? [] : (rule.l7?.rules ?? []);
    const kind = http.length > 0 ? ('redirect' as const) : plain;
    return rule.ports.flatMap(expandPorts).map((l4) => ({ l4, kind, http }));
  });
}
