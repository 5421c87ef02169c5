import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createCpuMeter, spansCpuUs } from './meter.ts';

/** A meter whose clock goes on by what `work` says. */
function scene() {
  let nowUs = 1_000;
  const meter = createCpuMeter(() => nowUs);
  return {
    meter,
    work(us: number) {
      nowUs += us;
    },
  };
}

test('createCpuMeter counts from the first begin to the last end, and nothing that runs without', () => {
  const { meter, work } = scene();
  work(1);
  meter.begin();
  work(10);
  meter.begin(); // two backends are sent to
  work(100);
  meter.end();
  meter.without(() => work(1_000));
  work(20);
  meter.end();
  work(10_000);
  assert.deepEqual(meter.read(), { threadUs: 11_131, spansUs: 130, othersUs: 1_000 });
});

test('createCpuMeter goes on counting when what runs without fails', () => {
  const { meter, work } = scene();
  meter.begin();
  const fail = (): void => {
    work(5);
    throw new Error('no');
  };
  assert.throws(() => meter.without(fail), /no/);
  work(7);
  assert.deepEqual(meter.read(), { threadUs: 12, spansUs: 7, othersUs: 5 });
});

test('createCpuMeter reads the CPU time of this thread', () => {
  const meter = createCpuMeter();
  meter.begin();
  for (let i = 0; meter.read().spansUs < 1_000; i++) assert.ok(i < 1e7, 'no CPU time passes');
  assert.ok(meter.read().spansUs <= meter.read().threadUs);
});

const uses = [
  { name: 'all of it where nothing else is measured', thread: 500, spans: 10, others: 0, expected: 500 },
  { name: 'its part of what belongs to nobody', thread: 500, spans: 30, others: 10, expected: 375 },
  { name: 'nothing where there were no spans', thread: 500, spans: 0, others: 10, expected: 0 },
  { name: 'nothing where nothing ran', thread: 0, spans: 0, others: 0, expected: 0 },
];
for (const { name, thread, spans, others, expected } of uses) {
  test(`spansCpuUs gives spans ${name}`, () => {
    const before = { threadUs: 7, spansUs: 5, othersUs: 3 };
    assert.equal(spansCpuUs(before, { threadUs: 7 + thread, spansUs: 5 + spans, othersUs: 3 + others }), expected);
  });
}
