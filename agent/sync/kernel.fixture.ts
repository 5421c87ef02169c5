// For tests: all maps in memory, proxies that know what they were told, and what the kernel and the proxies together
// would make of a request on a new connection at this very moment.

import {
  ADDR_MANAGED,
  ENTRY_ALLOW,
  ENTRY_DENY,
  ENTRY_REDIRECT,
  type IdentityKey,
  type IdentityValue,
  MAPS,
  PEER_FIRST,
  PEER_SECOND,
  type PeerSetsValue,
  POLICY_EGRESS,
  POLICY_INGRESS,
  type PolicyValue,
} from '#bpf/abi.ts';
import { type Address, formatAddress, masked } from '#common/ip.ts';
import { createPublished, type Publication } from '../control/published.ts';
import { l4Covers } from '../policy/l4.ts';
import type { Tables } from '../tables.ts';
import { type FakeMap, fakeMap } from './fake-map.ts';
import { createSync, type RulesetPublisher, type Sync, type SyncMaps } from './sync.ts';

export const CONFIG = { workerSlots: 1, proxyMark: 1, steerMark: 2, dropEventsPerSecond: 10, flags: 0 };

export interface FakeKernel {
  readonly maps: { readonly [N in keyof SyncMaps]: SyncMaps[N] & FakeMap<never, never> };
  /** Called after every single write to any map, and after every change of what the proxies know. */
  onStep: (() => void) | undefined;
  proxiesFor(tables: Tables): RulesetPublisher;
  /** Whether the request passes. */
  passes(request: Request): boolean;
  /** Interface behind which the pod with this address sits; undefined: none. */
  interfaceOf: (address: string) => number | undefined;
}

export interface Request {
  readonly from: Address;
  readonly to: Address;
  readonly port: number;
  readonly method: string;
}

interface Peer {
  readonly anyPeer: boolean;
  readonly identities: readonly number[];
  readonly wildcard: boolean;
  readonly http: readonly { readonly method: string }[];
  readonly refused: boolean;
}

/** 0: denied, 1: by the proxy, 2: allowed. */
interface Answer {
  readonly level: 0 | 1 | 2;
  readonly ruleset: number;
}

const WORLD = 9;

/** Sync of `tables` into `kernel`. Nobody has connections that would have to be forgotten. */
export function syncInto(kernel: FakeKernel, tables: Tables): Sync {
  const { maps } = kernel;
  return createSync({
    tables,
    maps,
    proxies: kernel.proxiesFor(tables),
    conntrack: { purge: async () => 0 },
    config: CONFIG,
  });
}

