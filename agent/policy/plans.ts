// Plans in use: one for each set of rules, and what of them has to be looked at again.

import type { Selector } from '#mesh-config/model.ts';
import { UNNUMBERED } from '../identity/reserved.ts';
import { L4_ALL } from './l4.ts';
import type { PeerSets } from './peer-sets.ts';
import { createPlan, type Plan, type PlanChanges } from './plan.ts';
import type { CompiledRule, Direction, Item, PartKind } from './rules.ts';
import { hasLabel } from './selector.ts';
import type { CachedSelector, SelectorCache } from './selector-cache.ts';
import type { TemplateStore, Templates } from './templates.ts';

/** The rules of one direction, and how they are enforced. */
export interface PlanSpec {
  /** Equal for specs that mean the same plan. */
  readonly key: string;
  readonly direction: Direction;
  readonly rules: ReadonlySet<CompiledRule>;
  /** off: everything passes. forced: default deny, whatever the rules say. */
  readonly enforcement: 'off' | 'by rules' | 'forced';
}

export interface Plans {
  /** The plan for `spec`, with a reference on it. */
  acquire(spec: PlanSpec): Plan;
  release(plan: Plan): void;
  /**
   * Makes `plan`, which as many hold as `holders` says, the one for `spec`. undefined: it cannot be, because others hold
   * it, or because there is one already.
   */
  evolve(plan: Plan, spec: PlanSpec, holders: number): PlanChanges | undefined;
  /** Members of a selector have changed. */
  mark(selector: CachedSelector): void;
  /** Brings what is marked up to date. Returns the plans that changed. */
  refresh(): readonly (readonly [Plan, PlanChanges])[];
}

interface Held {
  key: string;
  readonly plan: Plan;
  /** Whose items the plan has, beside what is built in. */
  readonly rules: Set<CompiledRule>;
  builtIn: readonly Item[];
  references: number;
}

/** No plans. */
export function createPlans(
  cache: Pick<SelectorCache, 'acquire'>,
  context: { readonly sets: PeerSets; readonly store: TemplateStore },
): Plans {
  const plans = new Map<string, Held>();
  const held = new Map<Plan, Held>();
  const index = createSelectorIndex();
  const builtIn = builtInItems(cache);
  const shared = { ...context, ofItem: new WeakMap<Item, Templates>() };
  const createHeld = (spec: PlanSpec): Held => {
    const rules = new Set(rulesOf(spec));
    const own = builtInsFor(spec, builtIn);
    const items = [...rules].flatMap((rule) => rule.directions[spec.direction]?.items ?? []);
    return { key: spec.key, plan: createPlan([...items, ...own], shared), rules, builtIn: own, references: 0 };
  };
  /** Most rules are the same: only the others are looked at. */
  const change = (known: Held, spec: PlanSpec): PlanChanges => {
    const { rules, builtIn: before } = known;
    const next = rulesOf(spec);
    known.builtIn = builtInsFor(spec, builtIn);
    const added = known.builtIn.filter((item) => !before.includes(item));
    const removed = before.filter((item) => !known.builtIn.includes(item));
    for (const rule of rules) {
      if (next.has(rule)) continue;
      rules.delete(rule);
      removed.push(...(rule.directions[spec.direction]?.items ?? []));
    }
    for (const rule of next) {
      if (rules.has(rule)) continue;
      rules.add(rule);
      added.push(...(rule.directions[spec.direction]?.items ?? []));
    }
    return known.plan.change(added, removed);
  };
  return {
    acquire(spec) {
      const { key } = spec;
      let known = plans.get(key);
      if (!known) {
        known = createHeld(spec);
        plans.set(key, known);
        held.set(known.plan, known);
        index.add(known.plan);
      }
      known.references++;
      return known.plan;
    },
    release(plan) {
      const known = held.get(plan);
      if (!known || --known.references > 0) return;
      plans.delete(known.key);
      held.delete(plan);
      index.remove(plan, plan.selectors);
      plan.dispose();
    },
    evolve(plan, spec, holders) {
      const known = held.get(plan);
      const { key } = spec;
      if (known?.references !== holders || plans.has(key)) return undefined;
      plans.delete(known.key);
      const before = plan.selectors;
      const changes = change(known, spec);
      known.key = key;
      plans.set(key, known);
      if (plan.selectors !== before) index.move(plan, before);
      return changes;
    },
    mark: index.mark,
    refresh: () => index.takeMarked().map(([plan, selectors]) => [plan, plan.refresh(selectors)] as const),
  };
}

