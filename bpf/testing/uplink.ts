// The outside of a node: a device of the node that leads to a host in a namespace of its own.
//
//   node --up0-- outside      192.0.2.1/24, 2001:db8::1/64 on the node's side, .7 and ::7 (and more) outside

import { ifindex as brandIfindex, type Ifindex } from '#common/ids.ts';
import { address } from '#common/ip.ts';
import { writePeer } from './policy.ts';
import { sh, type Topology } from './topology.ts';

/** The node's own addresses on the device, and two hosts outside. */
export const NODE = { ip4: '192.0.2.1', ip6: '2001:db8::1' };
export const HOST_A = { ip4: '192.0.2.7', ip6: '2001:db8::7', identity: 5007 };
export const HOST_B = { ip4: '192.0.2.8', ip6: '2001:db8::8', identity: 5008 };
export const IDENTITY_HOST = 1;

export interface Uplink extends Disposable {
  readonly device: string;
  readonly ifindex: Ifindex;
  /** Name of the namespace outside. */
  readonly netns: string;
  /** MAC addresses of the node's side and of the other. */
  readonly macs: { readonly node: string; readonly outside: string };
  /** Tells the maps who is who: the node's addresses, and the two hosts. */
  publish(): void;
}

/** Builds the device and what is behind it. The calling thread is in the node's namespace. */
export function createUplink(topology: Topology): Uplink {
  const netns = `${topology.netns}-outside`;
  const macs = { node: '02:00:00:00:0a:01', outside: '02:00:00:00:0a:02' };
  const hosts = [HOST_A, HOST_B].flatMap(({ ip4, ip6 }) => [
    `ip -n ${netns} addr add ${ip4}/24 dev eth0`,
    `ip -n ${netns} addr add ${ip6}/64 dev eth0 nodad`,
  ]);
  sh(`
    ip netns add ${netns}
    ip link add up0 address ${macs.node} type veth peer name eth0 netns ${netns} address ${macs.outside}
    ip addr add ${NODE.ip4}/24 dev up0
    ip addr add ${NODE.ip6}/64 dev up0 nodad
    ip link set up0 up
    ip -n ${netns} link set lo up
    ${hosts.join('\n')}
    ip -n ${netns} link set eth0 up
    ip -n ${netns} route add default via ${NODE.ip4}
    ip -n ${netns} -6 route add default via ${NODE.ip6}
  `);
  const ifindex = brandIfindex(Number(JSON.parse(sh('ip -j link show up0'))[0].ifindex));
  const { maps } = topology.datapath;
  return {
    device: 'up0',
    ifindex,
    netns,
    macs,
    publish() {
      const row = (text: string, identity: number, flags: number): void =>
        maps.identities.set({ prefixlen: 128, ip: address(text) }, { identity, flags });
      for (const ip of [NODE.ip4, NODE.ip6]) row(ip, IDENTITY_HOST, 1);
      for (const { ip4, ip6, identity } of [HOST_A, HOST_B]) {
        writePeer(maps, identity);
        for (const ip of [ip4, ip6]) row(ip, identity, 0);
      }
    },
    [Symbol.dispose]: () => void sh(`ip netns del ${netns}; ip link del up0 2>/dev/null || true`),
  };
}
