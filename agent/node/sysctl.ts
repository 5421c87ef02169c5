// Kernel settings of the node's network namespace, and why each is not the default.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { inNetns } from './netns.ts';

/** File below /proc/sys/net -> value. */
export type Sysctls = Readonly<Record<string, string>>;

export const NODE_SYSCTLS: Sysctls = {
  'ipv4/ip_forward': '1',
  'ipv6/conf/all/forwarding': '1',
  // The proxy's sockets carry the client's address: to the reverse path filter their packets look spoofed. pod.bpf.c
  // checks the sources of pods instead.
  'ipv4/conf/all/rp_filter': '0',
  'ipv4/conf/default/rp_filter': '0',
  'ipv4/conf/lo/rp_filter': '0',
  // Both legs of a proxied connection have the client's own 5-tuple; a reused client port must not meet a TIME_WAIT.
  'ipv4/tcp_max_tw_buckets': '0',
  // Resets and ICMP errors that the stack answers to steered packets carry their mark, and are let through by it.
  'ipv4/fwmark_reflect': '1',
  'ipv6/fwmark_reflect': '1',
  // Accepted sockets keep the listener's mark, not the packet's.
  'ipv4/tcp_fwmark_accept': '0',
  // The upstream leg binds to the client's port, whatever it is.
  'ipv4/ip_unprivileged_port_start': '0',
  'core/somaxconn': '4096',
  // Devices to come: addresses are the mesh's to give, and usable at once.
  'ipv6/conf/default/accept_ra': '0',
  'ipv6/conf/default/accept_dad': '0',
  'ipv6/conf/default/autoconf': '0',
};

/** Of a pod's namespace, before its interface exists. */
export const POD_SYSCTLS: Sysctls = {
  'ipv6/conf/default/accept_ra': '0',
  'ipv6/conf/default/accept_dad': '0',
  'ipv6/conf/default/autoconf': '0',
  'ipv4/ip_unprivileged_port_start': '0',
};

/** Writes `settings` in the namespace at `netns` where they differ. Throws naming the one that the kernel refuses. */
export function applySysctls(netns: string, settings: Sysctls): void {
  inNetns(netns, () => {
    for (const [name, value] of Object.entries(settings)) {
      try {
        if (readFileSync(`/proc/sys/net/${name}`, 'latin1').trim() !== value) {
          writeFileSync(`/proc/sys/net/${name}`, value);
        }
      } catch (cause) {
        throw new Error(`Cannot set net/${name} to ${value} in ${netns}: ${(cause as Error).message}`, { cause });
      }
    }
  });
}

/** The settings above, with the reverse path filter off on every device that exists already. */
export function applyNodeSysctls(netns: string): void {
  const devices = inNetns(netns, () => readdirSync('/proc/sys/net/ipv4/conf'));
  applySysctls(netns, {
    ...NODE_SYSCTLS,
    ...Object.fromEntries(devices.map((device) => [`ipv4/conf/${device}/rp_filter`, '0'])),
  });
}
