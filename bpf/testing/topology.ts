// A node and its pods as network namespaces, joined as the agent joins them, for tests of the kernel programs.

import { execFileSync, type SpawnOptions, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { ifindex as brandIfindex, type Ifindex } from '#common/ids.ts';
import { type Address, address } from '#common/ip.ts';
import { CLONE, callError, setns } from '#common/native/libc.ts';
import type { Endpoint } from '../abi.ts';
import { type AttachMode, type Datapath, type DatapathOptions, openDatapath } from '../loader.ts';
import { writePeer } from './policy.ts';

export const STEER_MARK = 0x200;
export const PROXY_MARK = 0xb00;
export const GATEWAY4 = '169.254.1.1';
export const GATEWAY6 = 'fe80::1';
const STEER_TABLE = 100;

export interface PodSpec {
  readonly name: string;
  readonly ip4: string;
  readonly ip6: string;
  readonly identity: number;
}
export interface Pod extends PodSpec {
  readonly netns: string;
  readonly device: string; // host side
  readonly ifindex: Ifindex;
  readonly podMac: string;
  readonly hostMac: string;
  /** As the agent would write it to the maps. */
  readonly endpoint: Endpoint;
  readonly address4: Address;
  readonly address6: Address;
}
export interface Topology extends Disposable {
  readonly netns: string;
  readonly bpffs: string;
  readonly cgroup: string;
  readonly datapath: Datapath;
  readonly pods: Readonly<Record<string, Pod>>;
  /** Writes or removes the maps' entries of a pod: endpoint, its addresses and their identity. */
  publish(pod: Pod): void;
  withdraw(pod: Pod): void;
  /** Runs a command in a pod's (or, without one, the node's) namespace and cgroup. */
  start(pod: Pod | undefined, command: readonly string[], options?: SpawnOptions): ReturnType<typeof spawn>;
}

/** Runs a command and returns its output; throws with its error text. */
export function sh(command: string, input?: string): string {
  return execFileSync('/bin/sh', ['-ec', command], {
    encoding: 'utf8',
    ...(input === undefined ? {} : { input }),
    stdio: ['pipe', 'pipe', 'pipe'],
  });
}

/** Moves the calling thread (and what it spawns) into the namespace at `path`; returns the way back. */
export function enterNetns(path: string): () => void {
  const home = openSync('/proc/thread-self/ns/net', 'r');
  const enter = (fd: number): void => {
    if (setns(fd, CLONE.NEWNET) !== 0) throw callError(`enter network namespace ${path}`);
    closeSync(fd);
  };
  enter(openSync(path, 'r'));
  return () => enter(home);
}

function cgroupRoot(): string {
  const line = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .find((text) => text.split(' ')[2] === 'cgroup2');
  if (line === undefined) throw new Error('Cannot find cgroup v2: it is not mounted');
  return line.split(' ')[1] ?? '';
}

/**
 * Builds node and pods, loads the programs into a bpffs of their own and attaches them. The calling thread is in the node's
 * namespace from here to dispose. `attach: false` leaves plain routing.
 */
export function createTopology(options: {
  readonly name: string;
  readonly pods: readonly PodSpec[];
  readonly attach?: AttachMode | 'auto' | false;
  readonly sizes?: DatapathOptions['sizes'];
}): Topology {
  const netns = `weir-${options.name}${process.pid}`;
  const bpffs = `/tmp/${netns}-bpf`;
  const cgroup = `${cgroupRoot()}/${netns}`;
  const undo: (() => void)[] = [];
  const dispose = (): void => {
    for (let step = undo.pop(); step; step = undo.pop()) {
      try {
        step();
      } catch (error) {
        console.error(`cleanup: ${error}`);
      }
    }
  };
  try {
    sh(`ip netns add ${netns}`);
    undo.push(() => void sh(`ip netns del ${netns}`));
    undo.push(enterNetns(`/run/netns/${netns}`));
    configureNode();
    mkdirSync(bpffs, { recursive: true });
    undo.push(() => rmdirSync(bpffs));
    sh(`mount -t bpf weir ${bpffs}`);
    undo.push(() => void sh(`umount ${bpffs}`));
    mkdirSync(cgroup);
    undo.push(() => removeCgroup(cgroup));
    const mode = options.attach ?? 'auto';
    const { sizes = {} } = options;
    const datapath = openDatapath({ bpffs, attachMode: mode === false ? 'auto' : mode, sizes });
    undo.push(() => datapath.close());
    const pods = options.pods.map((spec, i) => {
      undo.push(() => void sh(`ip netns del ${netns}-${spec.name} 2>/dev/null || true`));
      return createPod(netns, spec, i);
    });
    const topology = {
      netns,
      bpffs,
      cgroup,
      datapath,
      pods: Object.fromEntries(pods.map((pod) => [pod.name, pod])),
      publish: (pod: Pod) => publish(datapath, pod),
      withdraw: (pod: Pod) => withdraw(datapath, pod),
      start: (pod: Pod | undefined, command: readonly string[], spawnOptions: SpawnOptions = {}) =>
        startIn({ netns: pod?.netns ?? netns, cgroup, command, spawnOptions }),
      [Symbol.dispose]: dispose,
    };
    for (const pod of pods) {
      if (mode !== false) datapath.attachInterface(pod.device, pod.ifindex);
      publish(datapath, pod);
    }
    datapath.maps.node_config.set(0, {
      revision: 1,
      workerSlots: 1,
      proxyMark: PROXY_MARK,
      steerMark: STEER_MARK,
      dropEventsPerSecond: 100_000, // no test may depend on how much the one before it dropped
      flags: 1,
    });
    return topology;
  } catch (error) {
    dispose();
    throw error;
  }
}

function configureNode(): void {
  const sysctls = [
    'net/ipv4/ip_forward=1',
    'net/ipv6/conf/all/forwarding=1',
    'net/ipv4/conf/all/rp_filter=0',
    'net/ipv4/conf/default/rp_filter=0',
    'net/ipv4/tcp_max_tw_buckets=0',
    'net/ipv4/fwmark_reflect=1',
    'net/ipv6/fwmark_reflect=1',
  ];
  for (const setting of sysctls) {
    const [path, value] = setting.split('=') as [string, string];
    writeFileSync(`/proc/sys/${path}`, value);
  }
  sh('ip link set lo up');
  for (const family of ['-4', '-6']) {
    sh(`ip ${family} rule add fwmark ${STEER_MARK} lookup ${STEER_TABLE}`);
    sh(`ip ${family} route add local default dev lo table ${STEER_TABLE}`);
  }
}

function createPod(node: string, spec: PodSpec, index: number): Pod {
  const netns = `${node}-${spec.name}`;
  const device = `lxc${spec.name}`;
  const mac = (side: number): string => `02:00:00:00:0${side}:${(index + 1).toString(16).padStart(2, '0')}`;
  const podMac = mac(1);
  const hostMac = mac(2);
  sh(`
    ip netns add ${netns}
    ip link add ${device} address ${hostMac} type veth peer name eth0 netns ${netns} address ${podMac}
    ip addr add ${GATEWAY4}/32 dev ${device} scope link
    ip addr add ${GATEWAY6}/64 dev ${device} nodad
    ip link set ${device} up
    ip -n ${netns} link set lo up
    ip -n ${netns} addr add ${spec.ip4}/32 dev eth0
    ip -n ${netns} addr add ${spec.ip6}/128 dev eth0 nodad
    ip -n ${netns} link set eth0 up
    ip -n ${netns} route add ${GATEWAY4} dev eth0 scope link
    ip -n ${netns} route add default via ${GATEWAY4} dev eth0
    ip -n ${netns} route add default via ${GATEWAY6} dev eth0
    ip route add ${spec.ip4}/32 dev ${device}
    ip route add ${spec.ip6}/128 dev ${device}
    ip neigh replace ${spec.ip4} lladdr ${podMac} dev ${device} nud permanent
    ip neigh replace ${spec.ip6} lladdr ${podMac} dev ${device} nud permanent
  `);
  const ifindex = brandIfindex(Number(JSON.parse(sh(`ip -j link show ${device}`))[0].ifindex));
  const address4 = address(spec.ip4);
  const address6 = address(spec.ip6);
  const endpoint = {
    ifindex,
    identity: spec.identity,
    id: index + 1,
    flags: 0,
    podMac: macBytes(podMac),
    hostMac: macBytes(hostMac),
    ip4: address4,
    ip6: address6,
  };
  return { ...spec, netns, device, ifindex, podMac, hostMac, endpoint, address4, address6 };
}

/** "02:00:..." as 6 bytes. */
export function macBytes(text: string): Uint8Array {
  return Uint8Array.from(text.split(':'), (part) => Number.parseInt(part, 16));
}

function publish({ maps }: Datapath, pod: Pod): void {
  for (const ip of [pod.address4, pod.address6]) {
    maps.identities.set({ prefixlen: 128, ip }, { identity: pod.identity, flags: 2 });
    maps.endpoint_addrs.set(ip, pod.endpoint);
  }
  maps.endpoints.set(pod.ifindex, pod.endpoint);
  writePeer(maps, pod.identity);
}

function withdraw({ maps }: Datapath, pod: Pod): void {
  maps.endpoints.delete(pod.ifindex);
  for (const ip of [pod.address4, pod.address6]) maps.endpoint_addrs.delete(ip);
}

function startIn(options: {
  readonly netns: string;
  readonly cgroup: string;
  readonly command: readonly string[];
  readonly spawnOptions: SpawnOptions;
}): ReturnType<typeof spawn> {
  const { netns, cgroup, command, spawnOptions } = options;
  const script = `echo $$ > ${cgroup}/cgroup.procs; exec nsenter --net=/run/netns/${netns} "$@"`;
  return spawn('/bin/sh', ['-c', script, 'sh', ...command], { stdio: ['pipe', 'pipe', 'pipe'], ...spawnOptions });
}

function removeCgroup(path: string): void {
  const members = readFileSync(`${path}/cgroup.procs`, 'utf8').split('\n').filter(Boolean);
  for (const pid of members) process.kill(Number(pid), 'SIGKILL');
  for (let attempt = 0; ; attempt++) {
    try {
      rmdirSync(path);
      return;
    } catch (error) {
      if (attempt >= 50) throw error;
      sh('sleep 0.05'); // the kernel lets go of the dead in its own time
    }
  }
}
