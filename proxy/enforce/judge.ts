// The verdict on the request in engine.request, under the policy of this moment.

import { COUNT } from '../counters.ts';
import { judge } from '../rules/verdict.ts';
import type { Engine } from './engine.ts';
import type { Pair } from './pair.ts';

/** The connection is no longer known or forbidden as a whole: it must be cut. Beside the VERDICT values. */
export const CUT = -1;

/** VERDICT of the request, with its policies in engine.judgement, or CUT. */
export function judgeRequest(engine: Engine, pair: Pair): number {
  const { origin } = pair;
  const { book, source, judgement } = engine;
  if (source.revision() !== origin.revision) {
    engine.counters.add(COUNT['revisions|looked up']);
    if (!source.refresh(origin)) return CUT;
    pair.epoch = -1;
  }
  if (origin.denied) return CUT;
  if (pair.epoch !== book.epoch) {
    const { egressRuleset, ingressRuleset } = origin;
    pair.egress = egressRuleset === 0 ? undefined : book.rulesFor(egressRuleset, origin.destinationIdentity);
    pair.ingress = ingressRuleset === 0 ? undefined : book.rulesFor(ingressRuleset, origin.sourceIdentity);
    pair.epoch = book.epoch;
  }
  judge(judgement, engine.request, pair);
  return judgement.verdict;
}
