// Identities that come and go, and what a dead agent left of them.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PEER_BOTH, PEER_FIRST, PEER_SECOND, PEER_SETS_EACH, type PeerSetsValue, peerSetsKey } from '#bpf/abi.ts';
import { type Identity, RESERVED } from '#common/ids.ts';
import { fakeMap } from './fake-map.ts';
import { A, B, peerSetsRig, range, type SetsMap, seen, watch } from './peer-sets.fixture.ts';

const onlyOf = (map: SetsMap, id: Identity): number | undefined => map.get({ identity: id, block: 0 })?.only;

describe('an identity that only some editions know', () => {
  it('is asked of the new ones alone while no address has it, until both know it', () => {
    const r = peerSetsRig();
    r.join(A, range(1, 20));
    r.join(B, [1]);
    r.extend({ fresh: [A] });
    assert.deepEqual([onlyOf(r.map, A), onlyOf(r.map, B)], [PEER_SECOND, PEER_BOTH]);
    assert.equal(r.map.get({ identity: A, block: 1 })?.only, PEER_BOTH, 'the first block says it');
    r.join(A, range(1, 21));
    r.extend({ fresh: [A] });
    assert.equal(onlyOf(r.map, A), PEER_SECOND);
    r.shrink({ fresh: [A] });
    assert.equal(onlyOf(r.map, A), PEER_BOTH, 'it has a row, whatever addresses say');
    r.join(A, range(1, 22));
    r.extend({ fresh: [A] });
    assert.equal(onlyOf(r.map, A), PEER_BOTH, 'the old ones know it');
  });

  it('is asked of the old ones alone when it goes and no address shall have it', () => {
    const r = peerSetsRig();
    for (const id of [A, B]) r.join(id, [1]);
    r.update();
    for (const id of [A, B]) r.leave(id);
    r.extend({ leaving: [A] });
    assert.deepEqual([onlyOf(r.map, A), onlyOf(r.map, B)], [PEER_FIRST, PEER_BOTH]);
    r.join(A, [1]);
    r.shrink();
    assert.equal(onlyOf(r.map, A), PEER_BOTH, 'it is back');
  });

  it('with a row is not asked of the old ones alone, whatever addresses say', () => {
    const r = peerSetsRig();
    r.join(A, [1]);
    r.update();
    r.join(A, [1, 2]);
    r.update({ leaving: [A] });
    assert.equal(onlyOf(r.map, A), PEER_BOTH);
  });
});

describe('an identity that is gone', () => {
  it('stays while an address has it, and is removed from its first block on', () => {
    const r = peerSetsRig();
    r.join(A, range(1, 40));
    r.update();
    r.leave(A);
    r.update();
    r.update();
    assert.deepEqual(seen(r.map, A), range(1, 40));
    const check = (): void => assert.equal(seen(r.map, A), undefined);
    assert.equal(
      watch(r.map, check, () => r.shrink({ fresh: [A] })),
      3,
    );
    assert.deepEqual([r.map.size, r.counted.size], [0, 0]);
    r.update({ fresh: [A] });
    assert.deepEqual([r.sync.pending(), r.counted.status().deletes], [[], 3], 'nothing is left to be done');
  });
});

it('rows that change between the plan and the first write belong to the next update', () => {
  const r = peerSetsRig();
  r.join(A, [1, 2]);
  r.sync.plan();
  r.join(A, [3]);
  r.sync.extend({ isFresh: () => false, isLeaving: () => false, isNamed: () => false, isKept: () => false });
  assert.deepEqual(seen(r.map, A), [1, 2], 'what is written now names these');
  r.update();
  assert.deepEqual(seen(r.map, A), [3]);
});

describe('an identity that leaves a set which goes on being named', () => {
  const leaving = () => {
    const r = peerSetsRig();
    r.join(A, range(1, 20));
    r.update();
    r.join(A, [2, 30]);
    return r;
  };

  it('is denied until only the new editions are asked', () => {
    const r = leaving();
    const check = (): void => assert.equal(seen(r.map, A), undefined);
    watch(r.map, check, () => r.extend({ kept: [1] }));
    r.shrink({ named: [1] });
    r.extend({ kept: [1] });
    assert.deepEqual([seen(r.map, A), r.sync.pending()], [undefined, [`peer ${A}: in other sets than before`]]);
    r.sync.readmit();
    assert.deepEqual([seen(r.map, A), r.sync.pending(), r.counted.size], [[2, 30], [], 1]);
    r.update({ named: [1], kept: [1] });
    assert.deepEqual(seen(r.map, A), [2, 30]);
  });

  it('is denied likewise if it joins one that is named already, unless it is the node', () => {
    for (const id of [A, RESERVED.host]) {
      const r = peerSetsRig();
      r.join(id, [1]);
      r.update();
      r.join(id, [1, 2, 3]);
      r.extend({ named: [1, 3] });
      assert.deepEqual(seen(r.map, id), id === A ? undefined : [1, 2, 3]);
      r.sync.readmit();
      assert.deepEqual(seen(r.map, id), [1, 2, 3]);
    }
  });

  it('is what was planned until the next update, and goes if it is gone', () => {
    const r = leaving();
    r.extend({ kept: [1] });
    r.join(A, [3]);
    r.sync.readmit();
    assert.deepEqual(seen(r.map, A), [2, 30]);
    r.update({ named: [2], kept: [2] });
    assert.deepEqual(seen(r.map, A), [3]);
    r.join(A, [4]);
    r.extend({ kept: [3] });
    r.leave(A);
    r.update({ fresh: [A] });
    assert.deepEqual([r.map.size, r.sync.pending()], [0, []]);
  });

  it('begins anew at once if no address has it', () => {
    const r = leaving();
    assert.equal(r.extend({ kept: [1], fresh: [A] }), true);
    assert.deepEqual([seen(r.map, A), onlyOf(r.map, A)], [[2, 30], PEER_SECOND]);
  });

  it('is not denied for sets that only the old editions name', () => {
    const r = leaving();
    r.extend({ kept: [2] });
    assert.deepEqual(seen(r.map, A), [...range(1, 20), 30]);
  });

  it('keeps policy from getting wider if it cannot be denied', () => {
    const r = leaving();
    const remove = r.map.delete;
    r.map.delete = () => {
      throw new Error('no');
    };
    assert.equal(r.extend({ kept: [1] }), false);
    r.map.delete = remove;
    assert.equal(r.extend({ kept: [1] }), true);
    r.sync.readmit();
    assert.deepEqual([seen(r.map, A), r.map.size], [[2, 30], 1]);
  });
});

