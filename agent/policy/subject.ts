// One subject identity in one direction: the plan that is in force for it, and the rows made from it.

import type { Identity, PeerSetId, RulesetId } from '#common/ids.ts';
import type { RulesetRow } from '../ruleset-rows.ts';
import type { PolicyEntryRow } from '../tables.ts';
import { type L4, l4Key } from './l4.ts';
import type { EntryChange, PlanChanges, PlanView } from './plan.ts';
import { PRECEDENCE } from './precedence.ts';
import { createRuleSet, type RuleSet } from './rule-set.ts';
import type { Direction, Layer } from './rules.ts';
import type { EntryTemplate, TemplateDiff, Templates } from './templates.ts';

const NO_ENTRIES: Templates = [];

/** What a subject needs from outside: numbers, places for rows. */
export interface SubjectContext {
  setEntry(key: string, row: PolicyEntryRow | undefined): void;
  setRuleset(row: RulesetRow): void;
  /** The stable id of a ruleset; undefined when there is none left. */
  rulesetId(subject: SubjectDirection, l4: L4): RulesetId | undefined;
  diff(before: Templates, after: Templates): TemplateDiff;
}

/** off: everything passes. forced: default deny, whatever the rules say. */
export type Enforcement = 'off' | 'by rules' | 'forced';

export interface SubjectDirection {
  readonly identity: Identity;
  readonly direction: Direction;
  /** How it is treated, whatever its rules say. */
  readonly enforcement: Enforcement;
  /** Those that select the subject and speak of the direction. */
  readonly rules: Readonly<Record<Layer, RuleSet>>;
  /** Rulesets that exist for the subject, those that no entry names any more included. */
  readonly rulesets: Map<number, { readonly id: RulesetId; readonly l4: L4 }>;
  /** What the rows say; undefined: there are none, everything is denied. */
  readonly plan: PlanView | undefined;
  /** Some entries deny because there was no ruleset id for them. */
  readonly lacksIds: boolean;
  /** Puts another plan in force. */
  move(plan: PlanView | undefined): void;
  /** Carries over what has changed in the plan. */
  follow(changes: PlanChanges): void;
  /** Writes the rows again that lack an id. */
  retry(): void;
}

/** Whether some rule selects the subject and speaks of the direction. */
export function isSpokenOf({ rules: { cluster, namespace } }: Pick<SubjectDirection, 'rules'>): boolean {
  return cluster.rules.size + namespace.rules.size > 0;
}

/** A subject without rules and rows. */
export function createSubjectDirection(
  { identity, direction, enforcement }: Pick<SubjectDirection, 'identity' | 'direction' | 'enforcement'>,
  context: SubjectContext,
): SubjectDirection {
  const rulesets: SubjectDirection['rulesets'] = new Map();
  const lacking = new Set<string>();
  let plan: PlanView | undefined;

  const prefix = `${identity} ${direction} `;

  const write = ({ peers, before, after }: EntryChange): void => {
    if (before === after) return;
    const { set, remove } = context.diff(before, after);
    const start = prefix + peers;
    for (const template of set) writeEntry(peers, template, start + template.suffix);
    for (const { suffix } of remove) {
      if (lacking.size > 0) lacking.delete(start + suffix);
      context.setEntry(start + suffix, undefined);
    }
  };
  const writeEntry = (peers: PeerSetId, { l4, kind, cookie }: EntryTemplate, key: string): void => {
    const wantsProxy = kind === 'redirect' || kind === 'refuse';
    const ruleset = wantsProxy ? context.rulesetId(self, l4) : undefined;
    // Without a ruleset the proxy could not decide.
    const action = wantsProxy && ruleset === undefined ? 'deny' : kind;
    if (action !== kind) lacking.add(key);
    else if (lacking.size > 0) lacking.delete(key);
    const { protocol, port, bits: l4Bits } = l4;
    const precedence = PRECEDENCE[action];
    const entry = { protocol, port, l4Bits, action, precedence, ruleset, cookie };
    context.setEntry(key, { subject: identity, direction, peers, ...entry });
  };
  /** As far as there are ids. */
  const writeLacking = (from: PlanView): void => {
    for (const [peers, templates] of from.entries()) {
      for (const template of templates) {
        const key = prefix + peers + template.suffix;
        if (!lacking.has(key)) continue;
        if (context.rulesetId(self, template.l4) === undefined) return;
        writeEntry(peers, template, key);
      }
    }
  };
  const writeRulesets = (keys?: ReadonlySet<number>): void => {
    for (const { id, l4 } of rulesets.values()) {
      if (keys && !keys.has(l4Key(l4))) continue;
      context.setRuleset({ id, subject: identity, direction, port: l4.port, rules: plan?.ruleset(l4) ?? [] });
    }
  };
  const self: SubjectDirection = {
    identity,
    direction,
    enforcement,
    rules: { cluster: createRuleSet(direction), namespace: createRuleSet(direction) },
    rulesets,
    get plan() {
      return plan;
    },
    get lacksIds() {
      return lacking.size > 0;
    },
    move(next) {
      const last = plan;
      plan = next;
      for (const [peers, after] of next?.entries() ?? []) {
        write({ peers, before: last?.entriesOf(peers) ?? NO_ENTRIES, after });
      }
      for (const [peers, before] of last?.entries() ?? []) {
        if (!next || next.entriesOf(peers).length === 0) write({ peers, before, after: NO_ENTRIES });
      }
      writeRulesets();
    },
    follow({ entries, rulesets: stale }) {
      const known = rulesets.size;
      for (const change of entries) write(change);
      if (stale.size === 0 && rulesets.size === known) return;
      const added = [...rulesets.keys()].slice(known); // they are in the order in which they were asked for
      writeRulesets(stale.union(new Set(added)));
    },
    retry() {
      if (!plan || lacking.size === 0) return;
      writeLacking(plan);
      writeRulesets();
    },
  };
  return self;
}
