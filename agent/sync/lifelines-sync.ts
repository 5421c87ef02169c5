// What the node may reach whatever its own policy says, into the map of lifelines: its API servers and its name servers.
// What is added is there before policy changes, what is taken away stays until it has.

import type { LifelineKey } from '#bpf/abi.ts';
import type { Address } from '#common/ip.ts';
import type { ReadonlyTable } from '#common/table.ts';
import { IP_PROTOCOL } from '../policy/l4.ts';
import type { AddressRow, IdentityRow } from '../tables.ts';
import type { MirroredMap } from './map.ts';

export interface LifelineSync {
  /** Writes the new ones. */
  extend(): void;
  /** Removes those that are gone. */
  shorten(): void;
  pending(): readonly string[];
  close(): void;
}

const API_SERVER = 'reserved:kube-apiserver';
const HOST = 'reserved:host';
const DNS_PORT = 53;

/**
 * Lifeline sync. API servers are the addresses whose identity is labelled as such: TCP, every port. Name servers: UDP and
 * TCP, port 53.
 */
export function createLifelineSync(
  tables: { readonly identities: ReadonlyTable<IdentityRow>; readonly addresses: ReadonlyTable<AddressRow> },
  map: MirroredMap<LifelineKey, number>,
  nameServers: ReadonlyTable<Address>,
): LifelineSync {
  let isDirty = true;
  const servers = new Set<number>(); // identities
  const note = (row: IdentityRow | undefined): void => {
    if (row?.labels.includes(API_SERVER) && !row.labels.includes(HOST)) servers.add(row.identity);
  };
  for (const row of tables.identities.values()) note(row);
  const stops = [
    tables.identities.subscribe(({ before, after }) => {
      const had = servers.size;
      if (before) servers.delete(before.identity);
      note(after);
      if (servers.size !== had || (after && servers.has(after.identity))) isDirty = true;
    }),
    tables.addresses.subscribe(({ before, after }) => {
      if ((before && servers.has(before.identity)) || (after && servers.has(after.identity))) isDirty = true;
    }),
    nameServers.subscribe(() => {
      isDirty = true;
    }),
  ];
  let left = new Map<string, LifelineKey>(); // wanted, and not in the map
  const wanted = (): Map<string, LifelineKey> => {
    const keys = [...nameServers.values()].flatMap((ip): LifelineKey[] => [
      { ip, port: DNS_PORT, protocol: IP_PROTOCOL.UDP },
      { ip, port: DNS_PORT, protocol: IP_PROTOCOL.TCP },
    ]);
    for (const { cidr, identity } of servers.size > 0 ? tables.addresses.values() : []) {
      if (cidr.bits === 128 && servers.has(identity))
        keys.push({ ip: cidr.address, port: 0, protocol: IP_PROTOCOL.TCP });
    }
    return new Map(keys.map((key) => [textOf(key), key]));
  };
  return {
    extend() {
      if (!isDirty && left.size === 0) return;
      left = wanted();
      for (const [text, key] of left) if (map.set(key, 1)) left.delete(text);
    },
    shorten() {
      if (!isDirty) return;
      const keep = wanted();
      const gone = [...map.entries()].filter(([key]) => !keep.has(textOf(key)));
      isDirty = gone.map(([key]) => map.delete(key)).includes(false);
    },
    pending: () => [...left.keys()],
    close() {
      for (const stop of stops) stop();
    },
  };
}

function textOf({ ip, port, protocol }: LifelineKey): string {
  return `${ip} ${port} ${protocol}`;
}
