// The result of CNI ADD, and the network configuration that makes runtimes call weir-cni.

import { formatAddress } from '#common/ip.ts';
import { CLUSTER_DOMAIN, type NodeLayout } from '../layout.ts';
import type { Attachment } from './attachments.ts';

export interface CniResult {
  readonly cniVersion: string;
  readonly interfaces: readonly { readonly name: string; readonly mac: string; readonly sandbox?: string }[];
  readonly ips: readonly { readonly interface: number; readonly address: string; readonly gateway: string }[];
  readonly routes: readonly { readonly dst: string; readonly gw: string }[];
  readonly dns: {
    readonly nameservers: readonly string[];
    readonly domain: string;
    readonly search: readonly string[];
    readonly options: readonly string[];
  };
}

/** What ADD answers for `attachment`, in the form of CNI `version` (1.0.0 and 1.1.0; the latter also tells the MTU). */
export function addResult(layout: NodeLayout, attachment: Attachment, version: string): CniResult {
  const { gateway4, gateway6, dns4, dns6 } = layout.addresses;
  const { device, ifname, hostMac, podMac, netns, ip4, ip6, namespace } = attachment;
  const mtu = version === '1.0.0' ? {} : { mtu: attachment.mtu };
  const [gw4, gw6] = [formatAddress(gateway4), formatAddress(gateway6)];
  return {
    cniVersion: version,
    interfaces: [
      { name: device, mac: hostMac, ...mtu },
      { name: ifname, mac: podMac, ...mtu, sandbox: netns },
    ],
    ips: [
      { interface: 1, address: `${ip4}/32`, gateway: gw4 },
      { interface: 1, address: `${ip6}/128`, gateway: gw6 },
    ],
    routes: [
      { dst: '0.0.0.0/0', gw: gw4 },
      { dst: '::/0', gw: gw6 },
    ],
    dns: {
      nameservers: [formatAddress(dns4), formatAddress(dns6)],
      domain: CLUSTER_DOMAIN,
      search: [`${namespace}.svc.${CLUSTER_DOMAIN}`, `svc.${CLUSTER_DOMAIN}`, CLUSTER_DOMAIN],
      options: ['ndots:5'],
    },
  };
}

/** The list of plugins ("conflist") that a container runtime is given: weir-cni alone. */
export function networkList(layout: NodeLayout): {
  readonly cniVersion: string;
  readonly name: string;
  readonly plugins: readonly { readonly type: 'weir-cni'; readonly socket: string }[];
} {
  return { cniVersion: '1.1.0', name: 'weir', plugins: [{ type: 'weir-cni', socket: layout.cniSocket }] };
}
