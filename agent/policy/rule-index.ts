// Which rules a selector's members matter to, as subjects and as peers.

import type { CompiledRule, Direction } from './rules.ts';
import { DIRECTIONS } from './rules.ts';
import type { CachedSelector } from './selector-cache.ts';

/** A rule in the direction in which a selector is a peer of it. */
export type PeerUse = readonly [CompiledRule, Direction];

export interface RuleIndex {
  add(rule: CompiledRule): void;
  remove(rule: CompiledRule): void;
  asSubject(selector: CachedSelector): Iterable<CompiledRule>;
  asPeer(selector: CachedSelector): Iterable<PeerUse>;
}

/** An empty index. */
export function createRuleIndex(): RuleIndex {
  const subjects = new Map<CachedSelector, Set<CompiledRule>>();
  const peers = new Map<CachedSelector, Set<PeerUse>>();
  const uses = new Map<CompiledRule, readonly (readonly [CachedSelector, PeerUse])[]>();
  return {
    add(rule) {
      put(subjects, rule.subject, rule);
      const own = peerUses(rule);
      uses.set(rule, own);
      for (const [selector, use] of own) put(peers, selector, use);
    },
    remove(rule) {
      take(subjects, rule.subject, rule);
      for (const [selector, use] of uses.get(rule) ?? []) take(peers, selector, use);
      uses.delete(rule);
    },
    asSubject: (selector) => subjects.get(selector) ?? [],
    asPeer: (selector) => peers.get(selector) ?? [],
  };
}

function peerUses(rule: CompiledRule): readonly (readonly [CachedSelector, PeerUse])[] {
  return DIRECTIONS.flatMap((direction) => {
    const selectors = new Set((rule.directions[direction]?.contributions ?? []).map((c) => c.peer));
    const use: PeerUse = [rule, direction];
    return [...selectors].flatMap((peer) => (peer === 'any' ? [] : [[peer, use] as const]));
  });
}

function put<V>(map: Map<CachedSelector, Set<V>>, key: CachedSelector, value: V): void {
  const set = map.get(key);
  if (set) set.add(value);
  else map.set(key, new Set([value]));
}

function take<V>(map: Map<CachedSelector, Set<V>>, key: CachedSelector, value: V): void {
  const set = map.get(key);
  set?.delete(value);
  if (set?.size === 0) map.delete(key);
}
