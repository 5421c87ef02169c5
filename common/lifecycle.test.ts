import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLifecycle } from './lifecycle.ts';

test('createLifecycle stops parts in reverse, goes on after a failure, and waits for none for ever', async () => {
  const lifecycle = createLifecycle();
  const stopped: string[] = [];
  lifecycle.add('first', () => void stopped.push('first'));
  lifecycle.add('broken', () => {
    throw new Error('broken');
  });
  lifecycle.add('stuck', () => new Promise(() => {}));
  lifecycle.add('last', async () => void stopped.push('last'));
  const failures: string[] = [];
  // Keeps the process alive: the abort timer alone does not.
  const alive = setInterval(() => {}, 1_000);
  await lifecycle.stop((name, error) => failures.push(`${name}: ${(error as Error).message}`), 20);
  clearInterval(alive);
  assert.deepEqual(stopped, ['last', 'first']);
  assert.deepEqual(failures, ['stuck: Cannot stop stuck: not done after 20 ms', 'broken: broken']);
});
