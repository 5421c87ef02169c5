// Many entries at once, on maps of the kernel: a hash, an LPM trie, and one that knows single writes only. Needs root.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BpfError } from '#common/native/libbpf.ts';
import { bpf, callError, close } from '#common/native/libc.ts';
import { type PolicyKey, type PolicyValue, policyKey, policyValue } from './abi.ts';
import type { Codec } from './bulk.ts';
import { u32 } from './codec.ts';
import { type BpfMap, openMap } from './maps.ts';

const MAP_CREATE = 0; // bpf command
const TYPE = { hash: 1, lpm: 11, cpu: 16 } as const;
const NO_PREALLOC = 1;
const CHUNK = 4096;

interface Kind<K, V> {
  readonly what: string;
  readonly type: number;
  readonly flags: number;
  readonly key: Codec<K>;
  readonly value: Codec<V>;
  /** What the full map refuses with. */
  readonly full: string;
}

function withMap<K, V>(kind: Kind<K, V>, maxEntries: number, use: (map: BpfMap<K, V>) => void): void {
  const attr = new Uint32Array([kind.type, kind.key.size, kind.value.size, maxEntries, kind.flags]);
  const fd = bpf(MAP_CREATE, new Uint8Array(attr.buffer));
  if (fd < 0) throw callError('create map');
  try {
    use(openMap(fd, kind.key, kind.value));
  } finally {
    close(fd);
  }
}

const policy = { key: policyKey, value: policyValue };
const KINDS: readonly Kind<PolicyKey, PolicyValue>[] = [
  { what: 'a hash', type: TYPE.hash, flags: NO_PREALLOC, ...policy, full: 'E2BIG' },
  { what: 'an LPM trie', type: TYPE.lpm, flags: NO_PREALLOC, ...policy, full: 'ENOSPC' },
];

const keyOf = (n: number): PolicyKey => ({ prefixlen: 96, edition: 1, peers: n, protocol: 6, port: 80 });
const saying = (cookie: number): PolicyValue => ({ precedence: 1, ruleset: 0, cookie, action: 1, l4Bits: 24 });
const rows = (count: number, first = 0): [PolicyKey, PolicyValue][] =>
  Array.from({ length: count }, (_, i) => [keyOf(first + i), saying(first + i)]);
const peersIn = (map: BpfMap<PolicyKey, PolicyValue>): number[] =>
  map
    .entries()
    .map(([{ peers }]) => peers)
    .sort((a, b) => a - b);
const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

for (const kind of KINDS) {
  describe(`${kind.what}`, () => {
    for (const count of [0, 1, CHUNK, 2 * CHUNK + 1]) {
      test(`takes ${count} entries, and gives them up again`, () => {
        withMap(kind, 10_000, (map) => {
          assert.equal(map.setMany(rows(count)), count);
          assert.deepEqual(peersIn(map), upTo(count));
          if (count > 0) assert.deepEqual(map.get(keyOf(count - 1)), saying(count - 1));
          assert.equal(map.deleteMany(rows(count).map(([key]) => key)), count);
          assert.equal(map.count(), 0);
        });
      });
    }

    for (const room of [3, CHUNK, CHUNK + 7]) {
      test(`with room for ${room} takes the first ${room}`, () => {
        withMap(kind, room, (map) => {
          const given = rows(room + 20);
          assert.equal(map.setMany(given), room);
          assert.deepEqual(peersIn(map), upTo(room));
          assert.throws(
            () => map.set(...(given[room] as (typeof given)[0])),
            (error) => error instanceof BpfError && error.code === kind.full,
          );
          assert.equal(map.setMany(given.slice(room)), 0);
        });
      });
    }

    test('writes in order: nothing after what was refused, and the last of two stays', () => {
      withMap(kind, 3, (map) => {
        map.set(keyOf(0), saying(7));
        const again = (n: number, cookie: number) => [keyOf(n), saying(cookie)] as const;
        const given = [...rows(1, 1), again(1, 9), ...rows(2, 2), again(0, 8)];
        assert.equal(map.setMany(given), 3);
        assert.deepEqual(
          [0, 1, 2, 3].map((n) => map.get(keyOf(n))?.cookie),
          [7, 9, 2, undefined],
        );
      });
    });

    test('counts what does not exist as deleted, wherever it is', () => {
      withMap(kind, 100, (map) => {
        for (const [there, deleted] of [
          [upTo(0), [1, 2, 3]],
          [upTo(10), [99, 3, 98, 97, 4, 4, 0, 96]],
          [upTo(10), [5, 6]],
        ] as const) {
          map.deleteMany(map.entries().map(([key]) => key));
          map.setMany(there.map((n) => [keyOf(n), saying(n)] as const));
          assert.equal(map.deleteMany(deleted.map(keyOf)), deleted.length);
          assert.deepEqual(
            peersIn(map),
            there.filter((n) => !(deleted as readonly number[]).includes(n)),
          );
        }
      });
    });
  });
}

test('an LPM trie takes nothing after a prefix that cannot be', () => {
  withMap(KINDS[1] as (typeof KINDS)[0], 100, (map) => {
    const given = rows(5).map(([key, value], i) => [i === 3 ? { ...key, prefixlen: 97 } : key, value] as const);
    assert.equal(map.setMany(given), 3);
    assert.deepEqual(peersIn(map), [0, 1, 2]);
    assert.equal(map.deleteMany(given.map(([key]) => key)), 3);
  });
});

test('a map that the kernel writes only one by one is written so', () => {
  const kind = { what: 'CPUs', type: TYPE.cpu, flags: 0, key: u32, value: u32, full: 'E2BIG' };
  withMap(kind, 2, (map) => {
    assert.equal(
      map.setMany([
        [0, 64],
        [1, 128],
        [2, 64],
        [0, 32],
      ]),
      2,
    );
    assert.deepEqual([map.get(0), map.get(1)], [64, 128]);
    assert.equal(map.deleteMany([1, 0]), 2);
    assert.equal(map.get(0), undefined);
  });
});
