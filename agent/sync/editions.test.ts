import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type PolicyKey, type PolicyValue, policyKey } from '#bpf/abi.ts';
import { peerSetId } from '#common/ids.ts';
import { PRECEDENCE } from '../policy/precedence.ts';
import type { EntryAction } from '../policy/verdict.ts';
import { createEditions, type Edition, type Editions, NO_EDITION } from './editions.ts';
import { type FakeMap, fakeMap } from './fake-map.ts';
import { countMap, type TypedMap } from './map.ts';
import { type EditionEntry, type Entries, entryKey, policyKeyOf, policyValueOf } from './policy-subject.ts';

type Action = Exclude<EntryAction, 'audit'>;
type PolicyMap = FakeMap<PolicyKey, PolicyValue>;

function entry(peers: number, action: Action = 'allow'): EditionEntry {
  const at = { peers: peerSetId(peers), protocol: 6, port: 80, l4Bits: 24 };
  return { ...at, action, precedence: PRECEDENCE[action], ruleset: 0, cookie: 1 };
}

/** Entries for sets of peers. */
function entries(of: Readonly<Record<number, Action>>): Entries {
  return new Map(
    Object.entries(of)
      .map(([peers, action]) => entry(Number(peers), action))
      .map((one) => [entryKey(one), one]),
  );
}

/** Editions in an empty map, or in `map`. `many`: how often many writes were made by one call. */
function rig({ capacity = 100, map = fakeMap<PolicyKey, PolicyValue>(policyKey, capacity) } = {}) {
  const calls = { many: 0 };
  const setMany: NonNullable<TypedMap<PolicyKey, PolicyValue>['setMany']> = (rows) => {
    calls.many++;
    for (const [i, [key, value]] of rows.entries()) {
      try {
        map.set(key, value);
      } catch {
        return i;
      }
    }
    return rows.length;
  };
  const counted = countMap('policy', Object.assign(map, { setMany }));
  return { map, calls, counted, editions: createEditions(counted) };
}

/** "edition/peers" of what the map holds. */
function held(map: PolicyMap, number?: number): readonly string[] {
  const keys = map.entries().map(([key]) => key);
  return keys
    .filter(({ edition }) => number === undefined || edition === number)
    .map(({ edition, peers }) => (number === undefined ? `${edition}/${peers}` : `${peers}`))
    .sort();
}

function one(editions: Editions, wanted: Entries): Edition {
  const [edition] = editions.write([wanted]);
  assert.ok(edition);
  return edition;
}

