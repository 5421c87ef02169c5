import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createBootClock } from './clock.ts';

const SECOND = 1_000_000_000n;

test('`createBootClock` turns boot time into wall time', () => {
  const cases = [
    { name: 'never suspended', monotonic: 100n * SECOND, uptime: 100.004, boot: 99n * SECOND, wall: 999n * SECOND },
    {
      name: 'suspended for an hour',
      monotonic: 100n * SECOND,
      uptime: 3_700,
      boot: 3_699n * SECOND,
      wall: 999n * SECOND,
    },
  ];
  for (const { name, monotonic, uptime, boot, wall } of cases) {
    const clock = createBootClock({
      monotonicNs: () => monotonic,
      uptimeSeconds: () => uptime,
      wallMs: () => 1_000_000,
    });
    assert.equal(clock(boot), wall, name);
  }
});

test('`createBootClock` follows a step of the wall clock, not its jitter', () => {
  let monotonic = 100n * SECOND;
  let wallMs = 1_000_000;
  const clock = createBootClock({
    monotonicNs: () => monotonic,
    uptimeSeconds: () => Number(monotonic / SECOND),
    wallMs: () => wallMs,
  });
  assert.equal(clock(100n * SECOND), 1_000n * SECOND);
  monotonic += 2n * SECOND;
  wallMs += 2_007;
  assert.equal(clock(102n * SECOND), 1_002n * SECOND, 'jitter');
  monotonic += 2n * SECOND;
  wallMs += 2_000 + 60_000;
  assert.equal(clock(104n * SECOND), 1_064n * SECOND + 7_000_000n, 'step');
});
