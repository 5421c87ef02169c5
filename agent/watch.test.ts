import assert from 'node:assert/strict';
import { test } from 'node:test';
import { watchLateWorkers } from './watch.ts';

test('watchLateWorkers replaces a worker that stays late, once, and leaves one that catches up', (context) => {
  context.mock.timers.enable({ apis: ['setInterval'] });
  const worker = { build: '', sent: 2, acknowledged: 1, current: true, recordsDropped: 0 };
  let workers = [
    { ...worker, slot: 0, pid: 10, late: true },
    { ...worker, slot: 1, pid: 11, late: true },
    { ...worker, slot: 2, pid: 12, late: false },
  ];
  const replaced: number[] = [];
  const seen = new Set<string | undefined>();
  const control = {
    workers(which?: string) {
      seen.add(which);
      return workers;
    },
  };
  const stop = watchLateWorkers(control, ({ slot }) => replaced.push(slot));
  context.mock.timers.tick(14_000);
  workers = workers.map((w) => ({ ...w, late: w.slot === 0 }));
  context.mock.timers.tick(10_000);
  assert.deepEqual(replaced, [0]);
  assert.deepEqual([...seen], ['running'], 'those that are not attached too');
  stop();
});
