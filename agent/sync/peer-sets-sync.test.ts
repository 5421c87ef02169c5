import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PEER_SET_BLOCKS, PEER_SETS_EACH, peerSetsKey } from '#bpf/abi.ts';
import { identity } from '#common/ids.ts';
import { fakeMap } from './fake-map.ts';
import { A, B, blocksOf, peerSetsRig, range, seen, watch } from './peer-sets.fixture.ts';
import { random } from './random-tables.fixture.ts';

const EACH = PEER_SETS_EACH;
const MAX_SETS = PEER_SET_BLOCKS * PEER_SETS_EACH;

describe('every write', () => {
  const cases = [
    { what: 'one set more', before: [1, 2], after: [1, 2, 3], writes: 1 },
    { what: 'none any more', before: [1, 2], after: [], writes: 1 },
    { what: 'one for another in its place', before: [1, 2], after: [1, 3], writes: 2 },
    { what: 'a second block', before: range(1, EACH), after: range(1, EACH + 1), writes: 2 },
    { what: 'three blocks more', before: range(1, 10), after: range(1, 4 * EACH), writes: 4 },
    {
      what: 'a hole of the first block and a second block',
      before: range(1, EACH),
      after: range(5, EACH + 9),
      writes: 3,
    },
    { what: 'less than a block', before: range(1, 40), after: [20], writes: 3 },
  ];
  for (const { what, before, after, writes } of cases) {
    it(`keeps what an identity belongs to before and after: ${what}`, () => {
      const r = peerSetsRig();
      r.join(A, before);
      r.update();
      assert.deepEqual(seen(r.map, A), before);
      r.join(A, after);
      const kept = before.filter((set) => after.includes(set));
      const check = (): void => {
        const now = seen(r.map, A);
        assert.ok(now, 'it is known');
        assert.deepEqual(
          kept.filter((set) => !now.includes(set)),
          [],
        );
      };
      assert.equal(watch(r.map, check, r.update), writes);
      assert.deepEqual(seen(r.map, A), after);
      assert.deepEqual(r.sync.pending(), []);
    });
  }

  it('keeps it for many identities through many changes, with named sets and updates that are not finished', () => {
    const pick = random(3);
    const r = peerSetsRig();
    const peers = range(500, 505).map(identity);
    let looks = 0;
    for (let round = 0; round < 120; round++) {
      const was = new Map(peers.map((id) => [id, r.table.get(String(id))?.sets]));
      const saw = new Map(peers.map((id) => [id, seen(r.map, id)]));
      for (const id of peers.slice(0, 1 + pick(peers.length))) {
        const count = [0, 3, EACH, EACH + 1, 40][pick(5)] ?? 0;
        r.join(
          id,
          [...new Set(Array.from({ length: count }, () => 1 + pick(60)))].sort((a, b) => a - b),
        );
      }
      const check = (): void => {
        looks++;
        for (const id of peers) {
          const now = seen(r.map, id);
          const kept = r.table.get(String(id))?.sets.filter((set) => was.get(id)?.includes(set)) ?? [];
          if (saw.get(id))
            assert.deepEqual(
              kept.filter((set) => !now?.includes(set)),
              [],
              `round ${round}: ${id}`,
            );
        }
      };
      watch(r.map, check, () => {
        r.extend();
        if (pick(3) > 0) r.shrink({ named: range(1, pick(30)) });
      });
    }
    r.update();
    for (const id of peers) assert.deepEqual(seen(r.map, id) ?? [], r.table.get(String(id))?.sets ?? []);
    assert.ok(looks > 200, `${looks} looks`);
  });

  it('puts a new block in before another one says that it is there', () => {
    const r = peerSetsRig();
    r.join(A, range(1, 50)); // nobody knows it yet
    const check = (): void => {
      for (const block of blocksOf(r.map, A)) {
        if (r.map.get({ identity: A, block })?.more) assert.ok(r.map.get({ identity: A, block: block + 1 }));
      }
    };
    assert.equal(watch(r.map, check, r.extend), 4);
    r.join(A, range(1, 70));
    watch(r.map, check, r.extend);
    assert.deepEqual(seen(r.map, A), range(1, 70));
  });
});

