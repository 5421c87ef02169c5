// The agent's hand in conntrack: connections of a pod that is gone are forgotten at once (its address may come back as
// another pod), expired ones now and then. Scans go in slices, so that nothing else waits for a full table.

import { setImmediate } from 'node:timers/promises';
import { type CtEntry, type CtKey, ctEntry, ctKey } from '#bpf/abi.ts';
import { type Address, addressBytes } from '#common/ip.ts';
import { lookupBatch } from '#common/native/libbpf.ts';

/** A slice of the table: `count` keys and values, one after the other, as bytes. */
export interface ConntrackSlice {
  readonly keys: Uint8Array;
  readonly values: Uint8Array;
  readonly count: number;
}

export interface ConntrackTable {
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

const SLICE = 512; // entries read by one system call, between two turns of the event loop
const MAX_SLICE = SLICE * 64; // a hash bucket cannot be split

/** Conntrack over `table`. `nowSeconds`: CLOCK_BOOTTIME, as the kernel programs count. */
export function createConntrack(table: ConntrackTable, nowSeconds: () => number): Conntrack {
  let stats: ConntrackStats = { runs: 0, alive: 0, deleted: 0, deletedTotal: 0, purgedTotal: 0, lastDurationMs: 0 };
  const { ipA, ipB } = ctKey.offsets;
  const { expires } = ctEntry.offsets;
  return {
    async purge(addresses) {
      const wanted = new Set<string>(addresses);
      if (wanted.size === 0) return 0;
      const ends = new Set(addresses.map(lastWord));
      let purged = 0;
      for (const { keys, count } of table.slices()) {
        const text = Buffer.from(keys.buffer, keys.byteOffset, keys.byteLength);
        for (let at = 0; at < count * ctKey.size; at += ctKey.size) {
          // Nearly all entries are nobody's here: a number is compared sooner than an address.
          if (!ends.has(text.readUInt32BE(at + ipA + 12)) && !ends.has(text.readUInt32BE(at + ipB + 12))) continue;
          const a = text.toString('latin1', at + ipA, at + ipA + 16);
          if (!wanted.has(a) && !wanted.has(text.toString('latin1', at + ipB, at + ipB + 16))) continue;
          if (table.delete(ctKey.decode(keys, at))) purged++;
        }
        await setImmediate();
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

function lastWord(address: Address): number {
  return addressBytes(address).readUInt32BE(12);
}

/** The kernel's conntrack map. */
export function conntrackTable(map: {
  readonly fd: number;
  get(key: CtKey): CtEntry | undefined;
  delete(key: CtKey): boolean;
}): ConntrackTable {
  return {
    get: (key) => map.get(key),
    delete: (key) => map.delete(key),
    *slices() {
      const cursor = { cursor: new Uint8Array(ctKey.size), started: false };
      for (let size = SLICE; ; ) {
        const room = {
          keys: new Uint8Array(size * ctKey.size),
          values: new Uint8Array(size * ctEntry.size),
          count: size,
        };
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
