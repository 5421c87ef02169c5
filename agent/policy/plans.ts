// Plans in use: one for each set of rules, and what of them has to be looked at again.

import type { Selector } from '#mesh-config/model.ts';
import { UNNUMBERED } from '../identity/reserved.ts';
import { L4_ALL } from './l4.ts';
import type { PeerSets } from './peer-sets.ts';
import { createPlan, type Plan, type PlanChanges } from './plan.ts';
import type { RuleChanges, RuleSet } from './rule-set.ts';
import type { CompiledRule, Direction, Item, PartKind } from './rules.ts';
import { hasLabel } from './selector.ts';
import type { CachedSelector, SelectorCache } from './selector-cache.ts';
import type { TemplateStore, Templates } from './templates.ts';

/** Whom a plan lets pass by itself. All but "nothing" and "everything" deny what has no number. */
export type BuiltIn = 'nothing' | 'everything' | 'what is numbered' | 'nobody' | 'the host';

/** Rules of one direction, and what is built in. */
export interface PlanSpec {
  readonly direction: Direction;
  readonly builtIn: BuiltIn;
  /** No rule is in two of them. */
  readonly rules: readonly RuleSet[];
  /** What of them is new to whoever had a plan before; undefined: nobody says. */
  readonly changes: readonly RuleChanges[] | undefined;
}

export interface Plans {
  /** The plan for `spec`, with a reference on it. */
  acquire(spec: PlanSpec): Plan;
  release(plan: Plan): void;
  /**
   * Makes `plan`, which as many hold as `holders` says, the one for `spec` by its changes. undefined: it cannot be, because
   * others hold it, because there is one already, or because nobody says what has changed.
   */
  evolve(plan: Plan, spec: PlanSpec, holders: number): PlanChanges | undefined;
  /** No number was left for peers of some plan. */
  readonly areIncomplete: boolean;
  /** Members of a selector have changed. */
  mark(selector: CachedSelector): void;
  /** Brings what is marked up to date. Returns the plans that changed. */
  refresh(): readonly (readonly [Plan, PlanChanges])[];
}

interface Held {
  key: number;
  readonly plan: Plan;
  readonly direction: Direction;
  builtIn: BuiltIn;
  /** Whose items the plan has, beside what is built in. */
  readonly rules: Set<CompiledRule>;
  references: number;
}

/** No plans. */
export function createPlans(
  cache: Pick<SelectorCache, 'acquire'>,
  context: { readonly sets: PeerSets; readonly store: TemplateStore },
): Plans {
  const plans = new Map<number, Held>(); // a plan whose key another one has already is not shared
  const held = new Map<Plan, Held>();
  const index = createSelectorIndex();
  const own = builtInItems(cache);
  const shared = {
    ...context,
    ofItem: new WeakMap<Item, Templates>(),
    unnumbered: { count: 0 },
    onSelectors: index.move,
  };
  const createHeld = (spec: PlanSpec, key: number): Held => {
    const { direction, builtIn } = spec;
    const rules = new Set(spec.rules.flatMap((set) => [...set.rules]));
    const plan = createPlan([...itemsOf(rules, direction), ...own[builtIn]], shared);
    return { key, plan, direction, builtIn, rules, references: 0 };
  };
  /** Most rules are the same: only the others are looked at. */
  const change = (known: Held, { builtIn }: PlanSpec, changes: readonly RuleChanges[]): PlanChanges => {
    const [before, after] = [own[known.builtIn], own[builtIn]];
    known.builtIn = builtIn;
    const added = after.filter((item) => !before.includes(item));
    const removed = before.filter((item) => !after.includes(item));
    for (const one of changes) {
      for (const rule of one.removed) known.rules.delete(rule);
      for (const rule of one.added) known.rules.add(rule);
      added.push(...itemsOf(one.added, known.direction));
      removed.push(...itemsOf(one.removed, known.direction));
    }
    return known.plan.change(added, removed);
  };
  const forget = (known: Held): void => {
    if (plans.get(known.key) === known) plans.delete(known.key);
  };
  return {
    acquire(spec) {
      const key = keyOf(spec);
      const sameKey = plans.get(key);
      let known = sameKey && isFor(sameKey, spec) ? sameKey : undefined;
      if (!known) {
        known = createHeld(spec, key);
        if (!sameKey) plans.set(key, known);
        held.set(known.plan, known);
        index.add(known.plan);
      }
      known.references++;
      return known.plan;
    },
    release(plan) {
      const known = held.get(plan);
      if (!known || --known.references > 0) return;
      forget(known);
      held.delete(plan);
      index.remove(plan);
      plan.dispose();
    },
    evolve(plan, spec, holders) {
      const known = held.get(plan);
      const key = keyOf(spec);
      if (known?.references !== holders || !spec.changes || plans.has(key)) return undefined;
      forget(known);
      const before = plan.selectors;
      const changes = change(known, spec, spec.changes);
      known.key = key;
      plans.set(key, known);
      if (plan.selectors !== before) index.move(plan, before);
      return changes;
    },
    get areIncomplete() {
      return shared.unnumbered.count > 0;
    },
    mark: index.mark,
    refresh: () => index.takeMarked().map(([plan, selectors]) => [plan, plan.refresh(selectors)] as const),
  };
}

