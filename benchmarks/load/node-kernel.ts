// A node's kernel from outside its agent: what its maps hold, and what its programs take for a packet.

import { join } from 'node:path';
import { type Endpoint, MAPS } from '#bpf/abi.ts';
import { openMap } from '#bpf/maps.ts';
import { type Ends, TCP_FLAGS, tcp } from '#bpf/testing/packet.ts';
import { enterNetns } from '#bpf/testing/topology.ts';
import { type Address, address, formatAddress } from '#common/ip.ts';
import { openPinned, testRun } from '#common/native/libbpf.ts';
import { close } from '#common/native/libc.ts';
import type { WeirNode } from '../peers/weir.ts';
import { PREFIX_BASE } from '../peers/weir-policy.ts';
import { PACKET_PORT } from './pinned.ts';

/** A packet of a connection that is allowed, or one for which policy is asked every time, because it is denied. */
export type PacketKind = 'established' | 'asked';

export interface NodeKernel extends Disposable {
  /** Entries of the policy map. */
  entries(): number;
  revision(): number;
  /** Mean time of to_pod for a packet to the pod of the L4 policy. */
  nanosecondsOf(kind: PacketKind): number;
  /** Runs behind each mean. */
  readonly repeat: number;
}

const REPEAT = 500_000;
const SKB_SIZE = 192; // struct __sk_buff
const SKB = { ingressIfindex: 36, ifindex: 40 } as const;
const CLOSED_PORT = 9;
const SOURCE_PORT = 61_000;
const PASS = 0;
const DROP = 2;

/** Opens what `node` has pinned. */
export function createNodeKernel({ layout, serverTcp, client4 }: WeirNode): NodeKernel {
  const open = (path: string): number => {
    const fd = openPinned(join(layout.bpffs, path));
    if (fd === undefined) throw new Error(`Cannot look into node "${layout.node}": ${path} is not pinned`);
    return fd;
  };
  const fds = ['maps/policy', 'maps/node_config', 'maps/endpoint_addrs', 'programs/to_pod'].map(open);
  const [policyFd, configFd, addrsFd, program] = fds as [number, number, number, number];
  const policy = openMap(policyFd, MAPS.policy.key, MAPS.policy.value);
  const config = openMap(configFd, MAPS.node_config.key, MAPS.node_config.value);
  const addrs = openMap(addrsFd, MAPS.endpoint_addrs.key, MAPS.endpoint_addrs.value);
  const endpoint = (ip: string): Endpoint => {
    const found = addrs.get(address(ip));
    if (!found) throw new Error(`Cannot look into node "${layout.node}": no endpoint has ${ip}`);
    return found;
  };
  const [client, server] = [endpoint(client4), endpoint(serverTcp)];
  const run = (frame: Uint8Array, from: number, repeat: number) => {
    const context = new Uint8Array(SKB_SIZE);
    const view = new DataView(context.buffer);
    view.setUint32(SKB.ingressIfindex, from, true);
    view.setUint32(SKB.ifindex, server.ifindex, true);
    const leave = enterNetns(layout.netnsPath); // interface numbers are those of the node
    try {
      return testRun(program, { data: frame, context, repeat });
    } finally {
      leave();
    }
  };
  const ends = (source: Address): Ends => ({
    sourceMac: server.hostMac,
    destinationMac: server.podMac,
    source: formatAddress(source),
    destination: serverTcp,
  });
  const measured = (frame: Uint8Array, options: { readonly from: number; readonly verdict: number }): number => {
    const { retval, durationNs } = run(frame, options.from, REPEAT);
    if (retval !== options.verdict) throw new Error(`Cannot time to_pod: verdict ${retval}, not ${options.verdict}`);
    return durationNs;
  };
  return {
    repeat: REPEAT,
    entries: () => policy.count(),
    revision: () => config.get(0)?.revision ?? 0,
    nanosecondsOf(kind) {
      if (kind === 'asked') {
        const outside = ends(address(PREFIX_BASE.replace(/0$/, '1')));
        return measured(segment(outside, CLOSED_PORT, TCP_FLAGS.syn), { from: 1, verdict: DROP });
      }
      const own = ends(address(client4));
      run(segment(own, PACKET_PORT, TCP_FLAGS.syn), client.ifindex, 1);
      return measured(segment(own, PACKET_PORT, TCP_FLAGS.ack), { from: client.ifindex, verdict: PASS });
    },
    [Symbol.dispose]() {
      for (const fd of fds) close(fd);
    },
  };
}

function segment(ends: Ends, destinationPort: number, flags: number): Uint8Array {
  return tcp(ends, { sourcePort: SOURCE_PORT, destinationPort, flags, payload: new Uint8Array(64) });
}