describe('what a dead agent left', () => {
  const block = (more: number, ...sets: readonly number[]): PeerSetsValue => ({
    identity: A,
    more,
    only: PEER_BOTH,
    sets: Array.from({ length: PEER_SETS_EACH }, (_, i) => sets[i] ?? 0),
  });
  const cases = [
    { what: 'whole', left: { 0: block(1, 1, 2), 1: block(0, 3) }, known: [1, 2, 3], writes: 2 },
    { what: 'a second block that the first one does not speak of', left: { 0: block(0, 1, 2), 1: block(0, 3) } },
    { what: 'no first block', left: { 1: block(1, 2), 2: block(0, 3) } },
    { what: 'no middle block', left: { 0: block(0, 1, 2), 2: block(0, 3) } },
    { what: 'no last block', left: { 0: block(1, 1, 2) } },
  ];
  for (const { what, left, known, writes } of cases) {
    it(`says in the end what the row says, and all of it can be removed: ${what}`, () => {
      const map: SetsMap = fakeMap(peerSetsKey);
      for (const [at, value] of Object.entries(left)) map.set({ identity: A, block: Number(at) }, value);
      const before = seen(map, A);
      if (known) assert.deepEqual(before, known);
      const r = peerSetsRig(map);
      r.join(A, [2, 3, 4]);
      const check = (): void => {
        const now = seen(map, A);
        if (now && !before) assert.deepEqual(now, [2, 3, 4], 'from denied to all of it');
        for (const set of [2, 3]) if (before?.includes(set)) assert.ok(now?.includes(set), `${set}`);
      };
      const count = watch(map, check, r.update);
      if (writes) assert.equal(count, writes);
      r.update();
      assert.deepEqual([seen(map, A), r.sync.pending(), r.counted.size], [[2, 3, 4], [], map.size]);
      r.leave(A);
      r.update({ fresh: [A] });
      assert.equal(map.size, 0);
    });
  }

  it('is whole as soon as its first block says that there is a second one, also if nothing else is to be written', () => {
    const map: SetsMap = fakeMap(peerSetsKey);
    map.set({ identity: A, block: 0 }, block(0, ...range(1, PEER_SETS_EACH)));
    map.set({ identity: A, block: 1 }, block(0, PEER_SETS_EACH + 1)); // the agent died before the next write
    const r = peerSetsRig(map);
    r.join(A, range(1, PEER_SETS_EACH + 1));
    r.extend();
    assert.deepEqual([seen(map, A), r.counted.size], [range(1, PEER_SETS_EACH + 1), 2]);
  });

  for (const only of [PEER_FIRST, PEER_SECOND]) {
    it(`is asked of both editions again before anything else is written (${only})`, () => {
      const map: SetsMap = fakeMap(peerSetsKey);
      map.set({ identity: A, block: 0 }, { ...block(1, 1), only });
      map.set({ identity: A, block: 1 }, block(0, 2));
      const r = peerSetsRig(map);
      r.join(A, [1, 2]);
      r.shrink(); // an update begins with it
      assert.deepEqual([onlyOf(map, A), seen(map, A)], [PEER_BOTH, [1, 2]]);
    });
  }

  it('goes if nobody knows the identity, when no address has it', () => {
    const map: SetsMap = fakeMap(peerSetsKey);
    map.set({ identity: A, block: 0 }, block(0, 1));
    map.set({ identity: B, block: 1 }, block(0, 2));
    const r = peerSetsRig(map);
    r.update();
    assert.deepEqual([seen(map, A), map.size], [[1], 1]);
    r.update({ fresh: [A] });
    assert.deepEqual([map.size, r.sync.pending()], [0, []]);
  });
});
