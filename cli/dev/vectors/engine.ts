// The engine's answer: the rows that compute made, looked up as the kernel looks them up.

import { createLookup } from '#agent/explain/lookup.ts';
import { IP_PROTOCOL } from '#agent/policy/l4.ts';
import type { Identity } from '#common/ids.ts';
import type { CaseFlow } from './format.ts';
import type { End, Mesh } from './mesh.ts';
import { requestsOf } from './requests.ts';
import type { Verdict } from './verdict.ts';

/** Who answers for the flows of one case. */
export interface Answerer {
  /** Throws why there is no answer. */
  answer(flow: CaseFlow, direction: 'ingress' | 'egress'): Verdict;
}

/** Answers from the desired rows of a case. */
export function createEngine(mesh: Mesh): Answerer {
  const { desired } = mesh.tables;
  const lookup = createLookup(desired);
  const identityOf = (end: End): Identity => (end.kind === 'address' ? lookup.identityAt(end.address) : end.identity);
  return {
    answer(flow, direction) {
      const [source, destination] = [mesh.endOf(flow.from), mesh.endOf(flow.to)];
      const [subject, peer] = direction === 'egress' ? [source, destination] : [destination, source];
      const l4 = { protocol: IP_PROTOCOL[flow.protocol], port: flow.port, bits: 24 };
      const peerIdentity = identityOf(peer);
      const answer = lookup.answer({ subject: identityOf(subject), direction, peer: peerIdentity, l4 });
      if (!answer) throw new Error(`Cannot ask for ${direction}: no endpoint is there`);
      const { verdict, reason, entry, policies } = answer;
      const l7 = verdict === 'redirect' ? requestsOf(desired, entry?.ruleset, peerIdentity) : undefined;
      return { verdict, reason, l7, by: showEntry(entry, policies) };
    },
  };
}

type Entry = NonNullable<ReturnType<ReturnType<typeof createLookup>['answer']>>['entry'];

/** The deciding entry for people: "peers 30, TCP 80/16, by CiliumNetworkPolicy default/p". */
function showEntry(entry: Entry, policies: readonly string[]): string {
  if (!entry) return 'no entry';
  const { peers, protocol, port, l4Bits, precedence } = entry;
  const key = l4Bits === 0 ? 'any port' : l4Bits === 8 ? `protocol ${protocol}` : `${protocol}:${port}/${l4Bits - 8}`;
  const from = policies.length > 0 ? policies.join(', ') : 'nothing but what is built in';
  return `${peers === 0 ? 'any peer' : `peers ${peers}`}, ${key}, precedence ${precedence}, by ${from}`;
}
