// For tests: random desired rows of a node with two pods, itself under policy or not, and prefixes within each other.

import {
  cookie,
  endpointId,
  type Identity,
  identity,
  ifindex,
  type PeerSetId,
  peerSetId,
  RESERVED,
  rulesetId,
} from '#common/ids.ts';
import { type Address, address, formatCidr, parseCidr } from '#common/ip.ts';
import { L4_ALL } from '../policy/l4.ts';
import { ANY_PEERS } from '../policy/peer-sets.ts';
import { PRECEDENCE } from '../policy/precedence.ts';
import { type AdmittedEndpointRow, createTables, type Desired, HOST_ENDPOINT, type PolicyEntryRow } from '../tables.ts';
import { type Pick, randomStatements, setsOf, type Table, tableOf } from './random-tables.fixture.ts';

/** What one state is. Rows of parts that are the same objects in two states are the same. */
export interface World {
  /** Rows of prefixes: text to identity. */
  readonly prefixes: ReadonlyMap<string, Identity>;
  /** Identity of each of PODS. */
  readonly pods: readonly Identity[];
  /** Entries by "subject direction". */
  readonly policy: ReadonlyMap<string, Table>;
  readonly host: { readonly ingress: boolean; readonly egress: boolean };
}

/** Both pods of the node; their addresses are in some of PREFIXES. */
export const PODS = [
  { name: 'x', ip4: address('10.0.1.1'), ip6: address('fd00::1:1') },
  { name: 'y', ip4: address('10.0.1.2'), ip6: address('fd00::1:2') },
];
/** Addresses of the node itself. */
export const NODE = [address('10.0.0.1'), address('fd00::1')];
const PREFIXES = ['0.0.0.0/0', '10.0.0.0/8', '192.0.2.0/24', '192.0.2.64/26', '192.0.2.65/32', '::/0', '2001:db8::/32'];
/** Addresses in every place that the prefixes tell apart. */
export const OUTSIDE = [
  '192.0.2.1',
  '192.0.2.65',
  '192.0.2.66',
  '10.9.9.9',
  '198.51.100.1',
  '2001:db8::1',
  '2001:db9::1',
];
const POD_IDENTITIES = [300, 301].map(identity);
const FIRST_PREFIX_IDENTITY = 16_777_217;

/** Everything anew, or with `last` about a third of everything. */
export function randomWorld(pick: Pick, last?: World): World {
  const keeps = (): boolean => last !== undefined && pick(3) > 0;
  const prefixes = new Map<string, Identity>();
  for (const [i, text] of PREFIXES.entries()) {
    const was = last?.prefixes.get(text);
    if (keeps()) {
      if (was !== undefined) prefixes.set(text, was);
    } else if (pick(3) > 0) {
      // Mostly one of its own, sometimes one that others have too.
      prefixes.set(text, identity(FIRST_PREFIX_IDENTITY + (pick(3) === 0 ? pick(3) : 10 + 10 * i + pick(2))));
    }
  }
  const pods = PODS.map((_, i) => (keeps() ? last?.pods[i] : undefined) ?? (POD_IDENTITIES[pick(2)] as Identity));
  const peers = [...POD_IDENTITIES, ...prefixes.values(), RESERVED.host, RESERVED.worldIpv4, RESERVED.worldIpv6];
  const group = (): readonly Identity[] =>
    Array.from({ length: 1 + pick(4) }, () => peers[pick(peers.length)] as Identity);
  const groups = Array.from({ length: 8 }, group);
  const policy = new Map<string, Table>();
  for (const subject of [...POD_IDENTITIES, RESERVED.host]) {
    for (const direction of ['ingress', 'egress'] as const) {
      const key = `${subject} ${direction}`;
      const was = keeps() ? last?.policy.get(key) : undefined;
      policy.set(key, was ?? (pick(5) === 0 ? unenforced() : tableOf(randomStatements(pick, groups))));
    }
  }
  const host = keeps() && last ? last.host : { ingress: pick(3) > 0, egress: pick(3) > 0 };
  return { prefixes, pods, policy, host };
}

