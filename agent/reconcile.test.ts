import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { createReconciler } from './reconcile.ts';

const RESULT = { revision: 1, complete: true, lateWorkers: [] };

test('createReconciler puts a burst of changes into one round and what comes meanwhile into the next', async () => {
  let steps = 0;
  const applies: (() => void)[] = [];
  const reconciler = createReconciler({
    compute: { step: () => ++steps > 0 },
    sync: { apply: () => new Promise((resolve) => applies.push(() => resolve(RESULT))) },
    onRound: () => {},
  });
  for (let i = 0; i < 5; i++) reconciler.poke();
  await setImmediate();
  await setImmediate();
  assert.deepEqual([steps, applies.length], [1, 1]);
  const late = reconciler.settled(); // its change may not be in the round under way
  let isSettled = false;
  void late.then(() => {
    isSettled = true;
  });
  applies[0]?.();
  await setImmediate();
  assert.deepEqual([steps, applies.length, isSettled], [2, 2, false]);
  applies[1]?.();
  assert.deepEqual(await late, RESULT);
  await reconciler.close();
});

test('createReconciler rejects those who wait for a failed round, says why, and recovers', async () => {
  let fails = true;
  const seen: string[] = [];
  const reconciler = createReconciler({
    compute: {
      step() {
        if (fails) throw new Error('disk is full');
        return true;
      },
    },
    sync: { apply: async () => RESULT },
    onRound: (outcome) => seen.push(outcome instanceof Error ? outcome.message : 'ok'),
  });
  await assert.rejects(reconciler.settled(), /disk is full/);
  assert.equal(reconciler.problem(), 'disk is full');
  fails = false;
  await reconciler.settled();
  assert.equal(reconciler.problem(), undefined);
  assert.deepEqual(seen, ['disk is full', 'ok']);
  await reconciler.close();
});

test('createReconciler gives up waiting when asked to', async () => {
  const reconciler = createReconciler({
    compute: { step: () => true },
    sync: { apply: () => new Promise(() => {}) },
    onRound: () => {},
  });
  await assert.rejects(reconciler.settled(AbortSignal.timeout(20)));
});

test('createReconciler says when nobody waits any more, and not between rounds', async () => {
  let [idle, rounds] = [0, 0];
  const reconciler = createReconciler({
    compute: { step: () => true },
    sync: {
      async apply() {
        if (++rounds === 1) reconciler.poke();
        await setImmediate();
        assert.equal(idle, 0);
        return RESULT;
      },
    },
    onRound: () => {},
    onIdle: () => void idle++,
  });
  await reconciler.settled();
  await setImmediate();
  await setImmediate();
  await setImmediate();
  assert.deepEqual([rounds, idle], [2, 1]);
  await reconciler.close();
});
