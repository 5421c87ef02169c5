import assert from 'node:assert/strict';
import { test } from 'node:test';
import { watchLateWorkers } from './watch.ts';

test('watchLateWorkers replaces a worker that stays late, once, and leaves one that catches up', (context) => {
  context.mock.timers.enable({ apis: ['setInterval'] });
  const worker = { build: '', sent: 2, acknowledged: 1, recordsDropped: 0 };
  let workers = [
    { ...worker, slot: 0, pid: 10, late: true },
    { ...worker, slot: 1, pid: 11, late: true },
    { ...worker, slot: 2, pid: 12, late: false },
  ];
  const replaced: number[] = [];
  const stop = watchLateWorkers({ workers: () => workers }, ({ slot }) => replaced.push(slot));
  context.mock.timers.tick(4_000);
  workers = workers.map((w) => ({ ...w, late: w.slot === 0 }));
  context.mock.timers.tick(10_000);
  assert.deepEqual(replaced, [0]);
  stop();
});