function unenforced(): Table {
  const entry = {
    l4: L4_ALL,
    l4Bits: 0,
    action: 'allow',
    precedence: PRECEDENCE.allow,
    ruleset: 0,
    cookie: 0,
  } as const;
  return new Map([[ANY_PEERS, new Map([[0, entry]])]]);
}

/** The rows that say so. */
export function rowsOf({ prefixes, pods, policy, host }: World): Desired {
  const { desired } = createTables();
  const at = (ip: Address, bits: number, row: { readonly identity: Identity; readonly flags: number }): void => {
    const cidr = { address: ip, bits };
    desired.addresses.set(formatCidr(cidr), { cidr, ...row });
  };
  for (const [text, id] of prefixes) {
    const cidr = parseCidr(text);
    if (!cidr.ok) throw new Error(cidr.error);
    at(cidr.value.address, cidr.value.bits, { identity: id, flags: 0 });
  }
  for (const ip of NODE) at(ip, 128, { identity: RESERVED.host, flags: 1 });
  for (const [i, { name, ip4, ip6 }] of PODS.entries()) {
    const id = pods[i] as Identity;
    desired.endpoints.set(...endpointRow(name, { id: i + 1, identity: id, ip4, ip6 }));
    for (const ip of [ip4, ip6]) at(ip, 128, { identity: id, flags: 2 });
  }
  for (const [key, table] of policy) {
    const [subject, direction] = key.split(' ') as [string, 'ingress' | 'egress'];
    for (const [peers, entries] of table) {
      for (const { l4, ...entry } of entries.values()) {
        const row = { subject: identity(Number(subject)), direction, peers, protocol: l4.protocol, port: l4.port };
        desired.policy.set(...policyRow({ ...row, ...entry }));
      }
    }
  }
  for (const peer of peersOf({ prefixes })) {
    const named = policy.values().flatMap((table) => table.keys());
    desired.peerSets.set(String(peer), { identity: peer, sets: setsOf(peer, named) });
  }
  if (host.ingress || host.egress) {
    desired.enforcement.set(HOST_ENDPOINT, { endpoint: HOST_ENDPOINT, identity: RESERVED.host, ...host, audit: false });
  }
  return desired;
}

/** Everybody whom somebody knows. */
function peersOf({ prefixes }: { readonly prefixes: World['prefixes'] }): ReadonlySet<Identity> {
  return new Set([...POD_IDENTITIES, ...prefixes.values(), RESERVED.host, RESERVED.worldIpv4, RESERVED.worldIpv6]);
}

export type WrittenRow = Omit<PolicyEntryRow, 'ruleset' | 'cookie'> & {
  readonly ruleset: number;
  readonly cookie: number;
};

/** A row of the policy table and its key. A ruleset 0 is none. */
export function policyRow(row: WrittenRow): [string, PolicyEntryRow] {
  const { subject, direction, peers, protocol, port, l4Bits, ruleset } = row;
  const key = [subject, direction, peers, protocol, port, l4Bits].join(' ');
  const id = ruleset === 0 ? undefined : rulesetId(ruleset);
  return [key, { ...row, ruleset: id, cookie: cookie(row.cookie) }];
}

/** The set of one peer: rows written by hand give each peer its own. */
export function only(peer: Identity): PeerSetId {
  return peerSetId(peer);
}

/** Makes peers known, each in its own set. */
export function know(desired: Desired, ...peers: readonly Identity[]): void {
  for (const peer of peers) desired.peerSets.set(String(peer), { identity: peer, sets: [only(peer)] });
}

/** The row of a pod "a/NAME" and its key. Its interface is the fixture's that loads it. */
export function endpointRow(
  pod: string,
  at: { readonly id: number; readonly identity: Identity; readonly ip4?: Address; readonly ip6?: Address },
): [string, AdmittedEndpointRow] {
  const device = { name: '', podMac: '', hostMac: '', netns: '', containerId: '', ifindex: ifindex(at.id) };
  const endpoint = {
    namespace: 'a',
    pod,
    id: endpointId(at.id),
    ip4: at.ip4,
    ip6: at.ip6,
    labels: {},
    workload: { kind: 'Pod', name: pod },
    serviceAccount: 'default',
    device,
    ready: true,
    namedPorts: [],
  };
  return [`a/${pod}`, { identity: at.identity, endpoint }];
}
