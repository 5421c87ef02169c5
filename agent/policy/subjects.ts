// The subjects of this node, and what of them has to be made anew.

import type { Identity } from '#common/ids.ts';
import { type CompiledRule, DIRECTIONS, type Direction } from './rules.ts';
import type { CachedSelector } from './selector-cache.ts';
import { createSubjectDirection, type SubjectContext, type SubjectDirection } from './subject.ts';

/** One subject identity in both directions. */
export type Subject = Readonly<Record<Direction, SubjectDirection>>;

export interface Subjects {
  add(identity: Identity): Subject;
  /** Removes a subject and its entries. Returns what it was. */
  remove(identity: Identity): Subject | undefined;
  get(identity: Identity): Subject | undefined;
  /** Subjects that the rule selects. */
  selectedBy(rule: CompiledRule): Iterable<Subject>;
  /** The rule selects the subject, or no longer does. */
  setRule(subject: Subject, rule: CompiledRule, selects: boolean): void;
  /** `identity` became a member of `selector`, or is none any more. */
  markPeer(subject: SubjectDirection, identity: Identity, selector: CachedSelector): void;
  /** An identity came or went. */
  markEveryone(): void;
  /** Makes anew what is marked. Returns the subjects whose rules have changed. */
  recompute(): ReadonlySet<Identity>;
}

interface Marks {
  replan: boolean;
  readonly peers: Set<Identity>;
  readonly selectors: Set<CachedSelector>;
}

/** No subjects. */
export function createSubjects(context: SubjectContext): Subjects {
  const subjects = new Map<Identity, Subject>();
  const dirty = new Map<SubjectDirection, Marks>();
  const mark = (subject: SubjectDirection): Marks => {
    let marks = dirty.get(subject);
    if (!marks) {
      marks = { replan: false, peers: new Set(), selectors: new Set() };
      dirty.set(subject, marks);
    }
    return marks;
  };
  return {
    add(identity) {
      const make = (direction: Direction): SubjectDirection => createSubjectDirection(identity, direction, context);
      const subject = { ingress: make('ingress'), egress: make('egress') };
      subjects.set(identity, subject);
      // Also without any rule: "not enforced" is an entry.
      for (const direction of DIRECTIONS) mark(subject[direction]).replan = true;
      return subject;
    },
    remove(identity) {
      const subject = subjects.get(identity);
      subjects.delete(identity);
      for (const direction of subject ? DIRECTIONS : []) {
        const one = subject?.[direction];
        if (one) dirty.delete(one);
        one?.clear();
      }
      return subject;
    },
    get: (identity) => subjects.get(identity),
    *selectedBy(rule) {
      const { members } = rule.subject;
      const fewer = members.size < subjects.size ? members : subjects.keys();
      for (const identity of fewer) {
        const subject = members.has(identity) ? subjects.get(identity) : undefined;
        if (subject) yield subject;
      }
    },
    setRule(subject, rule, selects) {
      for (const direction of DIRECTIONS) {
        if (!rule.directions[direction]) continue;
        if (selects) subject[direction].rules.add(rule);
        else subject[direction].rules.delete(rule);
        mark(subject[direction]).replan = true;
      }
    },
    markPeer(subject, identity, selector) {
      const marks = mark(subject);
      marks.peers.add(identity);
      marks.selectors.add(selector);
    },
    markEveryone() {
      // Rulesets that say "all but the denied" name every identity there is.
      for (const subject of subjects.values()) {
        for (const direction of DIRECTIONS) if (subject[direction].dependsOnEveryone) mark(subject[direction]);
      }
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
  };
}