/** Plans by the selectors whose members they list, and which of them have to be looked at again. */
function createSelectorIndex(): {
  add(plan: Plan): void;
  remove(plan: Plan): void;
  /** The plan had other selectors before. */
  move(plan: Plan, before: ReadonlySet<CachedSelector>): void;
  mark(selector: CachedSelector): void;
  /** Plans with the selectors that were marked. Afterwards none is. */
  takeMarked(): readonly (readonly [Plan, ReadonlySet<CachedSelector>])[];
} {
  const bySelector = new Map<CachedSelector, Set<Plan>>();
  let marks = new Map<Plan, Set<CachedSelector>>();
  const join = (plan: Plan, selector: CachedSelector): void => {
    const using = bySelector.get(selector);
    if (using) using.add(plan);
    else bySelector.set(selector, new Set([plan]));
  };
  const leave = (plan: Plan, selector: CachedSelector): void => {
    const using = bySelector.get(selector);
    using?.delete(plan);
    if (using?.size === 0) bySelector.delete(selector);
  };
  return {
    add(plan) {
      for (const selector of plan.selectors) join(plan, selector);
    },
    remove(plan) {
      marks.delete(plan);
      for (const selector of plan.selectors) leave(plan, selector);
    },
    move(plan, before) {
      const { selectors } = plan;
      for (const selector of selectors) if (!before.has(selector)) join(plan, selector);
      for (const selector of before) if (!selectors.has(selector)) leave(plan, selector);
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

function builtInItems(cache: Pick<SelectorCache, 'acquire'>): Readonly<Record<BuiltIn, readonly Item[]>> {
  const reserved = (key: string): Selector => ({ requirements: [hasLabel('reserved', key)] });
  const item = (id: number, peer: Selector | 'any', kind: PartKind): Item => ({
    id,
    peers: peer === 'any' ? peer : [cache.acquire(peer)],
    parts: [{ l4: L4_ALL, span: -1, kind, l7: undefined }],
    wantsProxy: false,
    origin: undefined,
  });
  const everything = item(-1, 'any', 'allow');
  // The local host may always reach its own pods.
  const host = item(-2, reserved('host'), 'allow');
  const unnumbered = item(-3, reserved(UNNUMBERED.labels[0].slice('reserved:'.length)), 'deny');
  return {
    nothing: [],
    everything: [everything],
    'what is numbered': [unnumbered, everything],
    nobody: [unnumbered],
    'the host': [unnumbered, host],
  };
}

function itemsOf(rules: Iterable<CompiledRule>, direction: Direction): readonly Item[] {
  const items: Item[] = [];
  for (const rule of rules) for (const item of rule.directions[direction]?.items ?? []) items.push(item);
  return items;
}

const BUILT_IN: readonly BuiltIn[] = ['nothing', 'everything', 'what is numbered', 'nobody', 'the host'];

/** Equal for specs that mean the same plan, and hardly ever for others. */
function keyOf({ direction, builtIn, rules }: PlanSpec): number {
  let [high, low] = [0, 0];
  for (const { hashHigh, hashLow } of rules) {
    high ^= hashHigh;
    low ^= hashLow;
  }
  const kind = BUILT_IN.indexOf(builtIn) * 2 + (direction === 'ingress' ? 0 : 1);
  return ((high >>> 15) * 16 + kind) * 2 ** 32 + (low >>> 0); // 17 + 4 + 32 bits are what a number holds
}

/** Whether the plan is what the spec means. */
function isFor(held: Held, { direction, builtIn, rules }: PlanSpec): boolean {
  const size = rules.reduce((sum, set) => sum + set.rules.size, 0);
  const isSameKind = held.direction === direction && held.builtIn === builtIn && held.rules.size === size;
  return isSameKind && rules.every((set) => set.rules.isSubsetOf(held.rules));
}
