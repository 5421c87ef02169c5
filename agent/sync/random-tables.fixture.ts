// For tests: random policies of one subject and direction, as the tables that precedence.ts asks for, made the simple way.

import { type Identity, identity, type PeerSetId, peerSetId } from '#common/ids.ts';
import { expandSpan, IP_PROTOCOL, type L4, L4_ALL, l4Covers, l4Key } from '../policy/l4.ts';
import { ANY_PEERS } from '../policy/peer-sets.ts';
import { PRECEDENCE } from '../policy/precedence.ts';
import type { Entry } from '../policy/verdict.ts';

/** A number from 0 to below `below`. */
export type Pick = (below: number) => number;
export type TableEntry = Entry & {
  readonly l4: L4;
  readonly action: Statement['kind'];
  readonly ruleset: number;
  readonly cookie: number;
};
/** Entries of each set of peers, by l4Key. */
export type Table = Map<PeerSetId, Map<number, TableEntry>>;

/** One statement of a policy: peers (or any) may (not) be reached at a key. */
export interface Statement {
  readonly peers: readonly Identity[] | 'any';
  readonly l4: L4;
  readonly kind: 'allow' | 'deny' | 'redirect' | 'refuse';
}

export const PEERS: readonly Identity[] = [300, 301, 302, 303].map(identity);
const GROUPS: readonly (readonly Identity[])[] = [[0], [1], [0, 1], [2, 3]].map((members) =>
  members.map((m) => PEERS[m] as Identity),
);
const span = (port: number, endPort: number, protocol: number = IP_PROTOCOL.TCP): readonly L4[] =>
  expandSpan({ protocol, port, endPort });
const PORTS: readonly (readonly L4[])[] = [
  [L4_ALL],
  span(0, 0),
  span(80, 80),
  span(81, 81),
  span(80, 95),
  span(64, 90),
  span(80, 80, IP_PROTOCOL.SCTP),
  span(8, 8, IP_PROTOCOL.ICMP),
  span(0, 0, IP_PROTOCOL.ICMP),
];
const ONLY_TCP_PORTS = [2, 3, 4, 5]; // what a redirect can be for

/** Ports that the policies tell apart, and some beside them. */
export const PROBES: readonly L4[] = [
  ...[1, 64, 79, 80, 81, 85, 88, 90, 91, 95, 96].map((port) => ({ protocol: IP_PROTOCOL.TCP, port, bits: 24 })),
  { protocol: IP_PROTOCOL.UDP, port: 80, bits: 24 },
  { protocol: IP_PROTOCOL.SCTP, port: 80, bits: 24 },
  { protocol: IP_PROTOCOL.ICMP, port: 8, bits: 24 },
  { protocol: IP_PROTOCOL.ICMP, port: 3, bits: 24 },
];

/** Seeded numbers, so that a failure can be repeated (mulberry32). */
export function random(seed: number): Pick {
  let a = seed;
  return (below) => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * below);
  };
}

/** Up to five rules about `groups` of peers, cut into statements. */
export function randomStatements(pick: Pick, groups: readonly (readonly Identity[])[] = GROUPS): readonly Statement[] {
  return Array.from({ length: pick(6) }, () => {
    const kind = (['allow', 'allow', 'allow', 'redirect', 'redirect', 'refuse', 'deny'] as const)[pick(7)] ?? 'deny';
    const peers = pick(3) === 0 ? ('any' as const) : (groups[pick(groups.length)] as readonly Identity[]);
    const ports = kind === 'redirect' || kind === 'refuse' ? (ONLY_TCP_PORTS[pick(4)] as number) : pick(PORTS.length);
    return (PORTS[ports] as readonly L4[]).map((l4) => ({ peers, l4, kind }));
  }).flat();
}

/** The entries that say what the statements say (rules 6 to 8 of precedence.ts). */
export function tableOf(statements: readonly Statement[]): Table {
  const table: Table = new Map();
  const keys = new Map(statements.map(({ l4 }) => [l4Key(l4), l4]));
  for (const [set, own] of Map.groupBy(statements, ({ peers }) => setOf(peers))) {
    const entries = new Map<number, TableEntry>();
    for (const [key, l4] of keys) {
      const covers = new Set(l4Covers(l4).map(l4Key));
      const said = own.filter((s) => covers.has(l4Key(s.l4)));
      const isWritten = said.some((s) => l4Key(s.l4) === key);
      const wantsProxy = said.some((s) => s.kind === 'redirect' || s.kind === 'refuse');
      if (isWritten || wantsProxy) entries.set(key, entryOf(l4, said));
    }
    table.set(set, entries);
  }
  return table;
}

function entryOf(l4: L4, said: readonly Statement[]): TableEntry {
  const has = (kind: Statement['kind']): boolean => said.some((s) => s.kind === kind);
  const allows = has('allow') || has('redirect');
  const wantsProxy = has('redirect') || has('refuse');
  const action = has('deny') ? 'deny' : !allows ? 'refuse' : wantsProxy ? 'redirect' : 'allow';
  const ruleset = action === 'redirect' || action === 'refuse' ? l4Key(l4) % 65536 || 1 : 0;
  return { l4, l4Bits: l4.bits, action, precedence: PRECEDENCE[action], ruleset, cookie: said.length };
}

const sets = new Map<string, PeerSetId>([['any', ANY_PEERS]]);
const members = new Map<PeerSetId, readonly Identity[]>();

/** The set of these peers: the same whenever it is asked for. */
function setOf(peers: Statement['peers']): PeerSetId {
  const text = peers === 'any' ? peers : [...new Set(peers)].sort((a, b) => a - b).join();
  const known = sets.get(text) ?? peerSetId(1000 + sets.size);
  sets.set(text, known);
  if (peers !== 'any') members.set(known, peers);
  return known;
}

/** The sets among `candidates` that a peer belongs to. */
export function setsOf(peer: Identity, candidates: Iterable<PeerSetId>): readonly PeerSetId[] {
  return [...new Set(candidates)].filter((set) => members.get(set)?.includes(peer)).sort((a, b) => a - b);
}
