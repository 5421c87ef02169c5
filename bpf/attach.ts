// Attaches the pinned programs to interfaces and to a cgroup, and replaces them there without a gap.
//
// tcx where the kernel has it (6.6 and later): one pinned link for each hook. Else clsact: a tc filter, replaced in place.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, statSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Ifindex } from '#common/ids.ts';
import { type BpfError, linkCreate, linkInfo, linkUpdate, openPinned, pin } from '#common/native/libbpf.ts';
import { close, OPEN, open } from '#common/native/libc.ts';

export type AttachMode = 'tcx' | 'clsact';

/** What an interface leads to: a pod, or the outside of the node. */
export type InterfaceKind = 'pod' | 'network';

interface InterfaceProgram {
  readonly name: string;
  readonly hook: 'ingress' | 'egress';
  readonly attachType: number;
}

/** Programs of an interface: hook for tc, attach type for tcx (linux/bpf.h; older headers lack it). */
const INTERFACE_PROGRAMS: Readonly<Record<InterfaceKind, readonly InterfaceProgram[]>> = {
  pod: [
    { name: 'from_pod', hook: 'ingress', attachType: 46 },
    { name: 'to_pod', hook: 'egress', attachType: 47 },
  ],
  network: [
    { name: 'from_network', hook: 'ingress', attachType: 46 },
    { name: 'to_network', hook: 'egress', attachType: 47 },
  ],
};
/** Programs of the cgroup and their attach types (enum bpf_attach_type). */
const CGROUP_PROGRAMS = [
  { name: 'connect4', attachType: 10 },
  { name: 'connect6', attachType: 11 },
  { name: 'sendmsg4', attachType: 14 },
  { name: 'sendmsg6', attachType: 15 },
  { name: 'recvmsg4', attachType: 19 },
  { name: 'recvmsg6', attachType: 20 },
  { name: 'getpeername4', attachType: 29 },
  { name: 'getpeername6', attachType: 30 },
] as const;
const FILTER = ['pref', '1', 'handle', '1', 'bpf', 'direct-action'];

/** Places below the node's bpffs. */
export interface Pins {
  readonly programs: string;
  readonly interfaces: string;
  readonly cgroup: string;
}

export interface Device {
  readonly name: string;
  readonly ifindex: Ifindex;
  readonly kind: InterfaceKind;
}

/** Attaches to `device` in the mode wanted; "auto" takes tcx if the kernel knows it. Returns the mode used. */
export function attachInterface(pins: Pins, device: Device, mode: AttachMode | 'auto'): AttachMode {
  if (mode !== 'clsact') {
    try {
      attachTcx(pins, device);
      removeClsact(device);
      return 'tcx';
    } catch (error) {
      // A kernel without tcx does not know the attach type.
      if (mode === 'tcx' || (error as BpfError).code !== 'EINVAL') throw error;
    }
  }
  attachClsact(pins, device);
  removeLinks(join(pins.interfaces, device.name));
  return 'clsact';
}

/** Detaches from the interface, whether it still exists or not. */
export function detachInterface(pins: Pins, device: Pick<Device, 'name' | 'kind'>): void {
  removeLinks(join(pins.interfaces, device.name));
  removeClsact(device);
}

/** Attaches the service programs to the cgroup at `path`. */
export function attachCgroup(pins: Pins, path: string): void {
  mkdirSync(pins.cgroup, { recursive: true });
  const id = statSync(path, { bigint: true }).ino;
  const target = open(path, OPEN.RDONLY | OPEN.CLOEXEC, 0);
  if (target < 0) throw new Error(`Cannot attach to cgroup ${path}: it cannot be opened`);
  try {
    for (const { name, attachType } of CGROUP_PROGRAMS) {
      ensureLink({
        program: join(pins.programs, name),
        link: join(pins.cgroup, name),
        target,
        attachType,
        isTarget: (link) => linkInfo(link).cgroupId === id,
      });
    }
  } finally {
    close(target);
  }
}

/** Detaches the service programs from whatever cgroup they are attached to. */
export function detachCgroup(pins: Pins): void {
  removeLinks(pins.cgroup);
}

