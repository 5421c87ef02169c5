// For tests: what becomes of a flow, by the kernel's answer and by the rows alone, and how two fates compare.

import { MATCH_L3_L4, MATCH_L3_ONLY, MATCH_L3_PROTO } from '#bpf/abi.ts';
import type { FlowVerdict } from '#bpf/testing/verdict.ts';
import { type Identity, identity, RESERVED } from '#common/ids.ts';
import { type Address, address, covers, familyOf, formatAddress, parseCidr } from '#common/ip.ts';
import { IP_PROTOCOL, type L4 } from '../policy/l4.ts';
import { ANY_PEERS } from '../policy/peer-sets.ts';
import { type Decision, decide, wideness } from '../policy/verdict.ts';
import type { FlowEnd, KernelFlow } from './kernel-verdicts.fixture.ts';
import { setsOf, type TableEntry } from './random-tables.fixture.ts';
import { NODE, OUTSIDE, PODS, type World } from './random-world.fixture.ts';

export interface Fate {
  /** 0: nothing passes, 1: what the proxy lets through, 2: everything. */
  readonly level: 0 | 1 | 2;
  /** "direction ruleset" of each side that wants the proxy. */
  readonly rulesets: readonly string[];
  /** Identities of sender and receiver; none: the packet was dropped before anybody looked, or nobody looks. */
  readonly ends: readonly number[];
  /** It was decided by entries for the peer, not for any peer. */
  readonly byPeer: boolean;
}

const PROBES = [
  { protocol: 'TCP', port: 80 },
  { protocol: 'TCP', port: 85 },
  { protocol: 'SCTP', port: 80 },
] as const;
const PEER_MATCHES: readonly number[] = [MATCH_L3_ONLY, MATCH_L3_L4, MATCH_L3_PROTO];

/** Flows between everybody in a world, on ports that its policies tell apart. */
export function allFlows(): readonly KernelFlow[] {
  const pods = PODS.map(({ name }): FlowEnd => ({ endpoint: `a/${name}` }));
  const outside = [...OUTSIDE, ...NODE.map(formatAddress)].map((ip): FlowEnd => ({ address: ip }));
  const node = { address: formatAddress(NODE[0] as Address) };
  const pairs = [
    ...pods.flatMap((from) => pods.filter((to) => to !== from).map((to) => ({ from, to }))),
    ...pods.flatMap((pod) => outside.flatMap((other) => [pairOf(pod, other), pairOf(other, pod)])),
    pairOf({ address: '192.0.2.65' }, node),
    pairOf(node, { address: '192.0.2.66' }),
  ];
  return pairs.flatMap((pair) => PROBES.map((probe) => ({ ...pair, ...probe })));
}

function pairOf(from: FlowEnd, to: FlowEnd): Pick<KernelFlow, 'from' | 'to'> {
  return { from, to };
}

/** By the kernel's answer. */
export function fateOf(verdict: FlowVerdict | undefined): Fate {
  if (!verdict) return { level: 0, rulesets: [], ends: [], byPeer: false };
  const sides = [verdict.egress, verdict.ingress].filter((side) => side !== undefined);
  const rulesets = (['egress', 'ingress'] as const).flatMap((direction) => {
    const side = verdict[direction];
    return side?.action === 'redirect' ? [`${direction} ${side.ruleset}`] : [];
  });
  const level = sides.some((s) => s.action === 'deny') ? 0 : rulesets.length > 0 ? 1 : 2;
  const byPeer = sides.length > 0 && sides.every(({ match }) => PEER_MATCHES.includes(match));
  return { level, rulesets, ends: [verdict.sourceIdentity, verdict.destinationIdentity], byPeer };
}

/** By the rows alone, as if they were all in force. */
export function idealFate(world: World, { from, to, protocol, port }: KernelFlow): Pick<Fate, 'level' | 'rulesets'> {
  const [sender, receiver] = [whoIs(world, from), whoIs(world, to)];
  const l4 = { protocol: IP_PROTOCOL[protocol], port, bits: 24 };
  const sides: { readonly direction: string; readonly decision: Decision<TableEntry>; readonly ofHost: boolean }[] = [];
  const ask = (direction: 'ingress' | 'egress', subject: Identity, peer: Identity): void => {
    const decision = ask1(world, { direction, subject, peer, l4 });
    sides.push({ direction, decision, ofHost: subject === RESERVED.host });
  };
  const isHost = (who: Who): boolean => who.identity === RESERVED.host;
  if (sender.isPod) ask('egress', sender.identity, receiver.identity);
  else if (isHost(sender) && world.host.egress && !receiver.isPod) ask('egress', sender.identity, receiver.identity);
  if (receiver.isPod) ask('ingress', receiver.identity, sender.identity);
  else if (isHost(receiver) && world.host.ingress) ask('ingress', receiver.identity, sender.identity);
  const levels = sides.map(({ decision, ofHost }) =>
    ofHost && decision.verdict === 'redirect' ? 0 : wideness(decision),
  );
  const rulesets = sides.flatMap(({ direction, decision: { verdict, entry } }) =>
    verdict === 'redirect' ? [`${direction} ${entry?.ruleset}`] : [],
  );
  return { level: Math.min(2, ...levels) as 0 | 1 | 2, rulesets };
}

interface Who {
  readonly identity: Identity;
  readonly isPod: boolean;
}

function whoIs(world: World, end: FlowEnd): Who {
  if (!('address' in end)) {
    const i = PODS.findIndex(({ name }) => 'endpoint' in end && end.endpoint === `a/${name}`);
    return { identity: world.pods[i] as Identity, isPod: true };
  }
  const ip = address(end.address);
  if (NODE.includes(ip)) return { identity: RESERVED.host, isPod: false };
  const family = familyOf(ip);
  const rows = [...world.prefixes].filter(([text]) => familyOf(address(text.split('/')[0] ?? '')) === family);
  const found = rows.filter(([text]) => contains(text, ip)).sort(([a], [b]) => bitsOf(b) - bitsOf(a))[0];
  return { identity: found?.[1] ?? identity(family === 4 ? 9 : 10), isPod: false };
}

function ask1(
  world: World,
  q: { readonly direction: string; readonly subject: Identity; readonly peer: Identity; readonly l4: L4 },
): Decision<TableEntry> {
  const table = world.policy.get(`${q.subject} ${q.direction}`);
  const sets = setsOf(q.peer, table?.keys() ?? []);
  return decide(
    [ANY_PEERS, ...sets].map((set) => table?.get(set)),
    q.l4,
  );
}

function bitsOf(text: string): number {
  const cidr = parseCidr(text);
  return cidr.ok ? cidr.value.bits : 0;
}

function contains(text: string, ip: Address): boolean {
  const cidr = parseCidr(text);
  return cidr.ok && covers(cidr.value, { address: ip, bits: 128 });
}

/** Whether everything that passes in `a` passes in `b` too. */
export function isWithin(a: Pick<Fate, 'level' | 'rulesets'>, b: Pick<Fate, 'level' | 'rulesets'>): boolean {
  if (a.level === 0 || b.level === 2) return true;
  return b.level === 1 && a.level === 1 && b.rulesets.every((ruleset) => a.rulesets.includes(ruleset));
}

/** For people. */
export function fateText(fate: Pick<Fate, 'level' | 'rulesets'> & Partial<Fate>): string {
  return `${fate.level} [${fate.rulesets}] ${fate.ends ?? ''}`;
}
