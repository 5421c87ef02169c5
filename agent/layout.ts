// Names and places of one node on this machine: everything that Weir creates is named here.

import { type Address, address, type Cidr, parseCidr } from '#common/ip.ts';

/** Fixed addresses of the embedded default. */
export interface NodeAddresses {
  readonly podCidr4: Cidr;
  readonly podCidr6: Cidr;
  readonly serviceCidr4: Cidr;
  readonly serviceCidr6: Cidr;
  /** The node's own address on its loopback device. */
  readonly node4: Address;
  readonly node6: Address;
  /** Where the resolver listens, on the node's loopback device; labelled as kube-system/k8s-app=kube-dns. */
  readonly resolver4: Address;
  readonly resolver6: Address;
  /** ClusterIPs of Service kube-system/kube-dns. */
  readonly dns4: Address;
  readonly dns6: Address;
  /** Link-local next hop of every pod. */
  readonly gateway4: Address;
  readonly gateway6: Address;
}

export interface NodeLayout {
  readonly node: string;
  readonly netns: string; // name
  readonly netnsPath: string;
  readonly runDir: string;
  readonly bpffs: string;
  readonly stateDir: string;
  readonly podsDir: string; // logs, resolv.conf, per pod
  readonly agentSocket: string; // node API (gRPC)
  readonly cniSocket: string;
  readonly proxySocket: string; // ProxyControl (gRPC)
  readonly cgroup: string; // cgroup v2 directory of everything the node starts
  readonly addresses: NodeAddresses;
}

/** Marks, tables and numbers inside the node's namespace. */
export const STEER_MARK = 0x200;
export const PROXY_MARK = 0xb00;
export const STEER_TABLE = 100;
export const CLUSTER_DOMAIN = 'cluster.local';
export const METRICS_PORT = 9962;
/** Worker slot n serves its metrics on this port + n, on the node's loopback. */
export const PROXY_METRICS_PORT = 9970;

/** The layout of node `node`. `cgroupRoot` is where cgroup v2 is mounted. */
export function nodeLayout(node: string, cgroupRoot: string): NodeLayout {
  const runDir = `/run/weir/${node}`;
  const netns = `weir-${node}`;
  return {
    node,
    netns,
    netnsPath: `/run/netns/${netns}`,
    runDir,
    bpffs: `${runDir}/bpf`,
    stateDir: `${runDir}/state`,
    podsDir: `${runDir}/pods`,
    agentSocket: `${runDir}/agent.sock`,
    cniSocket: `${runDir}/cni.sock`,
    proxySocket: `${runDir}/proxy.sock`,
    cgroup: `${cgroupRoot}/weir-${node}`,
    addresses: {
      podCidr4: cidr('10.244.0.0/24'),
      podCidr6: cidr('fd00:10:244::/112'),
      serviceCidr4: cidr('10.96.0.0/16'),
      serviceCidr6: cidr('fd00:10:96::/112'),
      node4: address('10.244.0.1'),
      node6: address('fd00:10:244::1'),
      resolver4: address('10.244.0.2'),
      resolver6: address('fd00:10:244::2'),
      dns4: address('10.96.0.10'),
      dns6: address('fd00:10:96::a'),
      gateway4: address('169.254.1.1'),
      gateway6: address('fe80::1'),
    },
  };
}

/** Where node `node`'s supervisor holds its lock; outside the run directory, which goes away under it. */
export function lockPath(node: string): string {
  return `/run/weir/${node}.lock`;
}

/** Name of a pod's network namespace. "_" is in no Kubernetes or node name: it cannot be another pod's or node's. */
export function podNetns(layout: NodeLayout, pod: { readonly namespace: string; readonly name: string }): string {
  return `${layout.netns}_${pod.namespace}_${pod.name}`;
}

/** Name of a pod's directory in podsDir and of its cgroup below `cgroup`/pods. */
export function podDirName(pod: { readonly namespace: string; readonly name: string }): string {
  return `${pod.namespace}_${pod.name}`;
}

function cidr(text: string): Cidr {
  const parsed = parseCidr(text);
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.value;
}