/** Puts the programs that are pinned now behind every link and filter that exists. */
export function refreshLinks(pins: Pins): void {
  for (const directory of [pins.cgroup, ...list(pins.interfaces).map((name) => join(pins.interfaces, name))]) {
    for (const name of list(directory)) {
      withPinned(join(pins.programs, name), (program) =>
        withPinned(join(directory, name), (link) => {
          try {
            linkUpdate(link, program);
          } catch (error) {
            // A link whose interface or cgroup is gone takes no program, and needs none.
            if ((error as BpfError).code !== 'ENOLINK') throw error;
          }
        }),
      );
    }
  }
}

/** Names of the interfaces that have links, attached now or once. */
export function attachedInterfaces(pins: Pins): string[] {
  return list(pins.interfaces);
}

function attachTcx(pins: Pins, device: Device): void {
  const directory = join(pins.interfaces, device.name);
  mkdirSync(directory, { recursive: true });
  const before = list(directory);
  try {
    for (const { name, attachType } of INTERFACE_PROGRAMS[device.kind]) {
      ensureLink({
        program: join(pins.programs, name),
        link: join(directory, name),
        target: device.ifindex,
        attachType,
        isTarget: (link) => linkInfo(link).ifindex === device.ifindex,
      });
    }
  } catch (error) {
    // Half attached would be half policed; but what polices already goes on.
    for (const name of list(directory)) if (!before.includes(name)) unlinkSync(join(directory, name));
    if (before.length === 0) rmdirSync(directory);
    throw error;
  }
}

function ensureLink(options: {
  readonly program: string;
  readonly link: string;
  readonly target: number;
  readonly attachType: number;
  readonly isTarget: (link: number) => boolean;
}): void {
  withPinned(options.program, (program) => {
    const existing = openPinned(options.link);
    if (existing !== undefined) {
      try {
        if (options.isTarget(existing)) return linkUpdate(existing, program);
      } finally {
        close(existing);
      }
      unlinkSync(options.link); // of an interface or cgroup that had the name before
    }
    const created = linkCreate(program, options.target, options.attachType);
    try {
      pin(created, options.link);
    } finally {
      close(created);
    }
  });
}

function withPinned(path: string, use: (fd: number) => void): void {
  const fd = openPinned(path);
  if (fd === undefined) throw new Error(`Cannot use ${path}: nothing is pinned there`);
  try {
    use(fd);
  } finally {
    close(fd);
  }
}

function attachClsact(pins: Pins, { name, kind }: Device): void {
  // One that is there stays, with the filters of others in it.
  if (tc(['qdisc', 'show', 'dev', name, 'clsact']).trim() === '') tc(['qdisc', 'add', 'dev', name, 'clsact']);
  for (const program of INTERFACE_PROGRAMS[kind]) {
    const pinned = ['object-pinned', join(pins.programs, program.name)];
    tc(['filter', 'replace', 'dev', name, program.hook, ...FILTER, ...pinned]);
  }
}

// A pod's interface is Weir's alone. At others, only what is Weir's goes, and the qdisc if nothing else is in it.
function removeClsact({ name, kind }: Pick<Device, 'name' | 'kind'>): void {
  try {
    if (tc(['qdisc', 'show', 'dev', name, 'clsact']).trim() === '') return;
    const filters = (hook: string): string => tc(['filter', 'show', 'dev', name, hook]);
    for (const program of kind === 'pod' ? [] : INTERFACE_PROGRAMS[kind]) {
      if (!filters(program.hook).includes(` ${program.name} `)) continue;
      tc(['filter', 'del', 'dev', name, program.hook, 'pref', '1']);
    }
    if (kind === 'pod' || (filters('ingress') + filters('egress')).trim() === '') {
      tc(['qdisc', 'del', 'dev', name, 'clsact']);
    }
  } catch (error) {
    if (hasInterface(name)) throw error; // else it went with its interface
  }
}

/** In the current network namespace: what /sys shows is that of whoever mounted it. */
function hasInterface(name: string): boolean {
  const lines = readFileSync('/proc/thread-self/net/dev', 'utf8').split('\n');
  return lines.some((line) => line.trimStart().startsWith(`${name}:`));
}

function tc(args: readonly string[]): string {
  try {
    return execFileSync('tc', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (cause) {
    const { stderr } = cause as { stderr?: string };
    throw new Error(`Cannot run tc ${args.join(' ')}: ${stderr?.trim() || String(cause)}`, { cause });
  }
}

function removeLinks(directory: string): void {
  if (!existsSync(directory)) return;
  for (const name of list(directory)) unlinkSync(join(directory, name));
  rmdirSync(directory);
}

function list(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}
