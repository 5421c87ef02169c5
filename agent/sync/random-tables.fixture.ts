// For tests: random policies of one subject and direction, as the tables that precedence.ts asks for, made the simple way.

import { type Identity, identity } from '#common/ids.ts';
import { expandSpan, IP_PROTOCOL, type L4, L4_ALL, l4Covers, l4Key } from '../policy/l4.ts';
import { PRECEDENCE } from '../policy/precedence.ts';
import type { Write } from './transition.ts';
import type { Entry } from './verdict.ts';

/** A number from 0 to below `below`. */
export type Pick = (below: number) => number;
export type Table = Map<Identity, Map<number, Entry>>;

/** One statement of a policy: peers (or any) may (not) be reached at a key. */
export interface Statement {
  readonly peers: readonly Identity[] | 'any';
  readonly l4: L4;
  readonly kind: 'allow' | 'deny' | 'redirect';
}

export const ANY_PEER = identity(0);
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
    const kind = (['allow', 'allow', 'redirect', 'redirect', 'deny'] as const)[pick(5)] ?? 'deny';
    const peers = pick(3) === 0 ? ('any' as const) : (groups[pick(groups.length)] as readonly Identity[]);
    const ports = kind === 'redirect' ? (ONLY_TCP_PORTS[pick(4)] as number) : pick(PORTS.length);
    return (PORTS[ports] as readonly L4[]).map((l4) => ({ peers, l4, kind }));
  }).flat();
}

/** The entries that say what the statements say (rules 6 to 8 of precedence.ts). */
export function tableOf(statements: readonly Statement[]): Table {
  const keys = new Map(statements.map(({ l4 }) => [l4Key(l4), l4]));
  const everyone = new Set(statements.flatMap(({ peers }) => (peers === 'any' ? [] : peers)));
  const table: Table = new Map();
  for (const peer of [ANY_PEER, ...everyone]) {
    const isOwn = (s: Statement): boolean => s.peers !== 'any' && s.peers.includes(peer);
    const entries = new Map<number, Entry>();
    for (const [key, l4] of keys) {
      const covers = new Set(l4Covers(l4).map(l4Key));
      const said = statements.filter((s) => covers.has(l4Key(s.l4)) && (s.peers === 'any' || isOwn(s)));
      const here = said.filter((s) => l4Key(s.l4) === key);
      const isWanted = here.some((s) => (peer === ANY_PEER ? s.peers === 'any' : isOwn(s)));
      const hidesAny = here.length > 0 && said.some((s) => s.kind === 'redirect' && isOwn(s));
      if (isWanted || hidesAny) entries.set(key, entryOf(l4, said));
    }
    if (entries.size > 0) table.set(peer, entries);
  }
  return table;
}

function entryOf(l4: L4, said: readonly Statement[]): Entry {
  const action = (['deny', 'redirect', 'allow'] as const).find((kind) => said.some((s) => s.kind === kind)) ?? 'deny';
  return {
    l4,
    l4Bits: l4.bits,
    action,
    precedence: PRECEDENCE[action],
    ruleset: action === 'redirect' ? l4Key(l4) % 65536 || 1 : 0,
    cookie: said.length,
  };
}

/** Carries out one write on `table`. */
export function write(table: Table, { peer, l4, entry }: Write): void {
  const entries = table.get(peer) ?? new Map<number, Entry>();
  if (entry) entries.set(l4Key(l4), entry);
  else entries.delete(l4Key(l4));
  if (entries.size > 0) table.set(peer, entries);
  else table.delete(peer);
}

/** A copy that can be written to. */
export function copyTable(table: Table): Table {
  return new Map([...table].map(([peer, entries]) => [peer, new Map(entries)]));
}
