// What policy says of one packet, asked of the real programs: BPF_PROG_TEST_RUN, then a look at the conntrack entry that
// the program was making. Quicker than run.ts, which counts and reports; and policy's answer is there for dropped packets too.

import { familyOf, parseAddress } from '#common/ip.ts';
import { openPinned, possibleCpus, testRun, update } from '#common/native/libbpf.ts';
import { close } from '#common/native/libc.ts';
import {
  ACTION_ALLOW,
  ACTION_AUDIT,
  ACTION_DENY,
  ACTION_NOT_ASKED,
  ACTION_REDIRECT,
  type CtEntry,
  ctEntry,
} from '../abi.ts';
import { u32 } from '../codec.ts';
import { openPerCpuMap } from '../maps.ts';
import * as packet from './packet.ts';
import { TC } from './run.ts';
import type { Topology } from './topology.ts';

export type FlowProtocol = 'TCP' | 'UDP' | 'SCTP' | 'ICMP' | 'ICMPv6';

/** What one direction's policy said. A redirect of the node's own packets, which pass, is a redirect here too. */
export interface SideVerdict {
  readonly action: 'allow' | 'deny' | 'redirect' | 'audit';
  /** L7 ruleset of a redirect; 0: none. */
  readonly ruleset: number;
  /** enum policy_match; MATCH_NONE: no entry. */
  readonly match: number;
  readonly cookie: number;
}

export interface FlowVerdict {
  /** What the program did with the packet: TC_ACT_*. */
  readonly verdict: number;
  /** undefined: nobody's egress (ingress) policy was asked. */
  readonly egress: SideVerdict | undefined;
  readonly ingress: SideVerdict | undefined;
  readonly sourceIdentity: number;
  readonly destinationIdentity: number;
}

export interface Probe {
  readonly program: 'from_pod' | 'to_pod' | 'from_network' | 'to_network';
  readonly frame: Uint8Array;
  /** Interface at which the program sees the packet. */
  readonly ifindex: number;
  /** Interface by which the packet came to the node; 0: the node itself sent it. */
  readonly from?: number;
}

export interface Verdicts extends Disposable {
  /** Runs the packet. undefined: the program dropped it without asking anybody's policy. */
  ask(probe: Probe): FlowVerdict | undefined;
}

const SKB_SIZE = 192; // struct __sk_buff
const SKB = { ingressIfindex: 36, ifindex: 40 } as const;
const ACTIONS: Readonly<Record<number, SideVerdict['action']>> = {
  [ACTION_ALLOW]: 'allow',
  [ACTION_DENY]: 'deny',
  [ACTION_REDIRECT]: 'redirect',
  [ACTION_AUDIT]: 'audit',
};

/** Asks the programs of a node. The calling thread must be in its namespace, as it is while the topology exists. */
export function createVerdicts({ datapath, bpffs }: Pick<Topology, 'datapath' | 'bpffs'>): Verdicts {
  const fd = openPinned(`${bpffs}/maps/scratch`);
  if (fd === undefined) throw new Error(`Cannot read verdicts: no map in ${bpffs}`);
  const scratch = openPerCpuMap(fd, u32, ctEntry);
  const zero = u32.encode(0);
  const blank = new Uint8Array(ctEntry.size * possibleCpus());
  const context = new Uint8Array(SKB_SIZE);
  const view = new DataView(context.buffer);
  return {
    ask({ program, frame, ifindex, from = 0 }) {
      update(fd, zero, blank);
      view.setUint32(SKB.ingressIfindex, from, true);
      view.setUint32(SKB.ifindex, ifindex, true);
      const { retval } = testRun(datapath.programFd(program), { data: frame, context });
      // Only the CPU that ran the program has written; a revision is never 0.
      const entry = scratch.get(0)?.find(({ revision }) => revision !== 0);
      const answer = verdictOf(entry ?? ctEntry.decode(blank), retval);
      return retval === TC.shot && !answer.egress && !answer.ingress ? undefined : answer;
    },
    [Symbol.dispose]: () => void close(fd),
  };
}

function verdictOf(entry: CtEntry, verdict: number): FlowVerdict {
  const side = (action: number, rest: Omit<SideVerdict, 'action'>): SideVerdict | undefined => {
    if (action === ACTION_NOT_ASKED) return undefined;
    const known = ACTIONS[action];
    if (!known) throw new Error(`Cannot read verdict: ${action} is no action`);
    return { action: known === 'allow' && rest.ruleset !== 0 ? 'redirect' : known, ...rest };
  };
  const { egressRuleset, egressMatch, egressCookie, ingressRuleset, ingressMatch, ingressCookie } = entry;
  return {
    verdict,
    egress: side(entry.egressAction, { ruleset: egressRuleset, match: egressMatch, cookie: egressCookie }),
    ingress: side(entry.ingressAction, { ruleset: ingressRuleset, match: ingressMatch, cookie: ingressCookie }),
    sourceIdentity: entry.sourceIdentity,
    destinationIdentity: entry.destinationIdentity,
  };
}

/**
 * The first packet of a flow. `port`: destination port, or the ICMP type. `tag` (1..65535): its source port, or the
 * identifier of an echo; packets with different tags belong to different connections.
 */
export function flowFrame(
  ends: packet.Ends,
  flow: { readonly protocol: FlowProtocol; readonly port: number; readonly tag: number },
): Uint8Array {
  const ports = { sourcePort: flow.tag, destinationPort: flow.port };
  switch (flow.protocol) {
    case 'TCP':
      return packet.tcp(ends, { ...ports, flags: packet.TCP_FLAGS.syn });
    case 'UDP':
      return packet.udp(ends, ports);
    case 'SCTP':
      return packet.sctp(ends, ports);
    case 'ICMP':
    case 'ICMPv6':
      // The identifier is where an error would have the packet that it is about: that is none of any connection's.
      return packet.icmp(ends, flow.port, packet.echo(flow.tag));
  }
}

/** Whether a flow of the protocol can have the address at an end. */
export function fitsProtocol(protocol: FlowProtocol, ip: string): boolean {
  const parsed = parseAddress(ip);
  if (!parsed.ok) return false;
  const family = familyOf(parsed.value);
  return protocol === 'ICMP' ? family === 4 : protocol === 'ICMPv6' ? family === 6 : true;
}
