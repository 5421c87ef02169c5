// What the agent follows of the node itself: its devices to the outside, and the servers that it asks for names.

import type { Address } from '#common/ip.ts';
import { createTable, type ReadonlyTable } from '#common/table.ts';
import { watchNameServers } from './name-servers.ts';
import { type DeviceWatchOptions, watchDevices } from './watch-devices.ts';

export interface NodeWatch {
  /** Key: the address as text. */
  readonly nameServers: ReadonlyTable<Address>;
  /** What keeps the node's own policy from being as it should, for people; undefined: nothing. */
  problem(): string | undefined;
  close(): Promise<void>;
}

/** Follows the node in the namespace that `layout` names. Resolves when its devices have been attached to once. */
export async function watchNode(
  layout: { readonly netns: string; readonly netnsPath: string },
  options: Omit<DeviceWatchOptions, 'netns'>,
): Promise<NodeWatch> {
  const devices = await watchDevices({ ...options, netns: layout.netnsPath });
  const nameServers = createTable<Address>('name servers');
  const file = watchNameServers(layout.netns, nameServers);
  return {
    nameServers,
    problem() {
      const problems = [devices.problem(), file.problem()].filter((problem) => problem !== undefined);
      return problems.length === 0 ? undefined : problems.join('; ');
    },
    async close() {
      file.close();
      await devices.close();
    },
  };
}
