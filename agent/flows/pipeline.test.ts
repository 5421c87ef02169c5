import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Flow } from '#observe/flow/model.ts';
import { createFlowPipeline } from './pipeline.ts';
import { accessRecord, DENIED, flowEvent, sceneClock, sceneTables } from './scene.fixture.ts';

test('`createFlowPipeline` puts flows into the ring and tells the sink', () => {
  const seen: Flow[] = [];
  let records = 0;
  const pipeline = createFlowPipeline({
    node: 'node0',
    tables: sceneTables(),
    clock: sceneClock,
    sink: {
      flow: (flow) => void seen.push(flow),
      record: () => void records++,
      lost: () => assert.fail('nothing was lost'),
    },
  });
  pipeline.kernelEvent(flowEvent(DENIED));
  pipeline.accessRecords([accessRecord({})], 0);
  assert.equal(pipeline.ring.size, 4);
  assert.deepEqual(
    seen.map((flow) => flow.event_type.type),
    [5, 1],
  );
  assert.equal(records, 1);
  const entry = pipeline.ring.at(3);
  assert.ok(entry?.kind === 'flow');
  assert.equal(entry.flow.l7?.type, 'RESPONSE');
  assert.equal(entry.flow, entry.flow, 'it is made once');
  pipeline.close();
});

test('`createFlowPipeline` shows losses once a second, with what has come together', () => {
  let now = 10_000;
  const lost: number[] = [];
  const pipeline = createFlowPipeline({
    node: 'node0',
    tables: sceneTables(),
    clock: sceneClock,
    nowMs: () => now,
    sink: { flow: () => undefined, record: () => undefined, lost: (_, count) => void lost.push(count) },
  });
  const shown = (): unknown[] =>
    Array.from({ length: pipeline.ring.next }, (_, i) => pipeline.ring.at(i)).flatMap((entry) =>
      entry?.kind === 'lost' ? [[entry.source, entry.count]] : [],
    );
  pipeline.lost('PERF_EVENT_RING_BUFFER', 3);
  pipeline.lost('PERF_EVENT_RING_BUFFER', 2);
  pipeline.accessRecords([], 4);
  pipeline.accessRecords([], 0);
  assert.deepEqual(shown(), [
    ['PERF_EVENT_RING_BUFFER', 3],
    ['OBSERVER_EVENTS_QUEUE', 4],
  ]);
  now += 1_000;
  pipeline.kernelEvent(flowEvent({}));
  assert.deepEqual(shown().at(-1), ['PERF_EVENT_RING_BUFFER', 2]);
  assert.deepEqual(lost, [3, 2, 4]);
  pipeline.close();
});
