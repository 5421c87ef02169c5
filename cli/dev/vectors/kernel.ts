// The kernel's answer: a case's rows written by the agent's sync, a packet for each flow through the real programs.

import { setImmediate } from 'node:timers/promises';
import { RESERVED_IDENTITIES } from '#agent/identity/reserved.ts';
import { createKernelVerdicts, type FlowEnd, type KernelVerdicts } from '#agent/sync/kernel-verdicts.fixture.ts';
import { createTables, type Desired } from '#agent/tables.ts';
import { MATCH_NONE } from '#bpf/abi.ts';
import type { FlowVerdict, SideVerdict } from '#bpf/testing/verdict.ts';
import { formatAddress } from '#common/ip.ts';
import type { Answerer } from './engine.ts';
import type { CaseFlow } from './format.ts';
import type { End, Mesh } from './mesh.ts';
import { requestsOf } from './requests.ts';
import type { Verdict } from './verdict.ts';

export interface Kernel extends Disposable {
  /** Puts the rows of a case into the maps, in place of the case before. */
  readonly load: (mesh: Mesh) => Promise<Answerer>;
}

/** Loads the programs in a network namespace of their own. Needs root and clang. */
export async function openKernel(): Promise<Kernel> {
  let opened: KernelVerdicts | undefined = await createKernelVerdicts();
  const close = (): void => {
    opened?.[Symbol.dispose]();
    opened = undefined;
  };
  return {
    async load(mesh) {
      opened ??= await createKernelVerdicts();
      const verdicts = opened;
      try {
        // Numbers mean something else in each case: nothing of the last one may be left.
        await verdicts.load(nothing());
        await setImmediate();
        await verdicts.load(mesh.tables.desired);
      } catch (error) {
        close(); // what sync could not write it would try again: the next case must not suffer for it
        throw error;
      }
      // One packet answers for both directions.
      const answers = new Map<CaseFlow, FlowVerdict>();
      const ask = (flow: CaseFlow): FlowVerdict => {
        const known = answers.get(flow);
        if (known) return known;
        const { protocol, port } = flow;
        const from = endOf(mesh.endOf(flow.from));
        const answer = verdicts.ask({ from, to: endOf(mesh.endOf(flow.to)), protocol, port });
        answers.set(flow, answer);
        return answer;
      };
      return {
        answer(flow, direction) {
          const answer = ask(flow);
          const side = answer[direction];
          if (!side) throw new Error(`Cannot tell the verdict: no policy was asked for ${direction}`);
          const { sourceIdentity: source, destinationIdentity: destination } = answer;
          const [subject, peer] = direction === 'egress' ? [source, destination] : [destination, source];
          return verdictOf(side, { mesh, direction, subject, peer });
        },
      };
    },
    [Symbol.dispose]: close,
  };
}

/** No rows but those of identities that are always there. */
function nothing(): Desired {
  const { desired } = createTables();
  for (const { identity } of RESERVED_IDENTITIES) desired.peerSets.set(String(identity), { identity, sets: [] });
  return desired;
}

function endOf(end: End): FlowEnd {
  switch (end.kind) {
    case 'endpoint':
      return { endpoint: end.key };
    case 'address':
      return { address: formatAddress(end.address) };
    case 'entity':
      return { identity: end.identity };
  }
}

function verdictOf(
  side: SideVerdict,
  of: {
    readonly mesh: Mesh;
    readonly direction: 'ingress' | 'egress';
    readonly subject: number;
    readonly peer: number;
  },
): Verdict {
  const { action, ruleset, match, cookie } = side;
  if (action === 'audit') throw new Error('Cannot tell the verdict: the endpoint is in audit mode');
  const { desired } = of.mesh.tables;
  const from = desired.cookies.get(String(cookie))?.policies.join(', ') ?? 'nothing but what is built in';
  const by = `identities ${of.subject} and ${of.peer}, match ${match}, by ${from}`;
  if (action === 'deny') return { verdict: action, reason: match === MATCH_NONE ? 'default-deny' : 'policy-deny', by };
  // Entries do not say whether anything is enforced at all: that is for people, and in rows of its own.
  const rows = [...desired.enforcement.values()].filter(({ identity }) => identity === of.subject);
  const reason = rows.some((row) => row[of.direction]) ? 'policy' : 'no-policy';
  const l7 = action === 'redirect' ? requestsOf(desired, ruleset, of.peer) : undefined;
  return { verdict: action, reason, l7, by };
}
