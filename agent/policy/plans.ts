// Plans in use: one for each set of rules, and what of them has to be looked at again.

import type { Identity } from '#common/ids.ts';
import type { Selector } from '#mesh-config/model.ts';
import { UNNUMBERED } from '../identity/reserved.ts';
import { L4_ALL } from './l4.ts';
import { createPlan, type Plan, type PlanChanges } from './plan.ts';
import type { CompiledRule, Direction, Item, PartKind } from './rules.ts';
import { hasLabel } from './selector.ts';
import type { CachedSelector, SelectorCache } from './selector-cache.ts';
import type { TemplateStore } from './templates.ts';

/** The rules of one direction, and how they are enforced. */
export interface PlanSpec {
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
  /** Members of a selector have changed: `identity` came or went. */
  mark(selector: CachedSelector, identity: Identity): void;
  /** Brings what is marked up to date. Returns the plans that changed. */
  refresh(): readonly (readonly [Plan, PlanChanges])[];
}

interface Held {
  key: string;
  readonly plan: Plan;
  references: number;
}
interface Marks {
  readonly identities: Set<Identity>;
  readonly selectors: Set<CachedSelector>;
}

/** No plans. */
export function createPlans(cache: SelectorCache, store: TemplateStore): Plans {
  const plans = new Map<string, Held>();
  const held = new Map<Plan, Held>();
  const bySelector = new Map<CachedSelector, Set<Plan>>();
  const marks = new Map<Plan, Marks>();
  const builtIn = builtInItems(cache);
  const index = (plan: Plan): void => {
    for (const selector of plan.selectors) {
      const using = bySelector.get(selector);
      if (using) using.add(plan);
      else bySelector.set(selector, new Set([plan]));
    }
  };
  const unindex = (plan: Plan): void => {
    for (const selector of plan.selectors) {
      const using = bySelector.get(selector);
      using?.delete(plan);
      if (using?.size === 0) bySelector.delete(selector);
    }
  };
  return {
    acquire(spec) {
      const key = keyOf(spec);
      let known = plans.get(key);
      if (!known) {
        known = { key, plan: createPlan(itemsOf(spec, builtIn), { cache, store }), references: 0 };
        plans.set(key, known);
        held.set(known.plan, known);
        index(known.plan);
      }
      known.references++;
      return known.plan;
    },
    release(plan) {
      const known = held.get(plan);
      if (!known || --known.references > 0) return;
      plans.delete(known.key);
      held.delete(plan);
      marks.delete(plan);
      unindex(plan);
      plan.dispose();
    },
    evolve(plan, spec, holders) {
      const known = held.get(plan);
      const key = keyOf(spec);
      if (known?.references !== holders || plans.has(key)) return undefined;
      plans.delete(known.key);
      unindex(plan);
      const changes = plan.remake(itemsOf(spec, builtIn));
      known.key = key;
      plans.set(key, known);
      index(plan);
      return changes;
    },
    mark(selector, identity) {
      for (const plan of bySelector.get(selector) ?? []) {
        let own = marks.get(plan);
        if (!own) {
          own = { identities: new Set(), selectors: new Set() };
          marks.set(plan, own);
        }
        own.identities.add(identity);
        own.selectors.add(selector);
      }
    },
    refresh() {
      const changed = [...marks].map(
        ([plan, { identities, selectors }]) => [plan, plan.refresh(identities, selectors)] as const,
      );
      marks.clear();
      return changed;
    },
  };
}

interface BuiltIn {
  readonly everything: Item;
  readonly host: Item;
  readonly unnumbered: Item;
}

function builtInItems(cache: SelectorCache): BuiltIn {
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

function itemsOf({ direction, rules, enforcement }: PlanSpec, builtIn: BuiltIn): readonly Item[] {
  const compiled = [...rules].flatMap((rule) => rule.directions[direction] ?? []);
  const isFree = compiled.length === 0 && enforcement === 'by rules';
  if (enforcement === 'off' || isFree) return [builtIn.everything];
  const items = [...compiled.flatMap((c) => c.items), builtIn.unnumbered];
  // Without default deny everything is allowed that nothing denies, and L7 rules only show.
  const isOpen = enforcement !== 'forced' && !compiled.some((c) => c.defaultDeny);
  if (isOpen) return [...items, builtIn.everything];
  return direction === 'ingress' && compiled.length > 0 ? [...items, builtIn.host] : items;
}

/** A text that is equal for specs that mean the same plan. */
export function keyOf({ direction, rules, enforcement }: PlanSpec): string {
  if (enforcement === 'off') return 'off';
  const ids = [...rules].map((rule) => rule.id).sort((a, b) => a - b);
  return `${direction} ${enforcement} ${ids.join()}`;
}
