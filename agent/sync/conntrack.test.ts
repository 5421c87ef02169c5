import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type CtKey, ctEntry, ctKey, PURGE_ADDRESSES } from '#bpf/abi.ts';
import { connectionKey } from '#bpf/connection.ts';
import { address } from '#common/ip.ts';
import { type ConntrackTable, createConntrack } from './conntrack.ts';

interface Row {
  readonly key: CtKey;
  expires: number;
}

const NO_ENTRY = ctEntry.decode(new Uint8Array(ctEntry.size));
const key = (from: string, to: string, port = 1000): CtKey =>
  connectionKey({ address: address(from), port }, { address: address(to), port: 80 }, 6);

/** Slices of two; `onSlice` runs before each. */
function table(rows: Row[], onSlice = (): void => {}): ConntrackTable {
  const same = (a: CtKey, b: CtKey): boolean => Buffer.compare(ctKey.encode(a), ctKey.encode(b)) === 0;
  return {
    forget(addresses) {
      assert.ok(addresses.length > 0 && addresses.length <= PURGE_ADDRESSES, `${addresses.length} at once`);
      const gone = rows.filter((r) => addresses.includes(r.key.ipA) || addresses.includes(r.key.ipB));
      for (const row of gone) rows.splice(rows.indexOf(row), 1);
      return gone.length;
    },
    get(k) {
      const row = rows.find((r) => same(r.key, k));
      return row && { ...NO_ENTRY, expires: row.expires };
    },
    delete(k) {
      const at = rows.findIndex((r) => same(r.key, k));
      if (at >= 0) rows.splice(at, 1);
      return at >= 0;
    },
    *slices() {
      const all = [...rows];
      for (let i = 0; i < all.length; i += 2) {
        const slice = all.slice(i, i + 2);
        const keys = new Uint8Array(2 * ctKey.size);
        const values = new Uint8Array(2 * ctEntry.size);
        for (const [n, row] of slice.entries()) {
          ctKey.encode(row.key, keys, n * ctKey.size);
          ctEntry.encode({ ...NO_ENTRY, expires: row.expires }, values, n * ctEntry.size);
        }
        onSlice();
        yield { keys, values, count: slice.length };
      }
    },
  };
}

describe('createConntrack', () => {
  it('purges the connections of an address, whichever end it is, and no others', async () => {
    const rows = [
      { key: key('10.0.0.1', '10.0.0.2'), expires: 1 },
      { key: key('10.0.0.3', '10.0.0.1'), expires: 1 },
      { key: key('10.0.0.2', '10.0.0.3'), expires: 1 },
      { key: key('10.0.0.10', '10.0.0.11'), expires: 1 },
      { key: key('fd00::1', 'fd00::2'), expires: 1 },
    ];
    const conntrack = createConntrack(table(rows), () => 0);
    assert.equal(await conntrack.purge([]), 0);
    assert.equal(await conntrack.purge([address('10.0.0.1'), address('fd00::2')]), 3);
    assert.deepEqual(
      rows.map((r) => r.key),
      [key('10.0.0.2', '10.0.0.3'), key('10.0.0.10', '10.0.0.11')],
    );
    assert.equal(conntrack.stats().purgedTotal, 3);
  });

  it('purges in as many runs as the addresses need, each address once', async () => {
    const addresses = Array.from({ length: PURGE_ADDRESSES + 1 }, (_, i) => address(`10.0.1.${i}`));
    const rows = addresses.map((_, i) => ({ key: key(`10.0.1.${i}`, '10.0.0.2'), expires: 1 }));
    let runs = 0;
    const inMemory = table(rows);
    const counted = {
      ...inMemory,
      forget(some: typeof addresses) {
        runs++;
        return inMemory.forget(some);
      },
    };
    const conntrack = createConntrack(counted, () => 0);
    assert.equal(await conntrack.purge([...addresses, ...addresses]), addresses.length);
    assert.deepEqual([runs, rows.length], [2, 0]);
  });

  it('collects what has expired, over the wrap of the clock, and not what a packet has just revived', async () => {
    const now = 5;
    const rows = [
      { key: key('10.0.0.1', '10.0.0.2'), expires: now },
      { key: key('10.0.0.1', '10.0.0.3'), expires: now + 1 },
      { key: key('10.0.0.1', '10.0.0.4'), expires: 0xffff_fff0 },
      { key: key('10.0.0.1', '10.0.0.5'), expires: 1 },
    ];
    const revived = rows[3] as Row;
    let slices = 0;
    const conntrack = createConntrack(
      table(rows, () => {
        if (++slices === 2) revived.expires = now + 60;
      }),
      () => now,
    );
    await conntrack.collect();
    assert.deepEqual(
      rows.map((r) => r.expires),
      [now + 1, now + 60],
    );
    const { runs, alive, deleted, deletedTotal } = conntrack.stats();
    assert.deepEqual({ runs, alive, deleted, deletedTotal }, { runs: 1, alive: 2, deleted: 2, deletedTotal: 2 });
    await conntrack.collect();
    assert.equal(conntrack.stats().deleted, 0);
    assert.equal(conntrack.stats().deletedTotal, 2);
  });
});
