import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Identity, identity, type PeerSetId, peerSetId } from '#common/ids.ts';
import { createTable } from '#common/table.ts';
import type { Selector } from '#mesh-config/model.ts';
import { type AllocatorState, createAllocator } from '../identity/allocator.ts';
import type { PeerSetsRow } from '../tables.ts';
import { createPeerSets, MAX_IDLE, type PeerSet } from './peer-sets.ts';
import { createSelectorCache } from './selector-cache.ts';

const [A, B] = [identity(300), identity(301)];

/** Nobody is known. `state` and `max`: of the numbers of sets. */
function rig({ state, max = 1000 }: { readonly state?: AllocatorState; readonly max?: number } = {}) {
  const table = createTable<PeerSetsRow>('peer sets');
  const numbers = createAllocator({ name: 'peer set', min: 1, max }, peerSetId, state);
  const cache = createSelectorCache((_, member) => sets.touch(member));
  const sets = createPeerSets(table, cache, numbers);
  return {
    sets,
    numbers,
    /** The set of peers of which one of `apps` is the label; only the set holds the selectors. */
    take(...apps: readonly (string | Selector)[]): PeerSet | undefined {
      const selectors = apps.map((text) => cache.acquire(typeof text === 'string' ? app(text) : text));
      const set = sets.acquire(selectors);
      for (const selector of selectors) cache.release(selector);
      return set;
    },
    come(id: Identity, ...apps: readonly string[]): void {
      cache.addIdentity(
        id,
        apps.map((value) => `k8s:app=${value}`),
      );
      sets.touch(id);
    },
    go(id: Identity): void {
      cache.removeIdentity(id);
      sets.touch(id);
    },
    /** Of an identity, after bringing the rows up to date; undefined: there is no row. */
    row(id: Identity): readonly PeerSetId[] | undefined {
      sets.recompute();
      return table.get(String(id))?.sets;
    },
  };
}

function app(...values: readonly string[]): Selector {
  return { requirements: [{ source: 'any', key: 'app', operator: 'In', values }] };
}

function idOf(set: PeerSet | undefined): PeerSetId {
  assert.ok(set);
  return set.id;
}

