// One subject identity in one direction: its plan, and the rows made from it, peer by peer.

import type { Cookie, Identity, RulesetId } from '#common/ids.ts';
import type { PeerRules, PolicyEntryRow, RulesetRow } from '../tables.ts';
import { type L4, L4_ALL, l4Key } from './l4.ts';
import { createPlan, type EntryTemplate, type Plan } from './plan.ts';
import { PRECEDENCE } from './precedence.ts';
import type { CompiledRule, Contribution, Direction } from './rules.ts';
import type { CachedSelector, SelectorCache } from './selector-cache.ts';

const ANY_PEER = 0 as Identity;

/** What a subject needs from outside: numbers, places for rows. */
export interface SubjectContext {
  readonly cache: SelectorCache;
  /** Selects the local host, which may always reach its own pods. */
  readonly host: CachedSelector;
  setEntry(key: string, row: PolicyEntryRow | undefined): void;
  setRuleset(row: RulesetRow): void;
  /** The stable id of a ruleset; undefined when there is none left. */
  rulesetId(subject: SubjectDirection, l4: L4): RulesetId | undefined;
  acquireCookie(policies: readonly string[]): Cookie;
  releaseCookie(policies: readonly string[]): void;
}

interface Held {
  readonly row: PolicyEntryRow;
  readonly policies: readonly string[];
}

export interface SubjectDirection {
  readonly identity: Identity;
  readonly direction: Direction;
  /** Rules that select the subject and speak of the direction. */
  readonly rules: Set<CompiledRule>;
  /** Rulesets that exist for the subject, those that no entry names any more included. */
  readonly rulesets: Map<number, { readonly id: RulesetId; readonly l4: L4 }>;
  /** Some rule speaks of the direction. */
  readonly enforced: boolean;
  /** Some ruleset names every identity there is: it changes with each. */
  readonly dependsOnEveryone: boolean;
  /** Recomputes everything, after rules came or went. */
  replan(): void;
  /** Recomputes the entries of `peers` and the rulesets that depend on `selectors`, after members came or went. */
  refresh(peers: ReadonlySet<Identity>, selectors: ReadonlySet<CachedSelector>): void;
  /** Removes all rows of entries. Rulesets are their owner's to remove. */
  clear(): void;
}

/** A subject without rules and rows. */
export function createSubjectDirection(
  identity: Identity,
  direction: Direction,
  context: SubjectContext,
): SubjectDirection {
  const rules = new Set<CompiledRule>();
  const rulesets: SubjectDirection['rulesets'] = new Map();
  const entries = new Map<Identity, Map<string, Held>>();
  let plan: Plan = createPlan([]);
  let dependsOnEveryone = false;

  const setPeer = (peer: Identity, templates: readonly EntryTemplate[]): void => {
    const before = entries.get(peer);
    const after = new Map<string, Held>();
    for (const template of templates) {
      const row = rowOf(peer, template);
      after.set(entryKey(row), { row, policies: template.policies });
    }
    for (const [key, held] of after) {
      const old = before?.get(key)?.row;
      if (!old || !sameEntry(old, held.row)) context.setEntry(key, held.row);
    }
    for (const [key, held] of before ?? []) {
      if (!after.has(key)) context.setEntry(key, undefined);
      context.releaseCookie(held.policies);
    }
    if (after.size > 0) entries.set(peer, after);
    else entries.delete(peer);
  };
  const rowOf = (peer: Identity, template: EntryTemplate): PolicyEntryRow => {
    const ruleset = template.kind === 'redirect' ? context.rulesetId(self, template.l4) : undefined;
    // Without a ruleset the proxy could not decide: refuse.
    const action = template.kind === 'redirect' && ruleset === undefined ? 'deny' : template.kind;
    return {
      subject: identity,
      peer,
      direction,
      protocol: template.l4.protocol,
      port: template.l4.port,
      l4Bits: template.l4.bits,
      action,
      precedence: PRECEDENCE[action],
      ruleset,
      cookie: context.acquireCookie(template.policies),
    };
  };
  const refreshPeer = (peer: Identity): void => {
    const selected = [...context.cache.selectorsOf(peer)].filter((selector) => plan.selectors.has(selector));
    setPeer(peer, selected.length > 0 ? plan.templates(selected) : []);
  };
  const refreshRuleset = ({ id, l4 }: { readonly id: RulesetId; readonly l4: L4 }): void => {
    const content: readonly PeerRules[] = plan.ruleset(l4, () => context.cache.identities());
    context.setRuleset({ id, subject: identity, direction, port: l4.port, rules: content });
  };
  const self: SubjectDirection = {
    identity,
    direction,
    rules,
    rulesets,
    get enforced() {
      return rules.size > 0;
    },
    get dependsOnEveryone() {
      return dependsOnEveryone;
    },
    replan() {
      plan = createPlan(contributionsOf(rules, direction, context.host));
      const peers = new Set(entries.keys());
      for (const selector of plan.selectors) for (const member of selector.members) peers.add(member);
      peers.delete(ANY_PEER);
      setPeer(ANY_PEER, plan.templates('any'));
      for (const peer of peers) refreshPeer(peer);
      for (const ruleset of rulesets.values()) refreshRuleset(ruleset);
      dependsOnEveryone = [...rulesets.values()].some(({ l4 }) => plan.rulesetSelectors(l4) === 'all');
    },
    refresh(peers, selectors) {
      const known = new Set(rulesets.keys());
      for (const peer of peers) refreshPeer(peer);
      for (const ruleset of rulesets.values()) {
        const on = plan.rulesetSelectors(ruleset.l4);
        const isNew = !known.has(l4Key(ruleset.l4));
        if (isNew && on === 'all') dependsOnEveryone = true;
        if (isNew || on === 'all' || on.some((selector) => selectors.has(selector))) refreshRuleset(ruleset);
      }
    },
    clear() {
      for (const peer of [...entries.keys()]) setPeer(peer, []);
    },
  };
  return self;
}

function contributionsOf(
  rules: ReadonlySet<CompiledRule>,
  direction: Direction,
  host: CachedSelector,
): readonly Contribution[] {
  const compiled = [...rules].flatMap((rule) => rule.directions[direction] ?? []);
  const contributions = compiled.flatMap((c) => c.contributions);
  const builtIn = { l4: L4_ALL, kind: 'allow' as const, http: [], policy: '' };
  // No rule with default deny (or no rule at all): everything is allowed that nothing denies, and L7 rules only show.
  if (!compiled.some((c) => c.defaultDeny)) return [...contributions, { ...builtIn, peer: 'any' }];
  return direction === 'ingress' ? [...contributions, { ...builtIn, peer: host }] : contributions;
}

function entryKey(row: PolicyEntryRow): string {
  return `${row.subject} ${row.direction} ${row.peer} ${row.protocol} ${row.port} ${row.l4Bits}`;
}

function sameEntry(a: PolicyEntryRow, b: PolicyEntryRow): boolean {
  return a.action === b.action && a.precedence === b.precedence && a.ruleset === b.ruleset && a.cookie === b.cookie;
}
