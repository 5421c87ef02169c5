// Incremental policy compute: which subjects and peers a change touches, and nothing else is made anew. README.md has
// the flow.

import type { Cookie, Identity } from '#common/ids.ts';
import type { PolicyObject } from '#mesh-config/model.ts';
import type { Allocator } from '../identity/allocator.ts';
import type { Desired } from '../tables.ts';
import { createCookies } from './cookies.ts';
import { createRuleIndex } from './rule-index.ts';
import { type CompiledRule, compilePolicy, releaseRule } from './rules.ts';
import { createRulesets } from './rulesets.ts';
import { createSelectorCache, type SelectorCache } from './selector-cache.ts';
import { createSubjects } from './subjects.ts';

export interface PolicyCompute {
  /** A new identity, "source:key=value" labels. It may be a peer at once; a subject only after addSubject. */
  addIdentity(identity: Identity, labels: readonly string[]): void;
  /** The identity must not be a subject any more. */
  removeIdentity(identity: Identity): void;
  /** The identity has an endpoint here: its policy belongs into the map. */
  addSubject(identity: Identity): void;
  removeSubject(identity: Identity): void;
  /** Adds, replaces or (undefined) removes the policy "namespace/name". */
  setPolicy(key: string, policy: PolicyObject | undefined): void;
  /** Brings the desired tables up to date. Returns the subjects whose enforcement may have changed. */
  recompute(): ReadonlySet<Identity>;
  enforced(subject: Identity): { readonly ingress: boolean; readonly egress: boolean };
  /** Identities that the policy's rules select as subjects. */
  selectedBy(key: string): ReadonlySet<Identity>;
  /** What could not be allocated, for people. */
  problems(): readonly string[];
}

/** Policy compute that writes `desired.policy`, `.rulesets` and `.cookies`. */
export function createPolicyCompute(
  desired: Pick<Desired, 'policy' | 'rulesets' | 'cookies'>,
  allocators: { readonly rulesets: Allocator<number>; readonly cookies: Allocator<Cookie> },
): PolicyCompute {
  const policies = new Map<string, readonly CompiledRule[]>();
  const index = createRuleIndex();
  // Labels of an identity never change: what selects a subject is known when it becomes one.
  const cache: SelectorCache = createSelectorCache((selector, identity) => {
    for (const [rule, direction] of index.asPeer(selector)) {
      for (const subject of subjects.selectedBy(rule)) subjects.markPeer(subject[direction], identity, selector);
    }
  });
  const rulesets = createRulesets(desired.rulesets, allocators.rulesets);
  const cookies = createCookies(desired.cookies, allocators.cookies);
  const subjects = createSubjects({
    cache,
    host: cache.acquire({ requirements: [{ source: 'reserved', key: 'host', operator: 'Exists', values: [] }] }),
    setEntry: (key, row) => (row ? desired.policy.set(key, row) : desired.policy.delete(key)),
    setRuleset: rulesets.set,
    rulesetId: rulesets.idFor,
    acquireCookie: cookies.acquire,
    releaseCookie: cookies.release,
  });

  return {
    addIdentity(identity, labels) {
      cache.addIdentity(identity, labels);
      subjects.markEveryone();
    },
    removeIdentity(identity) {
      cache.removeIdentity(identity);
      subjects.markEveryone();
    },
    addSubject(identity) {
      const subject = subjects.add(identity);
      rulesets.adopt(subject);
      for (const selector of cache.selectorsOf(identity)) {
        for (const rule of index.asSubject(selector)) subjects.setRule(subject, rule, true);
      }
    },
    removeSubject(identity) {
      const subject = subjects.remove(identity);
      if (subject) rulesets.abandon(subject);
    },
    setPolicy(key, policy) {
      const before = policies.get(key) ?? [];
      const after = policy ? compilePolicy(key, policy, cache) : [];
      for (const rule of before) {
        for (const subject of subjects.selectedBy(rule)) subjects.setRule(subject, rule, false);
        index.remove(rule);
      }
      for (const rule of after) {
        for (const subject of subjects.selectedBy(rule)) subjects.setRule(subject, rule, true);
        index.add(rule);
      }
      for (const rule of before) releaseRule(rule, cache);
      if (policy) policies.set(key, after);
      else policies.delete(key);
    },
    recompute: subjects.recompute,
    enforced(identity) {
      const subject = subjects.get(identity);
      return { ingress: subject?.ingress.enforced ?? false, egress: subject?.egress.enforced ?? false };
    },
    selectedBy(key) {
      const selected = new Set<Identity>();
      for (const rule of policies.get(key) ?? []) for (const member of rule.subject.members) selected.add(member);
      return selected;
    },
    problems: () => [...rulesets.problems(), ...cookies.problems()],
  };
}
