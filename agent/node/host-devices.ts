// The node's devices to the outside, at which its own policy is asked (bpf/host.bpf.c). In the embedded default a node is
// a namespace with pods' interfaces only, and has none.

import type { Datapath } from '#bpf/loader.ts';
import { ifindex } from '#common/ids.ts';
import { ipShow } from './ip.ts';
import { inNetns, NETNS_DIR } from './netns.ts';

/** A link as `ip -j -d link show` tells of it. */
export interface Link {
  readonly ifindex: number;
  readonly ifname: string;
  readonly link_type: string;
  /** Bridge or bond that it belongs to, which sees its packets again. */
  readonly master?: string;
}

export interface HostDevices {
  /** Attaches to devices that have come, forgets those that have gone. Returns the names of all that are attached now. */
  refresh(): Promise<readonly string[]>;
}

/** Of the namespaces that Weir makes (agent/layout.ts). */
const OWN_PREFIX = `${NETNS_DIR}/weir-`;
/** What Weir names the node's ends of pods' interfaces (agent/cni). */
const POD_PREFIX = 'lxc';

/**
 * The links that lead outside: Ethernet, no pod's, and no part of another device. Links without Ethernet headers (tunnels)
 * are not judged.
 */
export function outsideDevices(links: readonly Link[]): Link[] {
  return links.filter(
    ({ link_type: type, ifname, master }) => type === 'ether' && master === undefined && !ifname.startsWith(POD_PREFIX),
  );
}

/**
 * The devices of the node in the namespace at `netns`. Only in namespaces that Weir has made: anywhere else, such as in
 * the machine's own, `refresh` throws and attaches nothing.
 */
export function createHostDevices(
  netns: string,
  datapath: Pick<Datapath, 'attachDevice' | 'detachDevice'>,
): HostDevices {
  let attached = new Map<string, number>();
  return {
    async refresh() {
      if (!netns.startsWith(OWN_PREFIX)) throw new Error(`Cannot attach to devices in ${netns}: it is not Weir's`);
      const links = outsideDevices(await ipShow<Link>('link show', { netns }));
      const now = new Map<string, number>();
      for (const { ifname, ifindex: index } of links) {
        if (attached.get(ifname) !== index) inNetns(netns, () => void datapath.attachDevice(ifname, ifindex(index)));
        now.set(ifname, index);
      }
      for (const name of attached.keys()) if (!now.has(name)) inNetns(netns, () => datapath.detachDevice(name));
      attached = now;
      return [...now.keys()];
    },
  };
}
