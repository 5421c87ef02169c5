import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { EditionUse, SubjectValue } from '#bpf/abi.ts';
import { type Identity, identity } from '#common/ids.ts';
import { type Edition, NO_EDITION } from './editions.ts';
import { type FakeMap, fakeMap } from './fake-map.ts';
import { type Codec, countMap } from './map.ts';
import { createSubjectPointers, type SubjectPointers } from './subject-pointers.ts';

const [X, Y, Z] = [identity(300), identity(301), identity(302)];
const NO_USE: EditionUse = { edition: 0, also: 0, filter: [0, 0, 0, 0, 0, 0, 0, 0] };
const U32: Codec<number> = {
  size: 4,
  encode: (value) => new Uint8Array(Uint32Array.of(value).buffer),
  decode: () => assert.fail('not used'),
};

function edition(number: number, ...filter: readonly number[]): Edition {
  return { ...NO_EDITION, number, filter: NO_EDITION.filter.map((_, i) => filter[i] ?? 0) };
}

const [E1, E2, E3] = [edition(1, 1), edition(2, 2), edition(3, 4)];

function rig(map: FakeMap<number, SubjectValue> = fakeMap(U32)) {
  const pointers = createSubjectPointers(countMap('subjects', map));
  const set = (id: Identity, next: Edition, also?: Edition, direction: 'ingress' | 'egress' = 'ingress'): void =>
    pointers.set({ identity: id, direction }, next, also);
  return { map, pointers, set };
}

/** "edition+also" of ingress and egress, by the map. */
function said(map: FakeMap<number, SubjectValue>, id: Identity): string | undefined {
  const row = map.get(id);
  return row && [row.ingress, row.egress].map((use) => `${use.edition}+${use.also}`).join(' ');
}

function isWritten(pointers: SubjectPointers, ...ids: readonly Identity[]): readonly boolean[] {
  return ids.map((id) => pointers.isWritten({ identity: id, direction: 'ingress' }));
}

/** Writes and deletes of these identities fail. */
function breakMap(
  map: FakeMap<number, SubjectValue>,
  { writes = [] as number[], deletes = [] as number[] },
): () => void {
  const { set, delete: remove } = map;
  map.set = (key, value) => {
    if (writes.includes(key)) throw new Error('broken');
    set(key, value);
  };
  map.delete = (key) => {
    if (deletes.includes(key)) throw new Error('broken');
    return remove(key);
  };
  return () => Object.assign(map, { set, delete: remove });
}

