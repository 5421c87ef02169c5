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
  readonly flags: readonly string[];
  /** Device that it belongs to. */
  readonly master?: string;
  readonly linkinfo?: { readonly info_slave_kind?: string };
}

/** What became of the devices at one look. */
export interface HostDeviceReport {
  /** Names of those at which the node's policy is asked. */
  readonly attached: readonly string[];
  /** Why it is not asked, or still is, where it should be otherwise. */
  readonly problems: readonly string[];
  /** Names of those at which it cannot be asked: up, and without Ethernet headers. */
  readonly unjudged: readonly string[];
}

export interface HostDevices {
  /**
   * Attaches to the devices that there are, detaches from those that are gone or lead outside no longer. What is attached
   * is attached again, in place: somebody may have taken it away. Throws if the devices cannot be listed.
   */
  refresh(): Promise<HostDeviceReport>;
}

/** Of the namespaces that Weir makes (agent/layout.ts). */
const OWN_PREFIX = `${NETNS_DIR}/weir-`;
/** What Weir names the node's ends of pods' interfaces (agent/cni). */
const POD_PREFIX = 'lxc';

/** Whether a link of this name is the node's end of a pod's interface. */
export function isPodLink(name: string): boolean {
  return name.startsWith(POD_PREFIX);
}

/**
 * The links that lead outside: Ethernet, no pod's, and no port of a bridge or bond, which sees their packets again (a VRF
 * does not).
 */
export function outsideDevices(links: readonly Link[]): Link[] {
  return links.filter(
    ({ link_type: type, ifname, master, linkinfo }) =>
      type === 'ether' && (master === undefined || linkinfo?.info_slave_kind === 'vrf') && !isPodLink(ifname),
  );
}

/** The links that may lead outside and whose packets the programs cannot read. */
export function unjudgedDevices(links: readonly Link[]): Link[] {
  return links.filter(
    ({ link_type: type, flags }) => type !== 'ether' && !flags.includes('LOOPBACK') && flags.includes('UP'),
  );
}

/**
 * The devices of the node in the namespace at `netns`. Only in namespaces that Weir has made: anywhere else, such as in
 * the machine's own, `refresh` throws and attaches nothing.
 */
export function createHostDevices(
  netns: string,
  datapath: Pick<Datapath, 'attachDevice' | 'detachDevice' | 'pinned'>,
): HostDevices {
  let known: ReadonlySet<string> | undefined; // attached, or not known to be detached
  return {
    async refresh() {
      if (!netns.startsWith(OWN_PREFIX)) throw new Error(`Cannot attach to devices in ${netns}: it is not Weir's`);
      const links = await ipShow<Link>('link show', { netns });
      known ??= new Set(datapath.pinned().interfaces.filter((name) => !isPodLink(name))); // of an earlier agent
      const problems: string[] = [];
      const attempt = (name: string, verb: string, run: () => unknown): boolean => {
        try {
          inNetns(netns, () => void run());
          return true;
        } catch (error) {
          problems.push(`Cannot ${verb} device "${name}": ${(error as Error).message}`);
          return false;
        }
      };
      const wanted = new Map(outsideDevices(links).map((link) => [link.ifname, link.ifindex]));
      // First those that go: a device under a new name takes no second program while the old name's is there.
      const gone = [...known].filter((name) => !wanted.has(name));
      const stuck = gone.filter((name) => !attempt(name, 'stop policing', () => datapath.detachDevice(name)));
      const attached = [...wanted].filter(([name, index]) =>
        attempt(name, 'police', () => datapath.attachDevice(name, ifindex(index))),
      );
      known = new Set([...wanted.keys(), ...stuck]);
      return {
        attached: attached.map(([name]) => name),
        problems,
        unjudged: unjudgedDevices(links).map(({ ifname }) => ifname),
      };
    },
  };
}
