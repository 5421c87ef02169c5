// Kernel, mounts, namespaces and privileges. Namespaces are tried in a new one that ends with the process.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { endianness, release } from 'node:os';
import { type Finding, needed } from './finding.ts';

const OLDEST_KERNEL = '6.1';

/** Whether kernel release `release` ("6.18.44-x") is `oldest` ("6.1") or newer. */
export function isAtLeast(release: string, oldest: string): boolean {
  const [major = 0, minor = 0] = release.split(/[.-]/).map(Number);
  const [oldestMajor = 0, oldestMinor = 0] = oldest.split('.').map(Number);
  return major > oldestMajor || (major === oldestMajor && minor >= oldestMinor);
}

/** Version, machine and type information. */
export function kernelFindings(): Finding[] {
  return [
    needed('kernel', 'version', {
      isThere: isAtLeast(release(), OLDEST_KERNEL),
      detail: release(),
      remedy: `boot a kernel from ${OLDEST_KERNEL} on`,
    }),
    needed('kernel', 'machine', {
      isThere: endianness() === 'LE' && ['x64', 'arm64'].includes(process.arch),
      detail: process.arch,
      remedy: 'use an x86-64 or arm64 machine',
    }),
    needed('kernel', 'BTF', {
      isThere: existsSync('/sys/kernel/btf/vmlinux'),
      detail: '/sys/kernel/btf/vmlinux',
      remedy: 'boot a kernel with CONFIG_DEBUG_INFO_BTF=y',
    }),
  ];
}

/** Each line is one try, made as root in a mount and network namespace of its own. */
const TRIES: readonly { readonly name: string; readonly script: string; readonly remedy: string }[] = [
  {
    name: 'network namespaces',
    script: 'true',
    remedy: 'boot a kernel with CONFIG_NET_NS=y; in a container: run it privileged',
  },
  {
    name: 'veth pairs',
    script: 'ip link add weir0 type veth peer name weir1',
    remedy: 'boot a kernel with CONFIG_VETH',
  },
  { name: 'IPv6', script: 'ip -6 address add fd00::1/128 dev lo', remedy: 'boot without ipv6.disable=1' },
  {
    name: 'clsact',
    script: 'tc qdisc add dev lo clsact',
    remedy: 'boot a kernel with CONFIG_NET_SCH_INGRESS and CONFIG_NET_CLS_BPF',
  },
  {
    name: 'rules by mark',
    script: 'ip rule add fwmark 1 lookup 100 && ip -6 rule add fwmark 1 lookup 100',
    remedy: 'boot a kernel with CONFIG_IP_MULTIPLE_TABLES and CONFIG_IPV6_MULTIPLE_TABLES',
  },
  { name: 'sysctl', script: 'echo 1 >/proc/sys/net/ipv4/ip_forward', remedy: 'in a container: run it privileged' },
  {
    name: 'bpffs',
    script: 'mount -t bpf weir-check /mnt',
    remedy: 'boot a kernel with CONFIG_BPF_SYSCALL; in a container: run it privileged',
  },
];

/** cgroup v2 and what `TRIES` finds. */
export function systemFindings(options: { readonly isRoot: boolean }): Finding[] {
  const mount = readFileSync('/proc/mounts', 'utf8').match(/^\S+ (\S+) cgroup2 (\S+)/m);
  const cgroup = needed('system', 'cgroup v2', {
    isThere: mount?.[2]?.split(',').includes('rw') ?? false,
    detail: mount?.[1] ?? 'not mounted',
    remedy: 'mount it: mount -t cgroup2 none /sys/fs/cgroup/unified',
  });
  const tries = TRIES.map(({ name, script, remedy }) => {
    const failure = options.isRoot ? tryInNamespace(script) : undefined;
    return needed('system', name, {
      isThere: options.isRoot ? failure === '' : undefined,
      detail: failure ?? '',
      remedy,
    });
  });
  return [cgroup, ...tries];
}

/** '' if `script` works in new namespaces, else what it said. */
function tryInNamespace(script: string): string {
  try {
    execFileSync('unshare', ['--mount', '--net', 'sh', '-c', `set -e; ${script}`], { stdio: 'pipe', timeout: 5_000 });
    return '';
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: Buffer };
    return stderr?.toString().trim() || message;
  }
}

/** Bits of capability sets (linux/capability.h) and what each is for. */
const CAPABILITIES = [
  { name: 'CAP_SYS_ADMIN', bit: 21, why: 'namespaces and mounts' },
  { name: 'CAP_NET_ADMIN', bit: 12, why: 'links, routes and tc' },
  { name: 'CAP_NET_RAW', bit: 13, why: 'transparent sockets of the proxy' },
  { name: 'CAP_BPF', bit: 39, why: 'programs and maps' },
  { name: 'CAP_PERFMON', bit: 38, why: 'programs that read packets' },
  { name: 'CAP_SETUID', bit: 7, why: 'proxy workers without root' },
  { name: 'CAP_SETPCAP', bit: 8, why: 'proxy workers without capabilities' },
] as const;
const CAP_SYS_RESOURCE = 24;

/** Root and the capabilities that a container may have taken from it. */
export function privilegeFindings(options: { readonly isRoot: boolean }): Finding[] {
  const bounding = BigInt(`0x${readFileSync('/proc/self/status', 'utf8').match(/^CapBnd:\s*(\w+)/m)?.[1] ?? '0'}`);
  const has = (bit: number): boolean => ((bounding >> BigInt(bit)) & 1n) === 1n;
  const absent = CAPABILITIES.filter(({ bit }) => !has(bit)).map(({ name, why }) => `${name} (${why})`);
  const hasResource = has(CAP_SYS_RESOURCE);
  return [
    {
      area: 'privileges',
      name: 'root',
      state: options.isRoot ? 'ok' : 'remark',
      detail: options.isRoot ? '' : 'not root: `up`, `demo` and the whole suite need it',
      remedy: '',
    },
    needed('privileges', 'capabilities', {
      isThere: absent.length === 0,
      detail: absent.length > 0 ? `without ${absent.join(', ')}` : '',
      remedy: 'in a container: run it privileged',
    }),
    {
      area: 'privileges',
      name: 'CAP_SYS_RESOURCE',
      state: hasResource ? 'ok' : 'remark',
      detail: hasResource ? '' : 'not in the bounding set: limits are left as they are',
      remedy: '',
    },
  ];
}
