// The rules in force on a data thread. A change is compiled a little at a time while the rules before it hold, and comes
// into force as one step: no request waits for a compiler. Connections hold on to compiled rules until the epoch changes.

import { finishSteps, type Steps } from '#mesh-config/match/steps.ts';
import { type CompiledRules, compileRules } from './compile.ts';
import type { PolicyLists } from './lists.ts';
import { NO_RULES, type PeerRules, type PreparedRuleset, prepareRuleset, type RulesOrder } from './ruleset.ts';

export interface RuleBook {
  /** Raised by every change: rules handed out under an older epoch must be asked for again. */
  readonly epoch: number;
  /** Bytes that all matchers in force may come to hold, about. */
  readonly bytes: number;
  /** A change is not in force yet: `work` must be called. */
  readonly busy: boolean;
  /** Takes up a change. Those that wait for the one under way become one: there are never more than two. */
  begin(order: RulesOrder): void;
  /** Works on changes until performance.now() is past `untilMs`. Returns the versions that came into force. */
  work(untilMs: number): readonly number[];
  /** Puts a change in force now. */
  apply(order: RulesOrder): void;
  /** What ruleset `id` says to peer `identity`. An unknown ruleset allows nothing. */
  rulesFor(id: number, identity: number): PeerRules;
}

export interface RuleBookOptions {
  readonly lists: PolicyLists;
  /** Bytes of all matchers; beyond, rules allow nothing. While a change is compiled, those before it are there too. */
  readonly maxBytes: number;
  /** Rules that cannot be compiled, or that there is no room for. */
  onProblem(problem: string): void;
  /** There is no room for some rules. */
  onNoRoom(): void;
}

/** An empty book. */
export function createRuleBook(options: RuleBookOptions): RuleBook {
  const { lists, maxBytes } = options;
  let rulesets = new Map<number, PreparedRuleset>();
  let compiled = new Map<string, CompiledRules>();
  let bytes = 0;
  let epoch = 0;
  let waiting: RulesOrder | undefined;
  let waitingVersions: number[] = [];
  let steps: Steps<void> | undefined;
  let versions: readonly number[] = [];

  const change = function* (order: RulesOrder): Steps<void> {
    const next = new Map(order.full ? [] : rulesets);
    for (const id of [...order.removed, ...order.rulesets.map((ruleset) => ruleset.id)]) next.delete(id);
    const used = new Set([...next.values()].flatMap((ruleset) => ruleset.contents));
    let usedBytes = [...used].reduce((sum, content) => sum + content.maxBytes, 0);
    for (const ruleset of order.rulesets) {
      const problem = (text: string): void =>
        options.onProblem(`Cannot compile rules of ruleset ${ruleset.id}: ${text}`);
      const prepared = yield* prepareRuleset(ruleset, {
        lists,
        *compile(key, rules) {
          const content = compiled.get(key) ?? (yield* compileRules(rules, problem));
          if (used.has(content)) return content;
          if (usedBytes + content.maxBytes > maxBytes) {
            options.onNoRoom();
            problem(`they take ${content.maxBytes} bytes, and ${maxBytes - usedBytes} of ${maxBytes} are left`);
            return undefined;
          }
          compiled.set(key, content);
          used.add(content);
          usedBytes += content.maxBytes;
          return content;
        },
      });
      next.set(ruleset.id, prepared);
    }
    rulesets = next;
    compiled = new Map([...compiled].filter(([, content]) => used.has(content)));
    bytes = usedBytes;
    epoch++;
    lists.retain(new Set([...next.values()].flatMap((ruleset) => ruleset.policies)));
  };
  const takeUp = (): void => {
    if (steps !== undefined || waiting === undefined) return;
    steps = change(waiting);
    versions = waitingVersions;
    waiting = undefined;
    waitingVersions = [];
  };
  const book: RuleBook = {
    get epoch() {
      return epoch;
    },
    get bytes() {
      return bytes;
    },
    get busy() {
      return steps !== undefined;
    },
    begin(order) {
      waiting = waiting === undefined ? order : merge(waiting, order);
      waitingVersions.push(order.version);
      takeUp();
    },
    work(untilMs) {
      const done: number[] = [];
      while (steps !== undefined) {
        if (steps.next().done === true) {
          steps = undefined;
          done.push(...versions);
          takeUp();
        }
        if (performance.now() >= untilMs) break;
      }
      return done;
    },
    apply(order) {
      book.work(Number.POSITIVE_INFINITY);
      finishSteps(change(order));
    },
    rulesFor(id, identity) {
      const ruleset = rulesets.get(id);
      return ruleset === undefined ? NO_RULES : (ruleset.byIdentity.get(identity) ?? ruleset.others);
    },
  };
  return book;
}

/** One change that does what both do, one after the other. */
function merge(first: RulesOrder, second: RulesOrder): RulesOrder {
  if (second.full) return second;
  const rulesets = new Map(first.rulesets.map((ruleset) => [ruleset.id, ruleset]));
  for (const id of second.removed) rulesets.delete(id);
  for (const ruleset of second.rulesets) rulesets.set(ruleset.id, ruleset);
  const removed = [...new Set([...first.removed, ...second.removed])];
  return { version: second.version, full: first.full, rulesets: [...rulesets.values()], removed };
}
