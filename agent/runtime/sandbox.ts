// A pod's sandbox: directory, network namespace joined by CNI, cgroup, and the files that its containers see in /etc.

import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { CniResult } from '../cni/result.ts';
import { type NodeLayout, podDirName, podNetns } from '../layout.ts';
import { ensureCgroup, removeCgroup } from '../node/cgroup.ts';
import { isNetns } from '../node/netns.ts';
import type { ProcessId } from '../node/process.ts';
import { ensureNetns } from '../node/setup.ts';
import { readState, writeState } from '../node/state-file.ts';
import { removeNetns } from '../node/teardown.ts';
import { callCni, type Sandbox } from './cni-client.ts';
import type { Exit } from './launch.ts';

export interface PodName {
  readonly namespace: string;
  readonly name: string;
}

/** What a pod's state file holds. It is written before anything else is made of the pod, and removed last. */
export interface PodState extends PodName {
  /** hashOf() the spec that its containers were started from. */
  readonly specHash: string;
  readonly sandbox: Sandbox;
  /** What CNI ADD answered; undefined until it has. */
  readonly result: CniResult | undefined;
  /** By container name. */
  readonly containers: Readonly<Record<string, ContainerRecord>>;
}

/** What is to be known of a container after an agent restart. */
export interface ContainerRecord {
  readonly restarts: number;
  /** undefined: it does not run. `pid`: first process inside; 0 until the command is executed. */
  readonly run: { readonly shim: ProcessId; readonly pid: number } | undefined;
  readonly last: Exit | undefined;
  /** It has ended for good. */
  readonly isFinal: boolean;
}

/** Where everything of one pod is. */
export interface PodPaths {
  readonly dir: string;
  readonly cgroup: string;
  readonly resolvConf: string;
  readonly logFile: (container: string) => string;
  readonly exitFile: (container: string) => string;
  readonly stateFile: string;
}

/** The machine's name caches would answer for the pod with the machine's own view, past the mesh's resolver. */
const HIDDEN = ['/run/weir', '/run/netns', '/run/nscd', '/var/run/nscd'];
const NSSWITCH = '/etc/nsswitch.conf';
/** Longer ones are cut, as kubelet does: Linux takes 64. */
const MAX_HOSTNAME = 63;

/** The paths of `pod`; nothing need exist. */
export function podPaths(layout: NodeLayout, pod: PodName): PodPaths {
  const dir = join(layout.podsDir, podDirName(pod));
  return {
    dir,
    cgroup: join(layout.cgroup, 'pods', podDirName(pod)),
    resolvConf: join(dir, 'resolv.conf'),
    logFile: (container) => join(dir, `${container}.log`),
    exitFile: (container) => join(dir, `${container}.exit`),
    stateFile: join(dir, 'pod.json'),
  };
}

/** Makes the sandbox of a pod that has none: namespace, CNI ADD, files. Throws; the state file then says what to remove. */
export async function makeSandbox(layout: NodeLayout, pod: PodName, specHash: string): Promise<PodState> {
  const paths = podPaths(layout, pod);
  mkdirSync(paths.dir, { recursive: true, mode: 0o700 });
  const sandbox = {
    containerId: randomBytes(16).toString('hex'),
    netns: `/run/netns/${podNetns(layout, pod)}`,
    namespace: pod.namespace,
    pod: pod.name,
  };
  const { namespace, name } = pod;
  const state: PodState = { namespace, name, specHash, sandbox, result: undefined, containers: {} };
  writeState(paths.stateFile, state);
  ensureCgroup(paths.cgroup);
  await ensureNetns(sandbox.netns);
  const added = await callCni(layout, 'ADD', { sandbox });
  if (!added.ok) throw new Error(`${added.error.msg}${added.error.details ? ` (${added.error.details})` : ''}`);
  if (!added.value) throw new Error(`Cannot join pod "${namespace}/${name}": the plugin gave no result`);
  writeFiles(paths, pod, added.value);
  const done = { ...state, result: added.value };
  writeState(paths.stateFile, done);
  return done;
}

/** Kills what is left of the pod's processes and removes everything of it. Can be repeated. Throws if CNI DEL fails. */
export async function removeSandbox(layout: NodeLayout, state: PodState): Promise<void> {
  const paths = podPaths(layout, state);
  await removeCgroup(paths.cgroup);
  const deleted = await callCni(layout, 'DEL', { sandbox: state.sandbox, previous: state.result });
  if (!deleted.ok) throw new Error(deleted.error.msg);
  await removeNetns(existsSync(state.sandbox.netns) ? [basename(state.sandbox.netns)] : []);
  rmSync(paths.dir, { recursive: true, force: true });
}

/** The pods that an earlier agent made. What has no readable state is removed: nothing was made of it yet. */
export async function findPods(layout: NodeLayout): Promise<PodState[]> {
  const found: PodState[] = [];
  for (const name of readdirSync(layout.podsDir)) {
    const state = readState<PodState>(join(layout.podsDir, name, 'pod.json'));
    if (state && podDirName(state) === name) found.push(state);
    else rmSync(join(layout.podsDir, name), { recursive: true, force: true });
  }
  const known = new Set(found.map(podDirName));
  const cgroups = join(layout.cgroup, 'pods');
  const strays = readdirSync(cgroups, { withFileTypes: true }).filter((d) => d.isDirectory() && !known.has(d.name));
  for (const { name } of strays) await removeCgroup(join(cgroups, name));
  return found;
}

/** Whether the pod's network is still there; its processes may have ended. */
export function isWhole(state: PodState): boolean {
  return state.result !== undefined && isNetns(state.sandbox.netns);
}

/** Host name of a pod. */
export function hostnameOf(pod: PodName): string {
  return pod.name.slice(0, MAX_HOSTNAME).replace(/-+$/, '');
}

/** What weir-run mounts over the machine's files, and what it hides. */
export function containerMounts(paths: PodPaths): { mounts: string[]; hidden: string[] } {
  const files = ['resolv.conf', 'hosts', 'hostname', 'nsswitch.conf'];
  return {
    mounts: files
      .filter((name) => existsSync(join(paths.dir, name)) && (name === 'resolv.conf' || existsSync(`/etc/${name}`)))
      .map((name) => `${join(paths.dir, name)}:/etc/${name}`),
    hidden: HIDDEN.filter((dir) => existsSync(dir)),
  };
}

function writeFiles(paths: PodPaths, pod: PodName, { dns, ips }: CniResult): void {
  const write = (name: string, lines: readonly string[]): void =>
    writeFileSync(join(paths.dir, name), `${lines.join('\n')}\n`, { mode: 0o644 });
  write('resolv.conf', [
    ...dns.nameservers.map((server) => `nameserver ${server}`),
    `search ${dns.search.join(' ')}`,
    `options ${dns.options.join(' ')}`,
  ]);
  const hostname = hostnameOf(pod);
  write('hosts', [
    '127.0.0.1 localhost',
    '::1 localhost ip6-localhost ip6-loopback',
    ...ips.map(({ address }) => `${address.replace(/\/.*/, '')} ${hostname}`),
  ]);
  write('hostname', [hostname]);
  if (existsSync(NSSWITCH)) {
    const machine = readFileSync(NSSWITCH, 'utf8').replace(/^\s*hosts:.*$/m, '');
    write('nsswitch.conf', [machine.trimEnd(), 'hosts: files dns']);
  }
}