/** Empty maps, proxies that know nothing. */
// biome-ignore lint/complexity/noExcessiveLinesPerFunction: a kernel's worth of maps in one place
export function fakeKernel(): FakeKernel {
  const names = [
    'policy',
    'subjects',
    'peer_sets',
    'policy_counters',
    'lifelines',
    'identities',
    'endpoints',
    'endpoint_addrs',
    'services',
    'backends',
    'node_config',
  ] as const;
  const maps = Object.fromEntries(
    names.map((name) => [name, fakeMap(MAPS[name].key as never)]),
  ) as unknown as FakeKernel['maps'];
  const rulesets = new Map<number, readonly Peer[]>();
  const step = (): void => kernel.onStep?.();
  for (const name of names) maps[name].onWrite = step;

  const lookup = (edition: number, peers: number, port: number): PolicyValue | undefined => {
    for (const { bits, protocol, port: prefix } of l4Covers({ protocol: 6, port, bits: 24 }).toReversed()) {
      const value = maps.policy.get({ prefixlen: 72 + bits, edition, peers, protocol, port: prefix });
      if (value) return value;
    }
    return undefined;
  };
  const blocksOf = (peer: number): readonly PeerSetsValue[] | undefined => {
    const blocks: PeerSetsValue[] = [];
    for (let block = 0; ; block++) {
      const value = maps.peer_sets.get({ identity: peer, block });
      if (!value) return undefined;
      blocks.push(value);
      if (value.more === 0) return blocks;
    }
  };
  const askEdition = (edition: number, blocks: readonly PeerSetsValue[] | undefined, port: number): Answer => {
    if (!blocks || edition === 0) return { level: 0, ruleset: 0 };
    const sets = [0, ...blocks.flatMap(({ sets }) => sets).filter((set) => set > 0)];
    const holding = sets.flatMap((set) => lookup(edition, set, port) ?? []);
    const [won] = holding.toSorted((a, b) => b.precedence - a.precedence || b.l4Bits - a.l4Bits);
    const isAllowed = holding.some(({ action }) => action === ENTRY_ALLOW || action === ENTRY_REDIRECT);
    if (!won || won.action === ENTRY_DENY || !isAllowed) return { level: 0, ruleset: 0 };
    return won.action === ENTRY_ALLOW ? { level: 2, ruleset: 0 } : { level: 1, ruleset: won.ruleset };
  };
  const ask = (subject: number, peer: number, direction: number, port: number): Answer => {
    const row = maps.subjects.get(subject);
    const use = direction === POLICY_EGRESS ? row?.egress : row?.ingress;
    if (!use) return { level: 0, ruleset: 0 };
    const blocks = blocksOf(peer);
    const first = askEdition(use.edition, blocks, port);
    if (use.also === 0 || blocks?.[0]?.only === PEER_FIRST) return first;
    const second = askEdition(use.also, blocks, port);
    return blocks?.[0]?.only === PEER_SECOND || second.level <= first.level ? second : first;
  };
  const longestPrefix = (ip: Address): { readonly identity: number; readonly flags: number } | undefined => {
    const rows = maps.identities.entries() as readonly (readonly [IdentityKey, IdentityValue])[];
    for (const length of new Set(rows.map(([key]) => key.prefixlen))
      .values()
      .toArray()
      .sort((a, b) => b - a)) {
      const value = maps.identities.get({ prefixlen: length, ip: masked(ip, length) });
      if (value) return value;
    }
    return undefined;
  };
  const resolve = (ip: Address): { readonly identity: number; readonly local: boolean } | undefined => {
    const endpoint = maps.endpoint_addrs.get(ip);
    if (endpoint) return { identity: endpoint.identity, local: true };
    const known = longestPrefix(ip);
    if (known && known.flags & ADDR_MANAGED) return undefined;
    return { identity: known?.identity ?? WORLD, local: false };
  };
  const allowed = ({ level, ruleset }: Answer, peer: number, method: string): boolean => {
    if (level !== 1) return level === 2;
    const own = (rulesets.get(ruleset) ?? []).filter((p) => p.anyPeer || p.identities.includes(peer));
    if (own.some((p) => p.refused)) return false;
    return own.some((p) => p.wildcard || p.http.some((h) => h.method === '' || h.method === method));
  };
  const kernel: FakeKernel = {
    maps,
    onStep: undefined,
    interfaceOf: () => undefined,
    proxiesFor(tables) {
      const published = createPublished(tables.desired);
      return {
        publish(what: Publication) {
          const delta = published.advance(what);
          for (const id of delta?.removedRulesets ?? []) rulesets.delete(id);
          for (const ruleset of (delta?.rulesets ?? []) as readonly { id: number; peers: readonly Peer[] }[]) {
            rulesets.set(ruleset.id, ruleset.peers);
          }
          step();
          return Promise.resolve([]);
        },
      };
    },
    passes({ from, to, port, method }) {
      const ifindex = kernel.interfaceOf(formatAddress(from));
      if (ifindex !== undefined && !maps.endpoints.get(ifindex)) return false;
      const [source, destination] = [resolve(from), resolve(to)];
      if (!source || !destination) return false;
      if (ifindex !== undefined && !source.local) return false;
      if (source.local) {
        const egress = ask(source.identity, destination.identity, POLICY_EGRESS, port);
        if (!allowed(egress, destination.identity, method)) return false;
      }
      if (!destination.local) return true;
      return allowed(ask(destination.identity, source.identity, POLICY_INGRESS, port), source.identity, method);
    },
  };
  return kernel;
}
