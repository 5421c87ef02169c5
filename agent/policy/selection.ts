// Which rules select which subjects. Rules for endpoints are about the identities of endpoints, rules for nodes about
// this node: a subject too, as long as a rule selects it.

import { type Identity, RESERVED } from '#common/ids.ts';
import type { Labels, PolicyRule, Selector } from '#mesh-config/model.ts';
import type { CompiledRule } from './rules.ts';
import type { Rulesets } from './rulesets.ts';
import { type CachedSelector, createSelectorCache, type SelectorCache } from './selector-cache.ts';
import type { Enforcement } from './subject.ts';
import type { Subjects } from './subjects.ts';

export interface Selection {
  acquire(selector: Selector, on: PolicyRule['on']): CachedSelector;
  release(selector: CachedSelector, on: PolicyRule['on']): void;
  /** The rules are in force, or no longer are. */
  setRules(rules: readonly CompiledRule[], inForce: boolean): void;
  addSubject(identity: Identity, enforcement: Enforcement): void;
  removeSubject(identity: Identity): void;
  /** Labels of the node; undefined: not known. */
  setNode(labels: Labels | undefined): void;
  /** Makes the node a subject if a rule selects it, and none if not. */
  settleNode(): void;
  /** The identities that a rule is about. */
  selectedBy(rule: CompiledRule): Iterable<Identity>;
}

/** No rules and no subjects. `cache` holds the selectors of endpoints. */
export function createSelection(parts: {
  readonly cache: SelectorCache;
  readonly subjects: Subjects;
  readonly rulesets: Rulesets;
}): Selection {
  const { cache, subjects, rulesets } = parts;
  const nodes = createSelectorCache(() => {});
  const bySubject = new Map<CachedSelector, Set<CompiledRule>>();
  const selecting = (identity: Identity, from: SelectorCache): CompiledRule[] =>
    [...from.selectorsOf(identity)].flatMap((selector) => [...(bySubject.get(selector) ?? [])]);
  const add = (identity: Identity, enforcement: Enforcement, from: SelectorCache): void => {
    const subject = subjects.add(identity, enforcement);
    rulesets.adopt(subject);
    for (const rule of selecting(identity, from)) subjects.setRule(subject, rule, true);
  };
  const self: Selection = {
    acquire: (selector, on) => (on === 'nodes' ? nodes.acquire(ofAnySource(selector)) : cache.acquire(selector)),
    release: (selector, on) => (on === 'nodes' ? nodes : cache).release(selector),
    setRules(rules, inForce) {
      for (const rule of rules) {
        for (const [identity, subject] of subjects.among(rule.subject.members)) {
          if (isAbout(rule, identity)) subjects.setRule(subject, rule, inForce);
        }
        const known = bySubject.get(rule.subject) ?? new Set();
        if (inForce) known.add(rule);
        else known.delete(rule);
        if (known.size > 0) bySubject.set(rule.subject, known);
        else bySubject.delete(rule.subject);
      }
    },
    addSubject: (identity, enforcement) => add(identity, enforcement, cache),
    removeSubject(identity) {
      const subject = subjects.remove(identity);
      if (subject) rulesets.abandon(subject);
    },
    setNode(labels) {
      self.removeSubject(RESERVED.host);
      nodes.removeIdentity(RESERVED.host);
      const own = Object.entries(labels ?? {}).map(([key, value]) => `k8s:${key}=${value}`);
      if (labels) nodes.addIdentity(RESERVED.host, ['reserved:host', ...own]);
      self.settleNode();
    },
    settleNode() {
      const isWanted = selecting(RESERVED.host, nodes).length > 0;
      const isSubject = subjects.get(RESERVED.host) !== undefined;
      if (isWanted && !isSubject) add(RESERVED.host, 'by rules', nodes);
      else if (!isWanted && isSubject) self.removeSubject(RESERVED.host);
    },
    *selectedBy(rule) {
      for (const member of rule.subject.members) if (isAbout(rule, member)) yield member;
    },
  };
  return self;
}

/** Rules for endpoints are not about the node, also if they select the labels of its identity. */
function isAbout({ on }: CompiledRule, identity: Identity): boolean {
  return (identity === RESERVED.host) === (on === 'nodes');
}

/** Node labels have one source, whatever a selector calls it. */
function ofAnySource({ requirements }: Selector): Selector {
  return { requirements: requirements.map((r) => (r.source === 'reserved' ? r : { ...r, source: 'any' })) };
}
