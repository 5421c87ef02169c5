// The subjects of this node, and what of them has to be made anew.

import type { Identity } from '#common/ids.ts';
import { createLayers } from './layers.ts';
import type { PlanView } from './plan.ts';
import type { Plans } from './plans.ts';
import { changeRuleSet } from './rule-set.ts';
import { type CompiledRule, DIRECTIONS, type Direction } from './rules.ts';
import { createSubjectDirection, type Enforcement, type SubjectContext, type SubjectDirection } from './subject.ts';
import type { TemplateStore } from './templates.ts';

/** One subject identity in both directions. */
export type Subject = Readonly<Record<Direction, SubjectDirection>>;

export interface Subjects {
  add(identity: Identity, enforcement: Enforcement): Subject;
  /** Removes a subject and its entries. Returns what it was. */
  remove(identity: Identity): Subject | undefined;
  get(identity: Identity): Subject | undefined;
  /** Subjects among `members`. */
  among(members: ReadonlySet<Identity>): Iterable<readonly [Identity, Subject]>;
  /** The rule selects the subject, or no longer does. */
  setRule(subject: Subject, rule: CompiledRule, selects: boolean): void;
  /** Makes anew what has changed. Returns the subjects of whom rules speak now and did not before, or the other way round. */
  recompute(): ReadonlySet<Identity>;
  problems(): readonly string[];
}

export interface Limits {
  /** Entries that one subject may have in one direction. A direction that would need more denies everything. */
  readonly subject: number;
  /** Entries that all subjects together may have. */
  readonly all: number;
}

/** As many as sync takes, and the room of the policy map. */
export const DEFAULT_LIMITS: Limits = { subject: 65_536, all: 524_288 };

/** No subjects. `entries`: how many rows there are now. */
export function createSubjects(
  plans: Plans,
  store: TemplateStore,
  context: SubjectContext & { entries(): number },
  limits: Limits = DEFAULT_LIMITS,
): Subjects {
  const subjects = new Map<Identity, Subject>();
  const wishes = createLayers(plans, store);
  const dirty = new Set<SubjectDirection>();
  const blocked = new Set<SubjectDirection>();
  const lacking = new Set<SubjectDirection>(); // ids of rulesets
  const countOf = (one: SubjectDirection): number => wishes.wantedBy(one)?.entryCount ?? 0;

  /** Puts into force what is wanted, if it fits. */
  const settle = (one: SubjectDirection): void => {
    const plan = wishes.wantedBy(one);
    if (!plan) return;
    const more = one.plan ? 0 : plan.entryCount;
    const isTooMuch = plan.isIncomplete || plan.entryCount > limits.subject || context.entries() + more > limits.all;
    if (isTooMuch) blocked.add(one);
    else blocked.delete(one);
    const target: PlanView | undefined = isTooMuch ? undefined : plan;
    if (one.plan !== target) one.move(target);
  };

  return {
    add(identity, enforcement) {
      const make = (direction: Direction): SubjectDirection =>
        createSubjectDirection({ identity, direction, enforcement }, context);
      const subject = { ingress: make('ingress'), egress: make('egress') };
      subjects.set(identity, subject);
      // Also without any rule: "not enforced" is an entry.
      for (const direction of DIRECTIONS) dirty.add(subject[direction]);
      return subject;
    },
    remove(identity) {
      const subject = subjects.get(identity);
      subjects.delete(identity);
      for (const one of directionsOf(subject)) {
        dirty.delete(one);
        blocked.delete(one);
        lacking.delete(one);
        one.move(undefined);
        wishes.forget(one);
      }
      return subject;
    },
    get: (identity) => subjects.get(identity),
    *among(members) {
      const fewer = members.size < subjects.size ? members : subjects.keys();
      for (const identity of fewer) {
        const subject = members.has(identity) ? subjects.get(identity) : undefined;
        if (subject) yield [identity, subject];
      }
    },
    setRule(subject, rule, selects) {
      for (const direction of DIRECTIONS) {
        if (!rule.directions[direction]) continue;
        changeRuleSet(subject[direction].rules[rule.layer], rule, selects);
        dirty.add(subject[direction]);
      }
    },
    recompute() {
      const touched = new Set(blocked);
      for (const [plan, changes] of plans.refresh()) {
        for (const one of wishes.users(plan)) {
          if (one.plan === plan) one.follow(changes);
          touched.add(one);
        }
      }
      const turned = wishes.want(dirty, {
        change(one, plan, changes) {
          if (one.plan === plan) one.follow(changes);
          if (one.lacksIds) lacking.add(one);
        },
        move: (one) => void touched.add(one),
      });
      // What has become more in the same plan is among the rows by now: where these are few, nobody has too many of them.
      const areFew = !plans.areIncomplete && context.entries() <= Math.min(limits.subject, limits.all);
      if (!areFew) for (const one of dirty) touched.add(one);
      dirty.clear();
      for (const one of touched) settle(one);
      for (const one of lacking) {
        one.retry();
        if (!one.lacksIds) lacking.delete(one);
      }
      for (const one of touched) if (one.lacksIds) lacking.add(one);
      return turned;
    },
    problems: () => [...[...blocked].map((one) => tooMany(one, countOf(one))), ...[...lacking].flatMap(lackOfIds)],
  };
}

function directionsOf(subject: Subject | undefined): readonly SubjectDirection[] {
  return subject ? [subject.ingress, subject.egress] : [];
}

function tooMany({ identity, direction }: SubjectDirection, count: number): string {
  return `Cannot enforce ${direction} of identity ${identity}: its ${count} entries do not fit; all of it is denied`;
}

function lackOfIds({ identity, direction, lacksIds }: SubjectDirection): readonly string[] {
  if (!lacksIds) return [];
  return [`Cannot ask the proxy for ${direction} of identity ${identity}: no ruleset id is left; it is denied`];
}
