// Forgets the connections of pods that are gone, while other things go on. Whoever gets one of their addresses has to
// wait: it must not inherit what was decided for them.

import type { Address } from '#common/ip.ts';
import type { Conntrack } from './conntrack.ts';

export interface Purges {
  /** The connections of these addresses are to be forgotten. */
  note(addresses: readonly Address[]): void;
  /** Begins with those that were noted. */
  begin(): void;
  /** Resolves when none of `addresses` has connections of a pod that is gone. Rejects if they cannot be deleted. */
  settled(addresses: Iterable<Address>): Promise<void>;
}

/** Nothing to forget. */
export function createPurges(conntrack: Pick<Conntrack, 'purge'>): Purges {
  const noted = new Set<Address>();
  let current: readonly Address[] = [];
  let last: Promise<void> = Promise.resolve();
  const purge = async (): Promise<void> => {
    while (noted.size > 0) {
      current = [...noted];
      noted.clear();
      try {
        await conntrack.purge(current);
      } catch (error) {
        for (const address of current) noted.add(address);
        throw error;
      } finally {
        current = [];
      }
    }
  };
  const run = (): Promise<void> => {
    if (current.length > 0) return last;
    last = purge();
    last.catch(() => undefined); // whoever needs an address begins again, and hears of it
    return last;
  };
  return {
    note(addresses) {
      for (const address of addresses) noted.add(address);
    },
    begin() {
      if (noted.size > 0) void run();
    },
    async settled(addresses) {
      for (const address of addresses) {
        if (noted.has(address) || current.includes(address)) return await run();
      }
    },
  };
}
