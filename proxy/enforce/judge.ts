// The verdict on the request in engine.request, under the policy of this moment.

import type { Address } from '#common/ip.ts';
import { COUNT } from '../counters.ts';
import type { PeerRules } from '../rules/ruleset.ts';
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
  if (pair.egress?.barred === true || pair.ingress?.barred === true) judgeBarred(engine, pair);
  else {
    judge(judgement, engine.request, pair);
    judgement.audited = origin.audited;
  }
  return judgement.verdict;
}

/**
 * L3/L4 policy does not let the peer of one side connect. The kernel mostly knows first and asks for no rules then; until the
 * next packet of the connection it does not. A side in audit mode is not asked, as the kernel will not ask it.
 */
function judgeBarred({ source, judgement, request }: Engine, pair: Pair): void {
  const { source: client, sourceIdentity, destination: server, destinationIdentity, audited } = pair.origin;
  const isSpared = (rules: PeerRules | undefined, address: Address, identity: number): boolean =>
    rules?.barred === true && source.audits(address, identity);
  const sparesEgress = isSpared(pair.egress, client, sourceIdentity);
  const sparesIngress = isSpared(pair.ingress, server, destinationIdentity);
  judge(judgement, request, {
    egress: sparesEgress ? undefined : pair.egress,
    ingress: sparesIngress ? undefined : pair.ingress,
  });
  judgement.audited = audited || sparesEgress || sparesIngress;
}
