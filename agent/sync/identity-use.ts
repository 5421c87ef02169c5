// Which identities some address has: by the map now, and by the rows that are wanted.

import type { IdentityKey, IdentityValue } from '#bpf/abi.ts';
import { type Identity, RESERVED } from '#common/ids.ts';
import type { ReadonlyTable } from '#common/table.ts';
import type { AddressRow } from '../tables.ts';
import type { MirroredMap } from './map.ts';

export interface IdentityUse {
  /** No address has the identity now. */
  isFresh(identity: Identity): boolean;
  /** No address shall have it. */
  isLeaving(identity: Identity): boolean;
  stop(): void;
}

/** Identities that packets have without any row: the host's own sockets, and who is in no row. */
const ALWAYS: ReadonlySet<number> = new Set([RESERVED.host, RESERVED.worldIpv4, RESERVED.worldIpv6]);

/** Counts the rows of each identity in `table` and in `map`, whose `onWrite` it takes. */
export function createIdentityUse(
  table: ReadonlyTable<AddressRow>,
  map: MirroredMap<IdentityKey, IdentityValue>,
): IdentityUse {
  const wanted = createCounts();
  const actual = createCounts();
  for (const row of table.values()) wanted.add(row.identity, 1);
  for (const [, value] of map.entries()) actual.add(value.identity, 1);
  const stop = table.subscribe(({ before, after }) => {
    if (before) wanted.add(before.identity, -1);
    if (after) wanted.add(after.identity, 1);
  });
  map.onWrite = (before, after) => {
    if (before) actual.add(before.identity, -1);
    if (after) actual.add(after.identity, 1);
  };
  return {
    isFresh: (identity) => !ALWAYS.has(identity) && !actual.has(identity),
    isLeaving: (identity) => !ALWAYS.has(identity) && !wanted.has(identity),
    stop,
  };
}

function createCounts(): { add(identity: number, by: number): void; has(identity: number): boolean } {
  const counts = new Map<number, number>();
  return {
    add(identity, by) {
      const count = (counts.get(identity) ?? 0) + by;
      if (count > 0) counts.set(identity, count);
      else counts.delete(identity);
    },
    has: (identity) => counts.has(identity),
  };
}