describe('write', () => {
  it('writes many editions by one call, each under its own number', () => {
    const { editions, map, calls } = rig();
    const wanted = [
      entries({ 1: 'allow', 2: 'deny' }),
      entries({}),
      entries({ 2: 'redirect' }),
      entries({ 2: 'redirect' }),
    ];
    const made = editions.write(wanted);
    assert.equal(calls.many, 1);
    assert.equal(made[1], NO_EDITION);
    const numbers = made.map((edition) => edition?.number ?? -1);
    assert.equal(new Set(numbers).size, 4);
    assert.deepEqual(
      numbers.map((number) => held(map, number)),
      [['1', '2'], [], ['2'], ['2']],
    );
    assert.deepEqual(
      made.map((edition) => edition?.missing),
      [[], [], [], []],
    );
    assert.deepEqual(
      made.map((edition) => edition?.entries.size),
      [2, 0, 1, 1],
    );
    assert.equal(map.size, 4);
  });

  it('writes nothing for editions without entries', () => {
    const { editions, map } = rig();
    assert.deepEqual(editions.write([entries({})]), [NO_EDITION]);
    assert.deepEqual(editions.write([]), []);
    assert.equal(map.writes, 0);
  });

  it('writes them one by one when one call fails half-way, with nothing left over', () => {
    const { editions, map, counted } = rig();
    map.capacity = 3; // fewer than it seems to have
    const made = editions.write([entries({ 1: 'allow', 2: 'deny' }), entries({ 3: 'deny', 4: 'allow', 5: 'allow' })]);
    assert.deepEqual(
      made.map((edition) => held(map, edition?.number)),
      [['1', '2'], ['3']],
    );
    assert.deepEqual(
      made.map((edition) => edition?.missing.map(({ peers }) => peers)),
      [[], [4, 5]],
    );
    assert.equal(map.size, 3);
    assert.equal(counted.size, 3);
    for (const edition of made) if (edition) editions.discard(edition);
    editions.clean();
    assert.equal(map.size, 0);
  });

  it('has what takes away in the map before what lets pass, when there is little room', () => {
    const { editions, map } = rig({ capacity: 2 });
    const edition = one(editions, entries({ 1: 'allow', 2: 'deny', 3: 'refuse' }));
    assert.deepEqual(held(map, edition.number), ['2', '3']);
    assert.deepEqual(edition.missing, [entry(1)]);
  });

  it('is undefined, with nothing in the map, where what takes away finds no room; others are written', () => {
    const { editions, map } = rig({ capacity: 2 });
    const made = editions.write([
      entries({ 1: 'allow', 2: 'deny', 3: 'redirect', 4: 'deny' }),
      entries({ 1: 'allow', 5: 'deny' }),
    ]);
    assert.equal(made[0], undefined);
    assert.deepEqual(
      held(map),
      held(map, made[1]?.number).map((peers) => `${made[1]?.number}/${peers}`),
    );
    assert.deepEqual(held(map, made[1]?.number), ['1', '5']);
    assert.deepEqual(
      [2, 3, 4].map((set) => editions.names(peerSetId(set))),
      [false, false, false],
    );
  });

  it('takes the room of what is discarded when it needs it, and not before', () => {
    const { editions, map } = rig({ capacity: 3 });
    const old = one(editions, entries({ 1: 'allow', 2: 'allow' }));
    editions.discard(old);
    one(editions, entries({ 3: 'allow' }));
    assert.equal(held(map, old.number).length, 2);
    const next = one(editions, entries({ 4: 'deny', 5: 'allow' }));
    assert.deepEqual([held(map, old.number), held(map, next.number), next.missing], [[], ['4', '5'], []]);
  });
});

describe('complete', () => {
  it('writes what is missing as far as there is room, and what is complete not again', () => {
    const { editions, map } = rig({ capacity: 3 });
    const other = one(editions, entries({ 9: 'deny' }));
    const edition = one(editions, entries({ 1: 'allow', 2: 'deny', 3: 'allow' }));
    assert.equal(edition.missing.length, 1);
    editions.complete(edition);
    assert.equal(edition.missing.length, 1);
    editions.discard(other);
    editions.complete(edition);
    assert.deepEqual([edition.missing, held(map, edition.number)], [[], ['1', '2', '3']]);
    const { writes } = map;
    for (const each of [edition, NO_EDITION]) editions.complete(each);
    assert.equal(map.writes, writes);
  });

  it('writes nothing of an edition that is discarded', () => {
    const { editions, map, counted } = rig({ capacity: 1 });
    const edition = one(editions, entries({ 1: 'allow', 2: 'allow' }));
    editions.discard(edition);
    editions.complete(edition);
    editions.clean();
    assert.deepEqual([map.size, counted.status().deletes], [0, 1]);
  });
});