describe('createPeerSets', () => {
  it('gives equal lists of selectors one set, whatever their order, and others another one', () => {
    const r = rig();
    const first = idOf(r.take('a', 'b'));
    assert.equal(idOf(r.take('b', 'a')), first);
    const others = [r.take('a'), r.take('b'), r.take('a', 'b', 'c'), r.take('a', 'c')].map(idOf);
    assert.equal(new Set([first, ...others]).size, 5);
  });

  it('lists the sets of each identity ascending, once each', () => {
    const state = { next: 1, numbers: { [`${keyOf('a')}|${keyOf('b')}`]: 9, [keyOf('a')]: 2, [keyOf('b')]: 5 } };
    const r = rig({ state });
    r.come(A, 'a', 'b');
    for (const apps of [['a', 'b'], ['b'], ['a'], ['c']]) r.take(...apps);
    assert.deepEqual(r.row(A), [2, 5, 9]);
  });

  it('has a row for each known identity, also for one in no set', () => {
    const r = rig();
    assert.equal(r.row(A), undefined);
    r.come(A);
    assert.deepEqual(r.row(A), []);
    r.take('a');
    assert.deepEqual(r.row(A), []);
    r.go(A);
    assert.equal(r.row(A), undefined);
  });

  it('follows identities that come, go, and come again with other labels', () => {
    const r = rig();
    r.come(A, 'a');
    const [a, b] = [idOf(r.take('a')), idOf(r.take('b'))];
    assert.deepEqual(r.row(A), [a]);
    r.come(B, 'a', 'b');
    assert.deepEqual([r.row(A), r.row(B)], [[a], [a, b]]);
    r.go(A);
    r.come(A, 'b');
    assert.deepEqual([r.row(A), r.row(B)], [[b], [a, b]]);
    r.go(B);
    assert.deepEqual([r.row(A), r.row(B)], [[b], undefined]);
  });

  it('writes no row that says the same', () => {
    const table = createTable<PeerSetsRow>('peer sets');
    const cache = createSelectorCache(() => {});
    const sets = createPeerSets(table, cache, createAllocator({ name: 'peer set', min: 1, max: 9 }, peerSetId));
    let changes = 0;
    table.subscribe(() => void changes++);
    cache.addIdentity(A, ['k8s:app=a']);
    sets.acquire([cache.acquire(app('a'))]);
    for (let i = 0; i < 2; i++) {
      sets.touch(A);
      sets.recompute();
    }
    assert.equal(changes, 1);
  });

  it('keeps a set that nobody uses, and its number, until more than MAX_IDLE are idle', () => {
    const r = rig();
    r.come(A, 'a', 'x');
    const a = r.take('a');
    const x = idOf(r.take('x')); // in use all the time
    const letGo = (count: number): void => {
      const others = Array.from({ length: count }, (_, i) => r.take(`other ${i}`));
      for (const set of others) if (set) r.sets.release(set);
    };
    r.sets.release(a as PeerSet);
    letGo(MAX_IDLE - 1);
    assert.deepEqual(r.row(A), [idOf(a), x]);
    assert.equal(r.take('a'), a, 'it is found again');
    letGo(MAX_IDLE + 1);
    assert.deepEqual(r.row(A), [idOf(a), x], 'in use again');
    r.sets.release(a as PeerSet);
    assert.deepEqual(r.row(A), [idOf(a), x], 'not the one idle for longest');
    letGo(MAX_IDLE);
    assert.deepEqual(r.row(A), [x]);
    assert.equal(r.numbers.used, MAX_IDLE + 1);
    assert.equal(idOf(r.take('a')), idOf(a), 'it still has its number');
    assert.deepEqual(r.row(A), [idOf(a), x]);
  });

  it('counts references: a set is in use until all are given back', () => {
    const r = rig();
    r.come(A, 'a');
    const a = r.take('a');
    r.take('a');
    r.sets.release(a as PeerSet);
    for (let i = 0; i <= MAX_IDLE; i++) r.sets.release(r.take(`other ${i}`) as PeerSet);
    assert.deepEqual(r.row(A), [idOf(a)]);
  });

  it('gives a set the number it had before a restart, in whatever order sets are acquired', () => {
    const long = app(...Array.from({ length: 100 }, (_, i) => `value ${i}`));
    const longer = app(...Array.from({ length: 101 }, (_, i) => `value ${i}`));
    const lists = [['a'], ['b'], ['a', 'b'], ['c', 'b', 'a'], [long], [longer], [long, 'a']];
    const before = rig();
    const numbers = lists.map((list) => idOf(before.take(...list)));
    assert.equal(new Set(numbers).size, lists.length);
    const after = rig({ state: before.numbers.state() });
    const again = lists.map((list) => [...list].reverse()).reverse();
    assert.deepEqual(
      again.map((list) => idOf(after.take(...list))),
      numbers.reverse(),
    );
    const keys = Object.keys(before.numbers.state().numbers);
    assert.ok(
      keys.every((key) => key.length <= 200),
      'keys of the state are short',
    );
  });

  it('says that no number is left, and no longer when there is one', () => {
    const max = MAX_IDLE + 1;
    const r = rig({ max });
    const all = Array.from({ length: max }, (_, i) => r.take(`other ${i}`));
    assert.deepEqual(r.sets.problems(), []);
    assert.equal(r.take('a'), undefined);
    assert.deepEqual(r.sets.problems(), [`Cannot allocate peer set: all ${max} numbers from 1 are in use`]);
    assert.equal(r.take('other 0'), all[0], 'one that exists can be used');
    for (const set of [...all, all[0]]) r.sets.release(set as PeerSet);
    r.sets.recompute();
    assert.ok(r.take('a'));
    assert.deepEqual(r.sets.problems(), []);
  });
});

/** What the allocator knows a set of one selector by. */
function keyOf(value: string): string {
  return JSON.stringify(['any', 'app', 'In', [value]]);
}
