// The veth pair between a pod and its node, as iproute2 commands.
//
//   pod: eth0  IP/32, IP6/128, default via 169.254.1.1 and fe80::1   <->   node: lxc…  169.254.1.1/32, fe80::1/64
//
// Neighbours are permanent on both sides and no interface makes addresses of its own: nothing is ever asked or announced.

import { type Ifindex, ifindex } from '#common/ids.ts';
import { formatAddress } from '#common/ip.ts';
import type { NodeLayout } from '../layout.ts';
import { ip, ipShow } from '../node/ip.ts';
import { applySysctls, POD_SYSCTLS } from '../node/sysctl.ts';
import type { Attachment } from './attachments.ts';

interface LinkRow {
  readonly ifindex: number;
  readonly ifname: string;
  readonly address: string;
  readonly flags: readonly string[];
}
interface RouteRow {
  readonly dst: string;
  readonly dev: string;
  readonly gateway?: string;
}

/** What identifies and shapes the pair. */
export type LinkPlan = Pick<Attachment, 'device' | 'ifname' | 'netns' | 'podMac' | 'hostMac' | 'mtu'>;

/** Creates the pair, both ends down, the pod's end inside its namespace. Returns the index of the node's end. */
export async function createLink(layout: NodeLayout, plan: LinkPlan): Promise<Ifindex> {
  applySysctls(plan.netns, POD_SYSCTLS);
  const { device, ifname, netns, podMac, hostMac, mtu } = plan;
  const shown = await ip(
    [
      `link add name ${device} address ${hostMac} mtu ${mtu} type veth` +
        ` peer name ${ifname} address ${podMac} mtu ${mtu} netns ${netns}`,
      `link set dev ${device} addrgenmode none`,
      `link show dev ${device}`,
    ],
    { netns: layout.netnsPath, json: true },
  );
  return ifindex((JSON.parse(shown) as LinkRow[])[0]?.ifindex ?? 0);
}

/** Gives both ends their addresses, neighbours and routes, and takes them up. */
export async function configureLink(layout: NodeLayout, attachment: Attachment): Promise<void> {
  const { gateway4, gateway6, node4, node6 } = layout.addresses;
  const { device, ifname, podMac, hostMac, ip4, ip6 } = attachment;
  const [gw4, gw6] = [formatAddress(gateway4), formatAddress(gateway6)];
  await Promise.all([
    ip(
      [
        'link set lo up',
        `link set dev ${ifname} addrgenmode none`,
        `addr add ${ip4}/32 dev ${ifname}`,
        `addr add ${ip6}/128 dev ${ifname} nodad`,
        `link set dev ${ifname} up`,
        `neigh replace ${gw4} lladdr ${hostMac} nud permanent dev ${ifname}`,
        `neigh replace ${gw6} lladdr ${hostMac} nud permanent dev ${ifname}`,
        `route replace ${gw4}/32 dev ${ifname} scope link`,
        `route replace 0.0.0.0/0 via ${gw4} dev ${ifname}`,
        `route replace ::/0 via ${gw6} dev ${ifname}`,
      ],
      { netns: attachment.netns },
    ),
    ip(
      [
        `addr add ${gw4}/32 dev ${device} scope link`,
        `addr add ${gw6}/64 dev ${device} nodad`,
        `link set dev ${device} up`,
        `neigh replace ${ip4} lladdr ${podMac} nud permanent dev ${device}`,
        `neigh replace ${ip6} lladdr ${podMac} nud permanent dev ${device}`,
        // The node speaks to its pods as itself, not as the gateway address that every device carries.
        `route replace ${ip4}/32 dev ${device} scope link src ${formatAddress(node4)}`,
        `route replace ${ip6}/128 dev ${device} src ${formatAddress(node6)}`,
      ],
      { netns: layout.netnsPath },
    ),
  ]);
}

/** Removes the pair; none is fine. */
export async function deleteLink(layout: NodeLayout, device: string): Promise<void> {
  await ip([`link del dev ${device}`], { netns: layout.netnsPath, force: true });
}

/** The node's ends of all pairs that exist: device name -> its index. */
export async function listLinks(layout: NodeLayout): Promise<ReadonlyMap<string, number>> {
  const links = await ipShow<LinkRow>('link show type veth', { netns: layout.netnsPath });
  return new Map(links.map((link) => [link.ifname, link.ifindex]));
}

/** What differs from what configureLink() made; empty if all is right. */
export async function verifyLink(layout: NodeLayout, attachment: Attachment): Promise<string[]> {
  const { device, ifname, ip4, ip6 } = attachment;
  const node = { netns: layout.netnsPath };
  const pod = { netns: attachment.netns };
  const [hostLinks, hostRoutes4, hostRoutes6, podLinks, podRoutes4, podRoutes6] = await Promise.all([
    ipShow<LinkRow>('addr show type veth', node),
    ipShow<RouteRow>(`route show dev ${device}`, { ...node, family: 4 }),
    ipShow<RouteRow>(`route show dev ${device}`, { ...node, family: 6 }),
    ipShow<LinkRow & { addr_info: { local: string }[] }>(`addr show`, pod),
    ipShow<RouteRow>('route show', { ...pod, family: 4 }),
    ipShow<RouteRow>('route show', { ...pod, family: 6 }),
  ]);
  const host = hostLinks.find((link) => link.ifname === device);
  const inner = podLinks.find((link) => link.ifname === ifname);
  const held = new Set(inner?.addr_info.map((a) => a.local));
  const { gateway4, gateway6 } = layout.addresses;
  const expectations: [boolean, string][] = [
    [host?.ifindex === attachment.ifindex, `${device} is not the interface that was made`],
    [host?.flags.includes('UP') ?? false, `${device} is not up`],
    [hostRoutes4.some((route) => route.dst === ip4), `no route to ${ip4} by ${device}`],
    [hostRoutes6.some((route) => route.dst === ip6), `no route to ${ip6} by ${device}`],
    [inner?.address === attachment.podMac, `${ifname} does not have the address ${attachment.podMac}`],
    [inner?.flags.includes('UP') ?? false, `${ifname} is not up`],
    [held.has(ip4), `${ifname} does not have ${ip4}`],
    [held.has(ip6), `${ifname} does not have ${ip6}`],
    [podRoutes4.some((r) => r.dst === 'default' && r.gateway === formatAddress(gateway4)), 'no default route (IPv4)'],
    [podRoutes6.some((r) => r.dst === 'default' && r.gateway === formatAddress(gateway6)), 'no default route (IPv6)'],
  ];
  return expectations.filter(([holds]) => !holds).map(([, problem]) => problem);
}