describe('discard and clean', () => {
  it('deletes the entries of the edition, when cleaning, and no others', () => {
    const { editions, map } = rig();
    const [a, b] = [one(editions, entries({ 1: 'allow', 2: 'deny' })), one(editions, entries({ 1: 'allow' }))];
    editions.discard(a);
    assert.equal(map.size, 3);
    editions.clean();
    assert.deepEqual(held(map), [`${b.number}/1`]);
    editions.discard(NO_EDITION);
    editions.clean();
    assert.equal(map.size, 1);
  });

  it('tries again what could not be deleted', () => {
    const { editions, map } = rig();
    const edition = one(editions, entries({ 1: 'allow', 2: 'deny', 3: 'allow' }));
    editions.discard(edition);
    const remove = map.delete;
    map.delete = (key) => {
      if (map.size === 2) throw new Error('busy');
      return remove(key);
    };
    editions.clean();
    assert.equal(map.size, 2);
    map.delete = remove;
    editions.clean();
    assert.equal(map.size, 0);
  });
});

describe('numbers', () => {
  it('are not reused soon', () => {
    const { editions } = rig();
    const seen = new Set<number>();
    for (let i = 0; i < 50; i++) {
      const edition = one(editions, entries({ 1: 'deny' }));
      assert.equal(seen.has(edition.number), false);
      seen.add(edition.number);
      editions.discard(edition);
      editions.clean();
    }
  });

  it('go on after those that a dead agent left, around the end of the range', () => {
    const map = fakeMap<PolicyKey, PolicyValue>(policyKey);
    for (const number of [2, 0xffff_fffd]) map.set(policyKeyOf(number, entry(1)), policyValueOf(entry(1)));
    const { editions } = rig({ map });
    const numbers = Array.from({ length: 4 }, () => {
      const edition = one(editions, entries({ 1: 'deny' }));
      editions.discard(edition); // not cleaned yet: its entries are still there
      return edition.number;
    });
    assert.deepEqual(numbers, [0xffff_fffe, 1, 3, 4]);
  });

  it('go on after those that the kernel may ask for, also if the map has no entry of them', () => {
    const editions = createEditions(countMap('policy', fakeMap<PolicyKey, PolicyValue>(policyKey)), [0, 7, 5]);
    assert.equal(one(editions, entries({ 1: 'deny' })).number, 8);
  });
});

describe('names', () => {
  it('is true of sets, not of any peer, as long as an edition that is not discarded has an entry for them', () => {
    const { editions } = rig();
    const named = (): readonly number[] => [0, 1, 2, 3].filter((set) => editions.names(peerSetId(set)));
    const [a, b] = editions.write([entries({ 0: 'allow', 1: 'allow' }), entries({ 1: 'deny', 2: 'deny' })]);
    assert.deepEqual(named(), [1, 2]);
    editions.discard(a as Edition);
    assert.deepEqual(named(), [1, 2]);
    editions.discard(b as Edition);
    assert.deepEqual(named(), []);
  });
});

describe('filter', () => {
  it('has a bit for each set, by number modulo 256, and none for any peer', () => {
    const { editions } = rig();
    const edition = one(
      editions,
      entries({ 0: 'allow', 1: 'allow', 31: 'deny', 32: 'deny', 255: 'deny', 258: 'deny' }),
    );
    assert.deepEqual(edition.filter, [0x8000_0006, 1, 0, 0, 0, 0, 0, 0x8000_0000]);
    assert.deepEqual(
      [...edition.sets].sort((a, b) => a - b),
      [1, 31, 32, 255, 258],
    );
    assert.deepEqual(NO_EDITION.filter, [0, 0, 0, 0, 0, 0, 0, 0]);
  });
});

describe('adopted', () => {
  it('is what the map held, as if it had been written here', () => {
    const first = rig();
    const wanted = entries({ 1: 'allow', 2: 'deny', 3: 'refuse' });
    const written = one(first.editions, wanted);
    const { editions, map } = rig({ map: first.map });
    const edition = editions.adopted().get(written.number);
    assert.deepEqual(edition, written);
    assert.equal(editions.names(peerSetId(3)), true);
    editions.discard(edition as Edition);
    editions.clean();
    assert.deepEqual([map.size, editions.adopted().size, editions.names(peerSetId(3))], [0, 0, false]);
  });
});
