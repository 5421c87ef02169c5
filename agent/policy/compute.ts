// Incremental policy compute: which subjects and peers a change touches, and nothing else is made anew. README.md has
// the flow.

import type { Cookie, Identity } from '#common/ids.ts';
import type { PolicyObject } from '#mesh-config/model.ts';
import type { Allocator } from '../identity/allocator.ts';
import type { Desired } from '../tables.ts';
import { createCookies } from './cookies.ts';
import { createRuleIndex } from './rule-index.ts';
import { type CompiledRule, compilePolicy, DIRECTIONS, type Direction, releaseRule } from './rules.ts';
import { createRulesets } from './rulesets.ts';
import { type CachedSelector, createSelectorCache, type SelectorCache } from './selector-cache.ts';
import { createSubjectDirection, type SubjectContext, type SubjectDirection } from './subject.ts';

export interface PolicyCompute {
  /** A new identity, "source:key=value" labels. It may be a peer at once; a subject only after addSubject. */
  addIdentity(identity: Identity, labels: readonly string[]): void;
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

interface Dirty {
  replan: boolean;
  readonly peers: Set<Identity>;
  readonly selectors: Set<CachedSelector>;
}

/** Policy compute that writes `desired.policy`, `.rulesets` and `.cookies`. */
export function createPolicyCompute(
  desired: Pick<Desired, 'policy' | 'rulesets' | 'cookies'>,
  allocators: { readonly rulesets: Allocator<number>; readonly cookies: Allocator<Cookie> },
): PolicyCompute {
  const policies = new Map<string, readonly CompiledRule[]>();
  const index = createRuleIndex();
  const subjects = new Map<Identity, Readonly<Record<Direction, SubjectDirection>>>();
  const dirty = new Map<SubjectDirection, Dirty>();
  const cache: SelectorCache = createSelectorCache((selector, identity, added) => {
    const own = subjects.get(identity);
    for (const rule of index.asSubject(selector)) if (own) setRule(own, rule, added);
    for (const [rule, direction] of index.asPeer(selector)) {
      for (const subject of subjectsOf(rule)) {
        const marks = mark(subject[direction]);
        marks.peers.add(identity);
        marks.selectors.add(selector);
      }
    }
  });
  const host = cache.acquire({ requirements: [{ source: 'reserved', key: 'host', operator: 'Exists', values: [] }] });
  const rulesets = createRulesets(desired.rulesets, allocators.rulesets);
  const cookies = createCookies(desired.cookies, allocators.cookies);
  const context: SubjectContext = {
    cache,
    host,
    setEntry: (key, row) => (row ? desired.policy.set(key, row) : desired.policy.delete(key)),
    setRuleset: rulesets.set,
    rulesetId: rulesets.idFor,
    acquireCookie: cookies.acquire,
    releaseCookie: cookies.release,
  };

  const mark = (subject: SubjectDirection): Dirty => {
    let marks = dirty.get(subject);
    if (!marks) {
      marks = { replan: false, peers: new Set(), selectors: new Set() };
      dirty.set(subject, marks);
    }
    return marks;
  };
  const setRule = (subject: Readonly<Record<Direction, SubjectDirection>>, rule: CompiledRule, on: boolean): void => {
    for (const direction of DIRECTIONS) {
      if (!rule.directions[direction]) continue;
      if (on) subject[direction].rules.add(rule);
      else subject[direction].rules.delete(rule);
      mark(subject[direction]).replan = true;
    }
  };
  const subjectsOf = function* (rule: CompiledRule): Generator<Readonly<Record<Direction, SubjectDirection>>> {
    const { members } = rule.subject;
    if (members.size < subjects.size) {
      for (const member of members) {
        const subject = subjects.get(member);
        if (subject) yield subject;
      }
    } else for (const [identity, subject] of subjects) if (members.has(identity)) yield subject;
  };
  // Rulesets that say "all but the denied" name every identity there is.
  const everyoneChanged = (): void => {
    for (const subject of subjects.values()) {
      for (const direction of DIRECTIONS) if (subject[direction].dependsOnEveryone) mark(subject[direction]);
    }
  };

  return {
    addIdentity(identity, labels) {
      cache.addIdentity(identity, labels);
      everyoneChanged();
    },
    removeIdentity(identity) {
      cache.removeIdentity(identity);
      everyoneChanged();
    },
    addSubject(identity) {
      const make = (direction: Direction): SubjectDirection => createSubjectDirection(identity, direction, context);
      const subject = { ingress: make('ingress'), egress: make('egress') };
      subjects.set(identity, subject);
      rulesets.adopt(subject);
      for (const selector of cache.selectorsOf(identity)) {
        for (const rule of index.asSubject(selector)) setRule(subject, rule, true);
      }
      // Also without any rule: "not enforced" is an entry.
      for (const direction of DIRECTIONS) mark(subject[direction]).replan = true;
    },
    removeSubject(identity) {
      const subject = subjects.get(identity);
      if (!subject) return;
      subjects.delete(identity);
      for (const direction of DIRECTIONS) {
        dirty.delete(subject[direction]);
        subject[direction].clear();
        rulesets.abandon(subject[direction]);
      }
    },
    setPolicy(key, policy) {
      const before = policies.get(key) ?? [];
      const after = policy ? compilePolicy(key, policy, cache) : [];
      for (const rule of before) for (const subject of subjectsOf(rule)) setRule(subject, rule, false);
      for (const rule of after) for (const subject of subjectsOf(rule)) setRule(subject, rule, true);
      for (const rule of before) index.remove(rule);
      for (const rule of after) index.add(rule);
      for (const rule of before) releaseRule(rule, cache);
      if (policy) policies.set(key, after);
      else policies.delete(key);
    },
    recompute() {
      const touched = new Set<Identity>();
      for (const [subject, marks] of dirty) {
        if (marks.replan) {
          subject.replan();
          touched.add(subject.identity);
        } else subject.refresh(marks.peers, marks.selectors);
      }
      dirty.clear();
      return touched;
    },
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