describe('createSubjectPointers', () => {
  it('writes what was set when it is flushed', () => {
    const { map, pointers, set } = rig();
    set(X, E1);
    set(X, E2, E3, 'egress');
    assert.deepEqual([said(map, X), isWritten(pointers, X)], [undefined, [false]]);
    assert.equal(pointers.flush(), true);
    assert.deepEqual([said(map, X), isWritten(pointers, X)], ['1+0 2+3', [true]]);
    set(X, E2);
    assert.deepEqual([said(map, X), isWritten(pointers, X)], ['1+0 2+3', [false]]);
    pointers.flush();
    assert.equal(said(map, X), '2+0 2+3');
  });

  it('writes nothing that the map says already', () => {
    const { map, pointers, set } = rig();
    set(X, E1, E2);
    pointers.flush();
    set(X, E1, E2);
    assert.deepEqual([pointers.flush(), map.writes], [true, 1]);
  });

  it('tells the kernel the sets of both editions', () => {
    const { map, pointers, set } = rig();
    set(X, edition(1, 0x8000_0001, 8), edition(2, 2, 1));
    set(X, edition(3, 0, 5), undefined, 'egress');
    pointers.flush();
    assert.deepEqual(map.get(X), {
      identity: X,
      ingress: { edition: 1, also: 2, filter: [0x8000_0003, 9, 0, 0, 0, 0, 0, 0] },
      egress: { edition: 3, also: 0, filter: [0, 5, 0, 0, 0, 0, 0, 0] },
    });
  });

  it('says nothing beside an edition without entries, which denies whatever the other one says', () => {
    const { map, pointers, set } = rig();
    set(X, NO_EDITION, E1);
    set(X, E2, undefined, 'egress');
    set(Y, E1, NO_EDITION);
    set(Y, E2, undefined, 'egress');
    pointers.flush();
    assert.deepEqual([map.get(X)?.ingress, map.get(Y)?.ingress], [NO_USE, NO_USE]);
  });

  it('has no row for who is denied in both directions', () => {
    const { map, pointers, set } = rig();
    set(X, NO_EDITION);
    pointers.flush();
    assert.deepEqual([map.writes, isWritten(pointers, X)], [0, [true]]);
    set(X, E1);
    set(X, E1, undefined, 'egress');
    pointers.flush();
    set(X, NO_EDITION);
    pointers.flush();
    assert.equal(said(map, X), '0+0 1+0');
    set(X, NO_EDITION, undefined, 'egress');
    pointers.flush();
    assert.deepEqual([map.size, isWritten(pointers, X)], [0, [true]]);
  });

  it('removes a row that cannot be written, writes the others, and comes back to it when it is set again', () => {
    const { map, pointers, set } = rig();
    for (const id of [X, Y, Z]) set(id, E1);
    pointers.flush();
    const repair = breakMap(map, { writes: [Y] });
    for (const id of [X, Y, Z]) set(id, E2);
    assert.equal(pointers.flush(), true, 'it is denied: nobody has what he had');
    assert.deepEqual([said(map, X), said(map, Y), said(map, Z)], ['2+0 0+0', undefined, '2+0 0+0']);
    assert.deepEqual(isWritten(pointers, X, Y, Z), [true, false, true]);
    repair();
    set(Y, E2);
    assert.equal(pointers.flush(), true);
    assert.deepEqual([said(map, Y), isWritten(pointers, Y)], ['2+0 0+0', [true]]);
  });

  it('leaves a new one denied that finds no room, until it is set again', () => {
    const { map, pointers, set } = rig();
    map.capacity = 2;
    for (const id of [X, Y, Z]) set(id, E1);
    assert.equal(pointers.flush(), true);
    assert.deepEqual([said(map, Z), isWritten(pointers, X, Y, Z)], [undefined, [true, true, false]]);
    set(X, NO_EDITION);
    set(Z, E1);
    pointers.flush(); // what goes makes room for what comes
    assert.deepEqual([said(map, Z), isWritten(pointers, X, Y, Z)], ['1+0 0+0', [true, true, true]]);
  });

  it('writes the others when a new one cannot be written', () => {
    const { map, pointers, set } = rig();
    breakMap(map, { writes: [Y] });
    for (const id of [X, Y, Z]) set(id, E1);
    assert.equal(pointers.flush(), true);
    assert.deepEqual([said(map, Y), isWritten(pointers, X, Y, Z)], [undefined, [true, false, true]]);
  });

  it('says so as long as somebody may still have what he had', () => {
    for (const next of [E2, NO_EDITION]) {
      const { map, pointers, set } = rig();
      for (const id of [X, Y]) set(id, E1);
      pointers.flush();
      const repair = breakMap(map, { writes: [X], deletes: [X] });
      for (const id of [X, Y]) set(id, next);
      assert.deepEqual([pointers.flush(), isWritten(pointers, X, Y)], [false, [false, true]]);
      assert.equal(said(map, X), '1+0 0+0');
      set(X, next);
      assert.deepEqual([pointers.flush(), isWritten(pointers, X)], [false, [false]]);
      repair();
      assert.deepEqual([pointers.flush(), isWritten(pointers, X)], [true, [true]]);
      assert.equal(said(map, X), next === E2 ? '2+0 0+0' : undefined);
    }
  });

  it('adopts what a dead agent left: who is asked for what', () => {
    const first = rig();
    first.set(X, E1, E2);
    first.set(Y, E3, undefined, 'egress');
    first.pointers.flush();
    const { map, pointers, set } = rig(first.map);
    assert.deepEqual(
      pointers.adopted().map(([name, use]) => [name.identity, name.direction, use.edition, use.also]),
      [
        [X, 'ingress', 1, 2],
        [Y, 'egress', 3, 0],
      ],
    );
    assert.deepEqual(isWritten(pointers, X, Y), [true, true]);
    set(X, NO_EDITION);
    set(Y, E1, undefined, 'ingress');
    pointers.flush();
    assert.deepEqual([said(map, X), said(map, Y)], [undefined, '1+0 3+0']);
  });
});
