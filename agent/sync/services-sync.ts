// Service frontends and backends into their maps. A reader goes frontend (slot 0), slot, backend: what is added is
// written in the reverse order, what goes is removed in reading order.

import type { BackendValue, ServiceKey, ServiceValue } from '#bpf/abi.ts';
import { formatAddress } from '#common/ip.ts';
import type { Change, ReadonlyTable } from '#common/table.ts';
import type { BackendRow, FrontendRow } from '../tables.ts';
import type { MirroredMap } from './map.ts';

export interface ServiceSync {
  /** Takes backends out that are no longer wanted, and frontends that are gone: before their endpoints go. */
  shrink(): void;
  /** Brings everything else in: after their endpoints came. */
  grow(): void;
  /** Frontends that are not in force as wanted. */
  pending(): readonly string[];
  close(): void;
}

type At = Pick<FrontendRow, 'address' | 'port' | 'protocol'>;

/** Service sync of the two tables into the two maps. What the maps hold already is adopted or pruned. */
export function createServiceSync(
  tables: { readonly frontends: ReadonlyTable<FrontendRow>; readonly backends: ReadonlyTable<BackendRow> },
  maps: {
    readonly services: MirroredMap<ServiceKey, ServiceValue>;
    readonly backends: MirroredMap<number, BackendValue>;
  },
): ServiceSync {
  const dirty = new Map<string, At>(); // by frontend key
  const dirtyBackends = new Set<number>();
  for (const [key] of maps.services.entries()) dirty.set(frontendKey(key.ip, key), { ...key, address: key.ip });
  for (const [id] of maps.backends.entries()) dirtyBackends.add(id);
  for (const [key, row] of tables.frontends.entries()) dirty.set(key, row);
  for (const row of tables.backends.values()) dirtyBackends.add(row.id);
  const stops = [
    tables.frontends.subscribe(({ key, before, after }: Change<FrontendRow>) => {
      const row = after ?? before;
      if (row) dirty.set(key, row);
    }),
    tables.backends.subscribe(({ key }) => void dirtyBackends.add(Number(key))),
  ];

  const slot = ({ address, port, protocol }: At, number: number): ServiceKey => ({
    ip: address,
    port,
    protocol,
    slot: number,
  });
  const countOf = (at: At): number => maps.services.get(slot(at, 0))?.count ?? 0;
  // Also beyond the count: a dead agent may have left slots there.
  const cut = (at: At, from: number): boolean => {
    for (let i = from; maps.services.get(slot(at, i)); i++) if (!maps.services.delete(slot(at, i))) return false;
    return true;
  };
  const remove = (at: At): boolean => maps.services.delete(slot(at, 0)) && cut(at, 1);
  const write = (row: FrontendRow, backends: readonly number[]): boolean => {
    const value = (part: Partial<ServiceValue>): ServiceValue => ({
      backend: 0,
      count: 0,
      service: row.service,
      flags: 0,
      ...part,
    });
    const head = value({ count: backends.length });
    // Fewer than before: readers must stop looking at the last slots before these change.
    if (backends.length < countOf(row) && !maps.services.set(slot(row, 0), head)) return false;
    for (const [i, backend] of backends.entries()) {
      if (!maps.services.set(slot(row, i + 1), value({ backend }))) return false;
    }
    return maps.services.set(slot(row, 0), head) && cut(row, backends.length + 1);
  };

  return {
    shrink() {
      for (const [key, at] of dirty) {
        const row = tables.frontends.get(key);
        if (!row) remove(at);
        else if (maps.services.get(slot(row, 0)))
          write(
            row,
            row.backends.filter((id) => maps.backends.get(id)),
          );
      }
    },
    grow() {
      for (const id of dirtyBackends) {
        const row = tables.backends.get(String(id));
        if (row && maps.backends.set(id, { ip: row.address, port: row.port, protocol: row.protocol, flags: 0 })) {
          dirtyBackends.delete(id);
        }
      }
      for (const [key, at] of dirty) {
        const row = tables.frontends.get(key);
        // A backend that found no room is left out: its slot would lead nowhere.
        const backends = row?.backends.filter((id) => maps.backends.get(id)) ?? [];
        const done = row ? write(row, backends) && backends.length === row.backends.length : remove(at);
        if (done) dirty.delete(key);
      }
      for (const id of dirtyBackends) {
        if (!tables.backends.get(String(id)) && maps.backends.delete(id)) dirtyBackends.delete(id);
      }
    },
    pending: () => [...dirty.keys(), ...[...dirtyBackends].map((id) => `backend ${id}`)],
    close() {
      for (const stop of stops) stop();
    },
  };
}

function frontendKey(
  address: FrontendRow['address'],
  at: { readonly port: number; readonly protocol: number },
): string {
  return `${formatAddress(address)} ${at.port} ${at.protocol}`;
}