describe('the places of sets', () => {
  it('are emptied only afterwards, and not while some edition names the set', () => {
    const r = peerSetsRig();
    r.join(A, [1, 2, 3]);
    r.update();
    r.join(A, [3]);
    r.extend();
    assert.deepEqual(seen(r.map, A), [1, 2, 3]);
    r.shrink({ named: [2, 3] });
    assert.deepEqual(seen(r.map, A), [2, 3]);
    r.shrink();
    assert.deepEqual(seen(r.map, A), [3], 'also without another change');
  });

  it('are used again before there is another block', () => {
    const r = peerSetsRig();
    r.join(A, range(1, EACH));
    r.update();
    for (const sets of [range(3, EACH), range(3, EACH + 2)]) {
      r.join(A, sets);
      r.update();
    }
    assert.deepEqual([blocksOf(r.map, A), seen(r.map, A)], [[0], range(3, EACH + 2)]);
  });

  it('stay as they are when what has changed since belongs to the next update', () => {
    const r = peerSetsRig();
    r.join(A, [1, 2]);
    r.extend();
    r.join(A, [3]);
    r.shrink();
    assert.deepEqual(seen(r.map, A), [1, 2]);
    r.update();
    assert.deepEqual(seen(r.map, A), [3]);
  });
});

describe('a map without room', () => {
  it('has no block of an identity that finds none: it is denied, pending, and comes back', () => {
    const r = peerSetsRig(fakeMap(peerSetsKey, 3));
    r.join(A, [1]);
    r.join(B, range(1, 40));
    r.update();
    assert.deepEqual([seen(r.map, A), blocksOf(r.map, B)], [[1], []]);
    assert.deepEqual(r.sync.pending(), [`peer ${B}: no room`]);
    r.update();
    assert.deepEqual(r.sync.pending(), [`peer ${B}: no room`]);
    r.map.capacity = 4;
    r.extend();
    assert.deepEqual([seen(r.map, B), r.sync.pending()], [range(1, 40), []]);
  });

  it('denies an identity that does not find room for another block rather than that a set is not known', () => {
    const r = peerSetsRig(fakeMap(peerSetsKey, 2));
    r.join(A, range(1, EACH));
    r.join(B, [1]);
    r.update();
    r.join(A, range(1, EACH + 1));
    r.join(B, [1, 2]);
    r.extend();
    assert.deepEqual([blocksOf(r.map, A), seen(r.map, B)], [[], [1, 2]]);
    assert.deepEqual(r.sync.pending(), [`peer ${A}: no room`]);
    r.leave(B);
    r.update({ fresh: [B] });
    r.update();
    assert.deepEqual([seen(r.map, A), r.sync.pending()], [range(1, EACH + 1), []]);
    assert.equal(r.counted.size, 2);
  });

  it('is not said of an identity that is gone', () => {
    const r = peerSetsRig(fakeMap(peerSetsKey, 0));
    r.join(A, [1]);
    r.update();
    r.leave(A);
    r.update({ fresh: [A] });
    assert.deepEqual(r.sync.pending(), []);
  });
});

describe('an identity in too many sets', () => {
  for (const named of [range(1, MAX_SETS), []])
    it(`is denied, which is said, until it is in fewer (${named.length} are named until then)`, () => {
      const r = peerSetsRig();
      r.join(A, range(1, MAX_SETS));
      r.update();
      assert.deepEqual([seen(r.map, A), r.sync.pending()], [range(1, MAX_SETS), []]);
      r.join(A, range(1, MAX_SETS + 1));
      r.update();
      assert.deepEqual([seen(r.map, A), r.sync.pending()], [undefined, [`peer ${A}: in more than ${MAX_SETS} sets`]]);
      r.join(A, range(2, 20));
      r.update({ named });
      assert.notDeepEqual(r.sync.pending(), [], 'its places are for the next update');
      const check = (): void => {
        const now = seen(r.map, A);
        if (now)
          assert.deepEqual(
            range(2, 20).filter((set) => !now.includes(set)),
            [],
          );
      };
      watch(r.map, check, () => {
        r.update(); // what is not named any more goes
        r.update();
      });
      assert.deepEqual([seen(r.map, A), r.sync.pending(), r.counted.size], [range(2, 20), [], r.map.size]);
      r.leave(A);
      r.update({ fresh: [A] });
      assert.equal(r.map.size, 0);
    });
});
