// Everything with Weir's prefix that exists on this machine: network namespaces, cgroups, mounts.

import { readdir, readFile } from 'node:fs/promises';

/** Names of what is there now. The suite compares before and after. */
export async function findLeftovers(): Promise<string[]> {
  const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n').map((line) => line.split(' '));
  const cgroup = mounts.find(([, , type]) => type === 'cgroup2')?.[1];
  const [namespaces, cgroups] = await Promise.all([entries('/run/netns'), cgroup ? entries(cgroup) : []]);
  return [
    ...namespaces.map((name) => `network namespace ${name}`),
    ...cgroups.map((name) => `cgroup ${name}`),
    ...mounts.filter(([, path]) => path?.startsWith('/run/weir/')).map(([, path]) => `mount ${path}`),
  ];
}

async function entries(directory: string): Promise<string[]> {
  const names = await readdir(directory).catch(() => []); // not there: nothing in it
  return names.filter((name) => name.startsWith('weir-'));
}
