// What most kernel program tests start from: two pods on a node, maps that can be filled in a line, packets between them.

import assert from 'node:assert/strict';
import { address } from '#common/ip.ts';
import { type CtEntry, connectionKey, NODE_VERDICT_EVENTS, type NodeConfig } from '../abi.ts';
import { build } from '../build.ts';
import { type Ends, PROTOCOL, TCP_FLAGS, tcp } from './packet.ts';
import { type Direction, type EntryAction, type RuleOptions, writePeer, writeRule } from './policy.ts';
import { createRunner, type Outcome, type Runner } from './run.ts';
import { createTopology, macBytes, type Pod, type Topology } from './topology.ts';

/** The client and the server of every test, and their identities. */
export const CLIENT = { name: 'a', ip4: '10.244.0.10', ip6: 'fd00:10:244::10', identity: 300 };
export const SERVER = { name: 'b', ip4: '10.244.0.11', ip6: 'fd00:10:244::11', identity: 400 };
/** Its addresses are known to no map: the world, by family. */
export const OUTSIDE = { ip4: '192.0.2.7', ip6: '2001:db8::7' };
/** An address of the node itself, with a workload's identity. */
export const RESOLVER = { ip4: '10.244.0.2', ip6: 'fd00:10:244::2', identity: 102 };
/** Identities that are no workload's. */
export const IDENTITY = { host: 1, world4: 9, world6: 10 } as const;
export const FAMILIES = [4, 6] as const;
export type Family = 4 | 6;

export interface Scene extends Disposable {
  readonly topology: Topology;
  readonly client: Pod;
  readonly server: Pod;
  readonly runner: Runner;
  /** Ends of a packet as it leaves `from` towards `to` (a pod or an address). */
  ends(from: Pod, to: Pod | { readonly ip4: string; readonly ip6: string }, family: Family): Ends;
  /** Ends of a packet as the node's stack sends it to `to`. */
  endsFromNode(source: { readonly ip4: string; readonly ip6: string }, to: Pod, family: Family): Ends;
  fromPod(pod: Pod, frame: Uint8Array): Outcome;
  /** `mark` of the sending socket; `from`: interface that it was forwarded from (none: sent by the node). */
  toPod(pod: Pod, frame: Uint8Array, skb?: { readonly mark?: number; readonly from?: number }): Outcome;
  rule(subject: number, direction: Direction, action: EntryAction, options?: RuleOptions): void;
  /** Everyone may do everything. */
  allowAll(): void;
  /** Raises the policy revision. */
  revise(change?: Partial<Pick<NodeConfig, 'workerSlots' | 'flags'>>): void;
  entry(ends: Ends, sourcePort: number, destinationPort: number, protocol?: number): CtEntry | undefined;
  patchEntry(ends: Ends, ports: readonly [number, number], change: Partial<CtEntry>): void;
  /** Empties the maps and publishes both pods. */
  reset(): void;
}

const EMPTIED = [
  'policy',
  'subjects',
  'peer_sets',
  'policy_counters',
  'lifelines',
  'conntrack',
  'fragments',
  'services',
  'listeners',
  'identities',
] as const;
/** Peers from the beginning, beside the pods. */
const PEERS = [IDENTITY.host, IDENTITY.world4, IDENTITY.world6, RESOLVER.identity];

/** Compiles and loads the programs and builds the node. Needs root. */
export async function createScene(name: string): Promise<Scene> {
  await build();
  const topology = createTopology({ name, pods: [CLIENT, SERVER] });
  const { maps } = topology.datapath;
  const runner = createRunner(topology.datapath);
  const client = topology.pods[CLIENT.name] as Pod;
  const server = topology.pods[SERVER.name] as Pod;
  const ip = (of: { ip4: string; ip6: string }, family: Family): string => (family === 4 ? of.ip4 : of.ip6);
  const keyOf = (ends: Ends, sourcePort: number, destinationPort: number, protocol: number) =>
    connectionKey(
      { address: address(ends.source), port: sourcePort },
      { address: address(ends.destination), port: destinationPort },
      protocol,
    );
  const scene: Scene = {
    topology,
    client,
    server,
    runner,
    ends: (from, to, family) => ({
      sourceMac: macBytes(from.podMac),
      destinationMac: macBytes(from.hostMac),
      source: ip(from, family),
      destination: ip(to, family),
    }),
    endsFromNode: (source, to, family) => ({
      sourceMac: macBytes(to.hostMac),
      destinationMac: macBytes(to.podMac),
      source: ip(source, family),
      destination: ip(to, family),
    }),
    fromPod: (pod, frame) => runner.run('from_pod', frame, { ifindex: pod.ifindex }),
    toPod: (pod, frame, skb) => runner.run('to_pod', frame, { ifindex: pod.ifindex, ...skb }),
    rule(subject, direction, action, options = {}) {
      writeRule(maps, { ...options, subject, direction, action });
      scene.revise();
    },
    allowAll() {
      for (const identity of [CLIENT.identity, SERVER.identity]) {
        scene.rule(identity, 'ingress', 'allow');
        scene.rule(identity, 'egress', 'allow');
      }
    },
    revise(change = {}) {
      const config = maps.node_config.get(0);
      assert.ok(config);
      maps.node_config.set(0, { ...config, ...change, revision: config.revision + 1 });
    },
    entry: (ends, source, destination, protocol = PROTOCOL.tcp) =>
      maps.conntrack.get(keyOf(ends, source, destination, protocol)),
    patchEntry(ends, [source, destination], change) {
      const key = keyOf(ends, source, destination, PROTOCOL.tcp);
      const entry = maps.conntrack.get(key);
      assert.ok(entry);
      maps.conntrack.set(key, { ...entry, ...change });
    },
    reset() {
      for (const name of EMPTIED)
        clear(maps[name] as { entries(): [unknown, unknown][]; delete(key: unknown): boolean });
      for (const identity of PEERS) writePeer(maps, identity);
      for (const pod of [client, server]) topology.publish(pod);
      maps.identities.set({ prefixlen: 128, ip: address(RESOLVER.ip4) }, { identity: RESOLVER.identity, flags: 1 });
      maps.identities.set({ prefixlen: 128, ip: address(RESOLVER.ip6) }, { identity: RESOLVER.identity, flags: 1 });
      scene.revise({ workerSlots: 1, flags: NODE_VERDICT_EVENTS });
    },
    [Symbol.dispose]() {
      runner[Symbol.dispose]();
      topology[Symbol.dispose]();
    },
  };
  scene.reset();
  return scene;
}

function clear(map: { entries(): [unknown, unknown][]; delete(key: unknown): boolean }): void {
  for (const [key] of map.entries()) map.delete(key);
}

/** A SYN from port 40000 to `port`. */
export function syn(ends: Ends, port = 80, sourcePort = 40000): Uint8Array {
  return tcp(ends, { sourcePort, destinationPort: port, flags: TCP_FLAGS.syn });
}

/** A data segment of an established connection from port 40000 to `port`. */
export function data(ends: Ends, port = 80, sourcePort = 40000): Uint8Array {
  const flags = TCP_FLAGS.ack | TCP_FLAGS.psh;
  return tcp(ends, { sourcePort, destinationPort: port, flags, seq: 1001, ack: 5001, payload: Buffer.from('hello') });
}

/** Ends of the answer, as it leaves `from`. */
export function reversed(ends: Ends, from: Pod): Ends {
  return {
    sourceMac: macBytes(from.podMac),
    destinationMac: macBytes(from.hostMac),
    source: ends.destination,
    destination: ends.source,
  };
}
