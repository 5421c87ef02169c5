// Which plan each direction of a subject wants. What policies of the cluster say many subjects have in common, what those
// of namespaces say few; so each is a plan of its own, and a policy for everybody changes few plans, from which every subject
// takes over the same entries. Where requests matter all rules are in one plan: every rule has its say in a ruleset.

import type { Identity } from '#common/ids.ts';
import { type MergedPlan, mergePlans } from './merged-plan.ts';
import type { Plan, PlanChanges, PlanView } from './plan.ts';
import { createPlanUsers } from './plan-users.ts';
import type { BuiltIn, PlanSpec, Plans } from './plans.ts';
import { NO_CHANGES, type RuleChanges, takeChanges } from './rule-set.ts';
import { NO_RULESETS } from './ruleset-content.ts';
import { isSpokenOf, type SubjectDirection } from './subject.ts';
import type { TemplateStore } from './templates.ts';

export interface Layers {
  /**
   * The rules of these may have changed. Returns those of whom rules speak now and did not before, or the other way round.
   */
  want(
    all: Iterable<SubjectDirection>,
    on: {
      /** `one` wants `plan` still, and it says something else. */
      change(one: SubjectDirection, plan: PlanView, changes: PlanChanges): void;
      /** `one` wants another plan. */
      move(one: SubjectDirection): void;
    },
  ): ReadonlySet<Identity>;
  /** No plan is wanted any more. */
  forget(one: SubjectDirection): void;
  wantedBy(one: SubjectDirection): PlanView | undefined;
  /** Who has this plan, as a whole or beside that of the cluster. */
  users(plan: Plan): Iterable<SubjectDirection>;
}

/** What one direction asked for last, and has. */
interface Wish {
  readonly isLayered: boolean;
  readonly isSpokenOf: boolean;
  readonly builtIn: BuiltIn;
  plan: PlanView | undefined;
  /** The plan, if it is put together of two. */
  merged: MergedPlan | undefined;
}

type Evolved = Readonly<Record<'own' | 'common', ReadonlyMap<SubjectDirection, PlanChanges>>>;
type Asked = Readonly<Record<'own' | 'common', Map<SubjectDirection, PlanSpec | undefined>>>;

/** Nobody wants anything. */
export function createLayers(plans: Plans, store: TemplateStore): Layers {
  const own = createPlanUsers(plans); // what is built in, and policies of namespaces: or all
  const common = createPlanUsers(plans); // policies of the cluster, where they are apart
  const wishes = new Map<SubjectDirection, Wish>();

  /** Puts the plans of both layers together, or goes on with what they were put together to. */
  const merge = (one: SubjectDirection, wish: Wish, evolved: Evolved): PlanChanges | undefined => {
    const layers = [own.wantedBy(one), common.wantedBy(one)] as const;
    const before = wish.merged;
    if (before?.layers.every((layer, i) => layer === layers[i])) {
      const [first, second] = [evolved.own.get(one), evolved.common.get(one)];
      const carried = [...(first ? [before.carry(0, first)] : []), ...(second ? [before.carry(1, second)] : [])];
      return carried.length === 1
        ? carried[0]
        : { entries: carried.flatMap(({ entries }) => entries), rulesets: NO_RULESETS };
    }
    wish.merged = layers[0] && layers[1] ? mergePlans([layers[0], layers[1]], store) : undefined;
    before?.dispose(); // now: what both have was not given up in between
    return undefined;
  };
  return {
    want(all, on) {
      const asked: Asked = { own: new Map(), common: new Map() };
      const turned = new Set<Identity>();
      for (const one of all) {
        const before = wishes.get(one);
        const wish = wishOf(one, before);
        wishes.set(one, wish);
        ask(one, { before, wish }, asked);
        if (before?.isSpokenOf !== wish.isSpokenOf) turned.add(one.identity);
      }
      const evolved: Evolved = { own: own.wantAll(asked.own), common: common.wantAll(asked.common) };
      for (const one of all) {
        const wish = wishes.get(one) as Wish;
        const changes = wish.isLayered || wish.merged ? merge(one, wish, evolved) : evolved.own.get(one);
        const plan = wish.merged ?? own.wantedBy(one);
        if (plan === wish.plan && plan) {
          if (changes) on.change(one, plan, changes);
        } else on.move(one);
        wish.plan = plan;
      }
      return turned;
    },
    forget(one) {
      wishes.get(one)?.merged?.dispose();
      wishes.delete(one);
      own.forget(one);
      common.forget(one);
    },
    wantedBy: (one) => wishes.get(one)?.plan,
    users: (plan) => own.users(plan),
  };
}

/** Says which plans one wants that has others than before. */
function ask(
  one: SubjectDirection,
  { before, wish }: { readonly before: Wish | undefined; readonly wish: Wish },
  asked: Asked,
): void {
  const { direction, enforcement, rules } = one;
  const { builtIn, isLayered } = wish;
  const changes = { cluster: takeChanges(rules.cluster), namespace: takeChanges(rules.namespace) };
  const isSame = before?.isLayered === isLayered;
  const sinceThen = (...all: readonly RuleChanges[]) => (isSame ? all : undefined);
  if (enforcement === 'off') {
    asked.own.set(one, { direction, builtIn, rules: [], changes: [] });
    return;
  }
  if (!isLayered) {
    const all = sinceThen(changes.cluster, changes.namespace);
    asked.own.set(one, { direction, builtIn, rules: [rules.cluster, rules.namespace], changes: all });
    if (before?.isLayered) asked.common.set(one, undefined);
    return;
  }
  if (!isSame || before.builtIn !== builtIn || changes.namespace !== NO_CHANGES) {
    asked.own.set(one, { direction, builtIn, rules: [rules.namespace], changes: sinceThen(changes.namespace) });
  }
  if (!isSame || changes.cluster !== NO_CHANGES) {
    const spec = { direction, builtIn: 'nothing', rules: [rules.cluster] } as const;
    asked.common.set(one, { ...spec, changes: sinceThen(changes.cluster) });
  }
}

function wishOf(one: SubjectDirection, before: Wish | undefined): Wish {
  const { cluster, namespace } = one.rules;
  // A subject that has rulesets keeps them: connections may be with the proxy.
  const isPlain = one.rulesets.size + cluster.proxied + namespace.proxied === 0;
  const isLayered = isPlain && one.enforcement !== 'off' && cluster.rules.size > 0 && namespace.rules.size > 0;
  const { plan, merged } = before ?? { plan: undefined, merged: undefined };
  return { isLayered, isSpokenOf: isSpokenOf(one), builtIn: builtInFor(one), plan, merged };
}

function builtInFor(one: SubjectDirection): BuiltIn {
  const { direction, enforcement, rules } = one;
  if (enforcement === 'off') return 'everything';
  if (!isSpokenOf(one)) return enforcement === 'forced' ? 'nobody' : 'everything';
  // Without default deny everything is allowed that nothing denies, and L7 rules only show.
  const isClosed = enforcement === 'forced' || rules.cluster.closing + rules.namespace.closing > 0;
  if (!isClosed) return 'what is numbered';
  return direction === 'ingress' ? 'the host' : 'nobody';
}
