// What the kernel makes of desired rows: the real programs in a network namespace of their own, maps written by the real
// sync, packets by BPF_PROG_TEST_RUN. Needs root and clang.
//
//   using kernel = await createKernelVerdicts();   // once: compiles, loads, makes the namespace weir-verdicts<pid>
//   await kernel.load(tables.desired);             // for each case: what was loaded before is gone
//   kernel.ask({ from: { endpoint: 'a/x' }, to: { address: '192.0.2.1' }, protocol: 'TCP', port: 80 }).egress
//
// A question takes about 0.1 ms, a load what sync needs for the difference. From createKernelVerdicts() to dispose the
// calling thread is in that namespace.

import { ADDR_NODE } from '#bpf/abi.ts';
import { build } from '#bpf/build.ts';
import type { DatapathOptions } from '#bpf/loader.ts';
import type { Ends } from '#bpf/testing/packet.ts';
import { createTopology, macBytes, sh, type Topology } from '#bpf/testing/topology.ts';
import { createVerdicts, type FlowProtocol, type FlowVerdict, flowFrame, type Probe } from '#bpf/testing/verdict.ts';
import { ifindex as brandIfindex, type Identity, type Ifindex, RESERVED } from '#common/ids.ts';
import { type Address, addOffset, address, type Family, familyOf, formatAddress, formatCidr } from '#common/ip.ts';
import type { ReadonlyTable, Table } from '#common/table.ts';
import { type AdmittedEndpointRow, createTables, type Desired } from '../tables.ts';
import type { TypedMap } from './map.ts';
import { type ApplyResult, createSync, type Sync, type SyncMaps } from './sync.ts';

/** An endpoint by its key, an address, or somebody of whom only the identity is known. */
export type FlowEnd = { readonly endpoint: string } | { readonly address: string } | { readonly identity: Identity };

export interface KernelFlow {
  readonly from: FlowEnd;
  readonly to: FlowEnd;
  readonly protocol: FlowProtocol;
  /** Destination port, or ICMP type. */
  readonly port: number;
}

export interface KernelVerdicts extends Disposable {
  readonly topology: Topology;
  /** Brings the maps from what was loaded before to `desired`. Throws if not everything could be written. */
  load(desired: Desired): Promise<void>;
  /** Like load, for maps that may be full. */
  tryLoad(desired: Desired): Promise<ApplyResult>;
  readonly sync: Sync;
  /**
   * What policy says of the flow's first packet: `egress` if `from` is an endpoint (or the host, if its egress is under
   * policy and `to` is no endpoint), `ingress` likewise. Throws if the program dropped the packet without asking.
   */
  ask(flow: KernelFlow): FlowVerdict;
  /** Like ask; undefined if the program dropped the packet without asking. */
  tryAsk(flow: KernelFlow): FlowVerdict | undefined;
  /** Called after every single write to a map. */
  onWrite: (() => void) | undefined;
}

/** Somebody at an end, with an address of each family. */
interface Somebody {
  readonly addresses: Readonly<Record<Family, Address>>;
  /** 0: no endpoint of this node. */
  readonly ifindex: Ifindex | 0;
  /** Packets from there are sent by the node itself. */
  readonly isNode: boolean;
}

const DEVICES = 32;
const POD_MAC = '02:00:00:00:01:01';
const HOST_MAC = '02:00:00:00:02:01';
/** Ranges that nobody writes into a policy, for ends without an address. */
const SPARE: Readonly<Record<Family, Address>> = { 4: address('241.0.0.0'), 6: address('fd77:77:77::') };
const CONFIG = { workerSlots: 1, proxyMark: 0xb00, steerMark: 0x200, dropEventsPerSecond: 0, flags: 0 };

/** Loads the programs. Dispose removes the namespace and everything in it. `sizes`: of maps, for what must be full. */
export async function createKernelVerdicts(
  options: { readonly sizes?: DatapathOptions['sizes'] } = {},
): Promise<KernelVerdicts> {
  await build();
  const topology = createTopology({ name: 'verdicts', pods: [], ...options });
  try {
    return over(topology, createDevices());
  } catch (error) {
    topology[Symbol.dispose]();
    throw error;
  }
}