/** Plans by the selectors whose members they list, and which of them have to be looked at again. */
function createSelectorIndex(): {
  add(plan: Plan): void;
  remove(plan: Plan, selectors: Iterable<CachedSelector>): void;
  /** The plan had other selectors before. */
  move(plan: Plan, before: Iterable<CachedSelector>): void;
  mark(selector: CachedSelector): void;
  /** Plans with the selectors that were marked. Afterwards none is. */
  takeMarked(): readonly (readonly [Plan, ReadonlySet<CachedSelector>])[];
} {
  const bySelector = new Map<CachedSelector, Set<Plan>>();
  let marks = new Map<Plan, Set<CachedSelector>>();
  const add = (plan: Plan): void => {
    for (const selector of plan.selectors) {
      const using = bySelector.get(selector);
      if (using) using.add(plan);
      else bySelector.set(selector, new Set([plan]));
    }
  };
  const leave = (plan: Plan, selectors: Iterable<CachedSelector>): void => {
    for (const selector of selectors) {
      const using = bySelector.get(selector);
      using?.delete(plan);
      if (using?.size === 0) bySelector.delete(selector);
    }
  };
  return {
    add,
    remove(plan, selectors) {
      marks.delete(plan);
      leave(plan, selectors);
    },
    move(plan, before) {
      leave(plan, before);
      add(plan);
    },
    mark(selector) {
      for (const plan of bySelector.get(selector) ?? []) {
        const marked = marks.get(plan);
        if (marked) marked.add(selector);
        else marks.set(plan, new Set([selector]));
      }
    },
    takeMarked() {
      const taken = [...marks];
      marks = new Map();
      return taken;
    },
  };
}

interface BuiltIn {
  readonly everything: Item;
  readonly host: Item;
  readonly unnumbered: Item;
}

function builtInItems(cache: Pick<SelectorCache, 'acquire'>): BuiltIn {
  const reserved = (key: string): Selector => ({ requirements: [hasLabel('reserved', key)] });
  const item = (id: number, peer: Selector | 'any', kind: PartKind): Item => ({
    id,
    peers: peer === 'any' ? peer : [cache.acquire(peer)],
    parts: [{ l4: L4_ALL, span: -1, kind, l7: undefined }],
    origin: undefined,
  });
  return {
    everything: item(-1, 'any', 'allow'),
    // The local host may always reach its own pods.
    host: item(-2, reserved('host'), 'allow'),
    unnumbered: item(-3, reserved(UNNUMBERED.labels[0].slice('reserved:'.length)), 'deny'),
  };
}

const NO_RULES: ReadonlySet<CompiledRule> = new Set();

function rulesOf({ rules, enforcement }: PlanSpec): ReadonlySet<CompiledRule> {
  return enforcement === 'off' ? NO_RULES : rules;
}

function builtInsFor({ direction, rules, enforcement }: PlanSpec, builtIn: BuiltIn): readonly Item[] {
  if (enforcement === 'off') return [builtIn.everything];
  let [isSpokenOf, isClosed] = [false, enforcement === 'forced'];
  for (const rule of rules) {
    const compiled = rule.directions[direction];
    if (!compiled) continue;
    isSpokenOf = true;
    isClosed ||= compiled.defaultDeny;
  }
  if (!isSpokenOf && enforcement === 'by rules') return [builtIn.everything];
  // Without default deny everything is allowed that nothing denies, and L7 rules only show.
  if (!isClosed) return [builtIn.unnumbered, builtIn.everything];
  return direction === 'ingress' && isSpokenOf ? [builtIn.unnumbered, builtIn.host] : [builtIn.unnumbered];
}

/** The spec of a plan. */
export function planSpec(spec: Omit<PlanSpec, 'key'>): PlanSpec {
  const { direction, rules, enforcement } = spec;
  if (enforcement === 'off') return { ...spec, key: 'off' };
  const ids = Array.from(rules, (rule) => rule.id).sort((a, b) => a - b);
  return { ...spec, key: `${direction} ${enforcement} ${ids.join()}` };
}
