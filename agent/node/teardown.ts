// Takes a node away, whatever state it is in, and says what is left of one.

import { existsSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { lockPath, type NodeLayout } from '../layout.ts';
import { isBpffs, unmountBpffs } from './bpffs.ts';
import { cgroupProcesses, removeCgroup } from './cgroup.ts';
import { ip } from './ip.ts';
import { isNetns, listNetns, NETNS_DIR } from './netns.ts';

/**
 * Removes everything that `layout` names: processes and cgroups, namespaces with their links, routes and rules, pins,
 * the bpffs, the run directory. Nothing there is fine. Every part is tried; throws one error that names what stayed.
 */
export async function tearDown(layout: NodeLayout): Promise<void> {
  const problems: string[] = [];
  const attempt = async (run: () => void | Promise<void>): Promise<void> => {
    try {
      await run();
    } catch (error) {
      problems.push((error as Error).message);
    }
  };
  // Processes first: they hold everything else, and could make it anew.
  await attempt(() => removeCgroup(layout.cgroup));
  await attempt(() => unmountBpffs(layout.bpffs));
  await attempt(() => removeNetns(netnsOf(layout)));
  await attempt(() => {
    // Never through a mount: what is mounted there is not the node's to remove.
    if (!isBpffs(layout.bpffs)) rmSync(layout.runDir, { recursive: true, force: true });
  });
  await attempt(() => removeIfEmpty(dirname(layout.runDir)));
  if (problems.length > 0) throw new Error(`Cannot take down node "${layout.node}":\n  ${problems.join('\n  ')}`);
}

/** Removes namespaces by name; also what a crash left of one. */
export async function removeNetns(names: readonly string[]): Promise<void> {
  const [whole, broken] = [names.filter(isWhole), names.filter((name) => !isWhole(name))];
  for (const name of broken) rmSync(join(NETNS_DIR, name), { force: true });
  await ip(
    whole.map((name) => `netns del ${name}`),
    { force: true },
  );
  const left = whole.filter((name) => existsSync(join(NETNS_DIR, name)));
  if (left.length > 0) throw new Error(`Cannot remove network namespace: ${left.join(', ')} still in ${NETNS_DIR}`);
}

/** What exists of the node, one line each ("netns weir-node0"); empty after a tear-down. For tests and `weir down`. */
export function listLeftovers(layout: NodeLayout): string[] {
  return [
    ...cgroupProcesses(layout.cgroup).map((pid) => `process ${pid}`),
    ...(existsSync(layout.cgroup) ? [`cgroup ${layout.cgroup}`] : []),
    ...(isBpffs(layout.bpffs) ? [`mount ${layout.bpffs}`] : []),
    ...netnsOf(layout).map((name) => `netns ${name}`),
    ...(existsSync(layout.runDir) ? [`directory ${layout.runDir}`] : []),
    ...(existsSync(lockPath(layout.node)) ? [`lock ${lockPath(layout.node)}`] : []),
  ];
}

function netnsOf(layout: NodeLayout): string[] {
  return listNetns((name) => name === layout.netns || name.startsWith(`${layout.netns}_`));
}

function isWhole(name: string): boolean {
  return isNetns(join(NETNS_DIR, name));
}

function removeIfEmpty(dir: string): void {
  if (existsSync(dir) && readdirSync(dir).length === 0) rmdirSync(dir);
}