function over(topology: Topology, devices: readonly Ifindex[]): KernelVerdicts {
  const { maps } = topology.datapath;
  const tables = createTables();
  const { desired } = tables;
  const verdicts = createVerdicts(topology);
  const sync = createSync({
    tables,
    maps: watched(maps, () => kernel.onWrite?.()),
    proxies: { publish: async () => [] },
    conntrack: { purge: async () => 0 },
    config: CONFIG,
  });
  const peers = createPeers(maps.identities);
  let tag = 0;

  const whoIs = (end: FlowEnd, family: Family): Somebody => {
    if ('identity' in end) return peers.of(end.identity);
    const row = 'endpoint' in end ? desired.endpoints.get(end.endpoint) : endpointAt(desired, address(end.address));
    if (row?.endpoint.device) return podOf(row);
    if ('endpoint' in end) throw new Error(`Cannot ask for endpoint "${end.endpoint}": it is not loaded`);
    return peers.at(address(end.address), family);
  };
  const kernel: KernelVerdicts = {
    topology,
    sync,
    onWrite: undefined,
    async load(wanted) {
      const { complete } = await kernel.tryLoad(wanted);
      if (!complete) throw new Error(`Cannot load rows: ${JSON.stringify([sync.pending(), sync.maps()])}`);
    },
    async tryLoad(wanted) {
      peers.forget();
      let used = 0;
      copy(wanted.endpoints, desired.endpoints, (row) => (row.endpoint.device ? place(row, devices, used++) : row));
      for (const name of ['identities', 'addresses', 'policy', 'peerSets', 'rulesets', 'enforcement'] as const) {
        copy<unknown>(wanted[name], desired[name] as Table<unknown>, (row) => row);
      }
      for (const row of desired.endpoints.values()) addSpareAddresses(desired, row);
      return await sync.apply();
    },
    ask(flow) {
      const answer = kernel.tryAsk(flow);
      if (!answer) throw new Error(`Cannot ask for ${JSON.stringify(flow)}: it was dropped unasked`);
      return answer;
    },
    tryAsk({ from, to, protocol, port }) {
      tag = (tag % 60_000) + 1;
      const family = familyFor(protocol, [from, to]);
      const [sender, receiver] = [whoIs(from, family), whoIs(to, family)];
      const ends = endsOf(sender, receiver, family);
      return verdicts.ask({ ...probeOf(sender, receiver), frame: flowFrame(ends, { protocol, port, tag }) });
    },
    [Symbol.dispose]() {
      sync.close();
      verdicts[Symbol.dispose]();
      topology[Symbol.dispose]();
    },
  };
  return kernel;
}

function watched(maps: SyncMaps, onWrite: () => void): SyncMaps {
  const watch = (map: TypedMap<unknown, unknown>): TypedMap<unknown, unknown> => ({
    ...map,
    setMany: () => 0, // one by one
    deleteMany: () => 0,
    set(key, value) {
      map.set(key, value);
      onWrite();
    },
    delete(key) {
      const had = map.delete(key);
      onWrite();
      return had;
    },
  });
  const entries = Object.entries(maps as unknown as Record<string, TypedMap<unknown, unknown>>);
  return Object.fromEntries(entries.map(([name, map]) => [name, watch(map)])) as unknown as SyncMaps;
}

// Interfaces for the endpoints.
function createDevices(): readonly Ifindex[] {
  const names = Array.from({ length: DEVICES }, (_, i) => `d${i}`);
  const pairs = names
    .filter((_, i) => i % 2 === 0)
    .map((name, i) => `link add ${name} type veth peer name d${2 * i + 1}`);
  sh('ip -batch -', pairs.join('\n'));
  const rows = JSON.parse(sh('ip -j link show')) as { readonly ifname: string; readonly ifindex: number }[];
  return names.map((name) => brandIfindex(rows.find((row) => row.ifname === name)?.ifindex ?? 0));
}

function copy<Row>(from: ReadonlyTable<Row>, to: Table<Row>, change: (row: Row) => Row): void {
  for (const key of [...to.entries()].map(([key]) => key)) if (!from.get(key)) to.delete(key);
  for (const [key, row] of from.entries()) to.set(key, change(row));
}

// The endpoint at a device of ours, with an address of each family.
function place(row: AdmittedEndpointRow, devices: readonly Ifindex[], used: number): AdmittedEndpointRow {
  const ifindex = devices[used];
  const { device } = row.endpoint;
  if (!device || !ifindex) throw new Error(`Cannot load rows: there are more than ${DEVICES} endpoints`);
  return {
    ...row,
    endpoint: {
      ...row.endpoint,
      device: { ...device, ifindex, podMac: POD_MAC, hostMac: HOST_MAC },
      ip4: row.endpoint.ip4 ?? addOffset(SPARE[4], used + 1),
      ip6: row.endpoint.ip6 ?? addOffset(SPARE[6], used + 1),
    },
  };
}

