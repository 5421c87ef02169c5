// The agent's hand in conntrack: connections of a pod that is gone are forgotten at once (its address may come back as
// another pod), expired ones now and then. The kernel does the first in one walk, which everything else waits for: 3 ms,
// 25 ms where the table is full. Scans for the second go in slices.

import { setImmediate } from 'node:timers/promises';
import { type CtEntry, type CtKey, ctEntry, ctKey, PURGE_ADDRESSES } from '#bpf/abi.ts';
import type { Datapath } from '#bpf/loader.ts';
import { runPurge } from '#bpf/purge.ts';
import type { Address } from '#common/ip.ts';
import { lookupBatch } from '#common/native/libbpf.ts';

/** A slice of the table: `count` keys and values, one after the other, as bytes. */
export interface ConntrackSlice {
  readonly keys: Uint8Array;
  readonly values: Uint8Array;
  readonly count: number;
}

export interface ConntrackTable {
  /** Deletes the entries with one of these ends (at most PURGE_ADDRESSES), in one go. Returns their number. */
  forget(addresses: readonly Address[]): number;
  slices(): Iterable<ConntrackSlice>;
  get(key: CtKey): CtEntry | undefined;
  delete(key: CtKey): boolean;
}

/** What scans have found, for cilium_datapath_conntrack_gc_*. */
export interface ConntrackStats {
  readonly runs: number;
  /** Entries that the last run left, and those it deleted. */
  readonly alive: number;
  readonly deleted: number;
  readonly deletedTotal: number;
  readonly purgedTotal: number;
  readonly lastDurationMs: number;
}

export interface Conntrack {
  /** Deletes every connection with one of these ends. Resolves with their number. */
  purge(addresses: readonly Address[]): Promise<number>;
  /** Deletes expired connections. */
  collect(): Promise<void>;
  stats(): ConntrackStats;
}

const SLICE = 1024; // entries read by one system call, between two turns of the event loop
const MAX_SLICE = SLICE * 64; // a hash bucket cannot be split

/** Conntrack over `table`. `nowSeconds`: CLOCK_BOOTTIME, as the kernel programs count. */
export function createConntrack(table: ConntrackTable, nowSeconds: () => number): Conntrack {
  let stats: ConntrackStats = { runs: 0, alive: 0, deleted: 0, deletedTotal: 0, purgedTotal: 0, lastDurationMs: 0 };
  const { expires } = ctEntry.offsets;
  return {
    async purge(addresses) {
      const wanted = [...new Set(addresses)];
      let purged = 0;
      for (let at = 0; at < wanted.length; at += PURGE_ADDRESSES) {
        await setImmediate(); // a walk takes milliseconds: first what others are about to do
        purged += table.forget(wanted.slice(at, at + PURGE_ADDRESSES));
      }
      stats = { ...stats, purgedTotal: stats.purgedTotal + purged };
      return purged;
    },
    async collect() {
      const start = performance.now();
      let [alive, deleted] = [0, 0];
      for (const { keys, values, count } of table.slices()) {
        const now = nowSeconds();
        const view = new DataView(values.buffer, values.byteOffset, values.byteLength);
        for (let i = 0; i < count; i++) {
          // Times wrap: compared like sequence numbers, as is_expired() in bpf/lib/conntrack.h does.
          const old = (view.getUint32(i * ctEntry.size + expires, true) - now) | 0;
          const key = old <= 0 ? ctKey.decode(keys, i * ctKey.size) : undefined;
          const entry = key && table.get(key); // a packet may have revived it
          if (key && entry && ((entry.expires - now) | 0) <= 0 && table.delete(key)) deleted++;
          else alive++;
        }
        await setImmediate();
      }
      const { runs, deletedTotal, purgedTotal } = stats;
      const lastDurationMs = performance.now() - start;
      stats = { runs: runs + 1, alive, deleted, deletedTotal: deletedTotal + deleted, purgedTotal, lastDurationMs };
    },
    stats: () => stats,
  };
}

/** The kernel's conntrack map. */
export function conntrackTable(datapath: Pick<Datapath, 'maps' | 'programFd'>): ConntrackTable {
  const map = datapath.maps.conntrack;
  return {
    forget: (addresses) => runPurge(datapath.programFd('purge'), addresses),
    get: (key) => map.get(key),
    delete: (key) => map.delete(key),
    *slices() {
      const cursor = { cursor: new Uint8Array(ctKey.size), started: false };
      let room = roomFor(SLICE); // the same for all slices: one is done with before the next one is read
      for (let size = SLICE; ; ) {
        if (room.count !== size) room = roomFor(size);
        let step: ReturnType<typeof lookupBatch>;
        try {
          step = lookupBatch(map.fd, cursor, room);
        } catch (error) {
          if ((error as { readonly code?: string }).code !== 'ENOSPC' || size >= MAX_SLICE) throw error;
          size *= 2;
          continue;
        }
        if (!step) return;
        yield { ...room, count: step.count };
        if (!step.more) return;
      }
    },
  };
}

function roomFor(count: number): ConntrackSlice {
  return { keys: new Uint8Array(count * ctKey.size), values: new Uint8Array(count * ctEntry.size), count };
}
