// What the agent does about a pod's interface: programs on it, and policy in the kernel before it is used.

import type { Datapath } from '#bpf/loader.ts';
import type { Reconciler } from '../reconcile.ts';
import type { Sync } from '../sync/sync.ts';
import type { CniHooks } from './plugin.ts';

/** Hooks over the parts of the agent. */
export function createCniHooks(parts: {
  readonly datapath: Pick<Datapath, 'attachInterface' | 'detachInterface'>;
  readonly reconciler: Pick<Reconciler, 'settled' | 'problem'>;
  readonly sync: Pick<Sync, 'pending'>;
}): CniHooks {
  const { datapath, reconciler, sync } = parts;
  return {
    attach: (name, index) => void datapath.attachInterface(name, index),
    detach: (name) => datapath.detachInterface(name),
    async ready(endpoint, signal) {
      await reconciler.settled(signal);
      const key = `${endpoint.namespace}/${endpoint.pod}`;
      if (sync.pending().endpoints.includes(key)) {
        throw new Error(`Cannot let pod "${key}" in: its policy is not in the kernel maps`);
      }
    },
    unavailable: () => reconciler.problem(),
  };
}