function addSpareAddresses({ addresses }: Desired, { endpoint, identity }: AdmittedEndpointRow): void {
  for (const ip of [endpoint.ip4, endpoint.ip6]) {
    const cidr = ip && { address: ip, bits: 128 };
    if (cidr && endpoint.device && !addresses.get(formatCidr(cidr))) {
      addresses.set(formatCidr(cidr), { cidr, identity, flags: 2 });
    }
  }
}

function endpointAt(desired: Desired, ip: Address): AdmittedEndpointRow | undefined {
  return [...desired.endpoints.values()].find(({ endpoint }) => endpoint.ip4 === ip || endpoint.ip6 === ip);
}

function podOf({ endpoint }: AdmittedEndpointRow): Somebody {
  const { device, ip4, ip6 } = endpoint;
  if (!device || !ip4 || !ip6) throw new Error(`Cannot ask for endpoint "${endpoint.pod}": it was not placed`);
  return { addresses: { 4: ip4, 6: ip6 }, ifindex: device.ifindex, isNode: false };
}

// Ends that are not endpoints. One that is known by identity only gets addresses, which the map is told at once.
function createPeers(map: Topology['datapath']['maps']['identities']): {
  of(identity: Identity): Somebody;
  /** `family`: of the packet; where that is not the address's, somebody else of the same identity stands in. */
  at(ip: Address, family: Family): Somebody;
  forget(): void;
} {
  const known = new Map<Identity, Somebody>();
  const of = (identity: Identity): Somebody => {
    const before = known.get(identity);
    if (before) return before;
    const offset = 1000 + known.size;
    const addresses = { 4: addOffset(SPARE[4], offset), 6: addOffset(SPARE[6], offset) };
    const isNode = identity === RESERVED.host;
    for (const ip of [addresses[4], addresses[6]]) {
      map.set({ prefixlen: 128, ip }, { identity, flags: isNode ? ADDR_NODE : 0 });
    }
    const somebody = { addresses, ifindex: 0 as const, isNode };
    known.set(identity, somebody);
    return somebody;
  };
  return {
    of,
    at(ip, family) {
      const row = map.get({ prefixlen: 128, ip });
      const isNode = ((row?.flags ?? 0) & ADDR_NODE) !== 0;
      if (familyOf(ip) === family) return { addresses: { 4: ip, 6: ip }, ifindex: 0, isNode };
      const world = familyOf(ip) === 4 ? RESERVED.worldIpv4 : RESERVED.worldIpv6;
      return { ...of((row?.identity ?? world) as Identity), isNode };
    },
    forget() {
      for (const { addresses } of known.values()) {
        for (const ip of [addresses[4], addresses[6]]) map.delete({ prefixlen: 128, ip });
      }
      known.clear();
    },
  };
}

function familyFor(protocol: FlowProtocol, ends: readonly FlowEnd[]): Family {
  if (protocol === 'ICMP') return 4;
  if (protocol === 'ICMPv6') return 6;
  const given = ends.flatMap((end) => ('address' in end ? [familyOf(address(end.address))] : []));
  return given[0] ?? 4;
}

function endsOf(sender: Somebody, receiver: Somebody, family: Family): Ends {
  const macs = sender.ifindex !== 0 ? [POD_MAC, HOST_MAC] : [HOST_MAC, POD_MAC];
  return {
    sourceMac: macBytes(macs[0] ?? ''),
    destinationMac: macBytes(macs[1] ?? ''),
    source: formatAddress(sender.addresses[family]),
    destination: formatAddress(receiver.addresses[family]),
  };
}

// Where a packet between the two meets a program: as it leaves an endpoint, or else as it reaches one or the node.
function probeOf(sender: Somebody, receiver: Somebody): Omit<Probe, 'frame'> {
  const outside = 1; // any interface but the endpoints'
  if (sender.ifindex !== 0) return { program: 'from_pod', ifindex: sender.ifindex };
  if (receiver.ifindex !== 0) {
    return { program: 'to_pod', ifindex: receiver.ifindex, from: sender.isNode ? 0 : outside };
  }
  if (sender.isNode) return { program: 'to_network', ifindex: outside };
  return { program: 'from_network', ifindex: outside, from: outside };
}
