// Which plan each direction of a subject wants, and who wants a plan.

import type { Plan, PlanChanges } from './plan.ts';
import type { PlanSpec, Plans } from './plans.ts';
import { areSameChanges } from './rule-set.ts';
import type { SubjectDirection } from './subject.ts';

export interface PlanUsers {
  /** Plans for these specs are wanted from now on, or none. Returns what has changed in plans that became other ones. */
  wantAll(specs: ReadonlyMap<SubjectDirection, PlanSpec | undefined>): ReadonlyMap<SubjectDirection, PlanChanges>;
  /** No plan is wanted any more. */
  forget(one: SubjectDirection): void;
  wantedBy(one: SubjectDirection): Plan | undefined;
  users(plan: Plan): Iterable<SubjectDirection>;
}

/** Nobody wants anything. A plan is held as long as somebody wants it. */
export function createPlanUsers(plans: Pick<Plans, 'acquire' | 'release' | 'evolve'>): PlanUsers {
  const wanted = new Map<SubjectDirection, Plan>();
  const users = new Map<Plan, Set<SubjectDirection>>();
  const want = (one: SubjectDirection, spec: PlanSpec | undefined): void => {
    const before = wanted.get(one);
    const after = spec && plans.acquire(spec);
    if (before) {
      const using = users.get(before);
      using?.delete(one);
      if (using?.size === 0) users.delete(before);
    }
    if (after) {
      wanted.set(one, after);
      users.set(after, (users.get(after) ?? new Set()).add(one));
    } else wanted.delete(one);
    if (before) plans.release(before);
  };
  return {
    wantAll(specs) {
      const evolved = new Map<SubjectDirection, PlanChanges>();
      for (const [plan, moving] of Map.groupBy(specs.keys(), (one) => wanted.get(one))) {
        // Where all that have a plan go to the same next one, it is the same plan with other rules.
        const spec = specs.get(moving[0] as SubjectDirection);
        const isOne = plan !== undefined && moving.every((one) => areSame(specs.get(one), spec));
        const changes = spec && isOne ? plans.evolve(plan, spec, moving.length) : undefined;
        for (const one of moving) {
          if (changes) evolved.set(one, changes);
          else want(one, specs.get(one));
        }
      }
      return evolved;
    },
    forget: (one) => want(one, undefined),
    wantedBy: (one) => wanted.get(one),
    users: (plan) => users.get(plan) ?? [],
  };
}

/** Whether what was the same plan becomes the same again. */
function areSame(a: PlanSpec | undefined, b: PlanSpec | undefined): boolean {
  if (a === b) return true;
  if (!a?.changes || !b?.changes) return false;
  return a.builtIn === b.builtIn && areSameChanges(a.changes, b.changes);
}
