// The rules in force on a data thread. Connections hold on to compiled rules until the epoch changes.

import { compilePeerRules, type PeerRules, type PolicyLists, type RulesetOrder, type RulesOrder } from './ruleset.ts';

export interface RuleBook {
  /** Raised by every change: rules handed out under an older epoch must be asked for again. */
  readonly epoch: number;
  /** Applies a change as one step. */
  apply(order: RulesOrder): void;
  /** What ruleset `id` says to peer `identity`. An unknown ruleset allows nothing. */
  rulesFor(id: number, identity: number): PeerRules;
}

/** Compiled rules kept per book; beyond, the cache starts anew. */
const MAX_COMPILED = 4096;

/** An empty book. */
export function createRuleBook(lists: PolicyLists, onProblem: (problem: string) => void): RuleBook {
  const rulesets = new Map<number, RulesetOrder>();
  const compiled = new Map<number, Map<number, PeerRules>>();
  let count = 0;
  let epoch = 0;
  const forget = (id: number): void => {
    count -= compiled.get(id)?.size ?? 0;
    compiled.delete(id);
  };
  return {
    get epoch() {
      return epoch;
    },
    apply(order) {
      const kept = new Set(order.rulesets.map((ruleset) => ruleset.id));
      const gone = order.full ? [...rulesets.keys()].filter((id) => !kept.has(id)) : order.removed;
      for (const id of gone) {
        rulesets.delete(id);
        forget(id);
      }
      for (const ruleset of order.rulesets) {
        rulesets.set(ruleset.id, ruleset);
        forget(ruleset.id);
      }
      epoch++;
    },
    rulesFor(id, identity) {
      let peers = compiled.get(id);
      let rules = peers?.get(identity);
      if (rules !== undefined) return rules;
      if (count >= MAX_COMPILED) {
        compiled.clear();
        count = 0;
        peers = undefined;
      }
      rules = compilePeerRules(rulesets.get(id), identity, { lists, onProblem });
      // Unknown rulesets are not kept: an attacker must not fill the cache with them.
      if (!rulesets.has(id)) return rules;
      if (peers === undefined) {
        peers = new Map();
        compiled.set(id, peers);
      }
      peers.set(identity, rules);
      count++;
      return rules;
    },
  };
}
