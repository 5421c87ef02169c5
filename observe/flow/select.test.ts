import assert from 'node:assert/strict';
import { test } from 'node:test';
import { flow } from './flow.fixture.ts';
import type { FlowsResponse } from './model.ts';
import { flowsPerSecond } from './observer.ts';
import { createFlowRing, type FlowRing } from './ring.ts';
import { type FlowQuery, selectFlows } from './select.ts';

const ALL: FlowQuery = {
  matches: () => true,
  number: 0,
  first: false,
  follow: false,
  since: undefined,
  until: undefined,
};
const ns = (second: number): bigint => BigInt(second) * 1_000_000_000n;

/** A ring with one flow for each second from 1 to `count`; even ones are dropped. */
function filled(count: number, capacity?: number): FlowRing {
  const ring = createFlowRing(capacity);
  for (let second = 1; second <= count; second++) {
    ring.push({ kind: 'flow', flow: flow({ verdict: second % 2 ? 'FORWARDED' : 'DROPPED' }, second) });
  }
  return ring;
}

function what(response: FlowsResponse | undefined): number | string | undefined {
  if (response?.lost_events) return `${response.lost_events.source} ${response.lost_events.num_events_lost}`;
  return response?.flow ? Number(response.flow.time.seconds) : undefined;
}

async function select(ring: FlowRing, query: Partial<FlowQuery>): Promise<unknown[]> {
  const signal = new AbortController().signal;
  const found: unknown[] = [];
  for await (const response of selectFlows({ ...ALL, ...query }, { ring, node: 'node0', signal }))
    found.push(what(response));
  return found;
}

const dropped: FlowQuery['matches'] = (f) => f.verdict === 'DROPPED';

const CASES: readonly {
  name: string;
  count: number;
  capacity?: number;
  query: Partial<FlowQuery>;
  found: unknown[];
}[] = [
  { name: 'everything', count: 4, query: {}, found: [1, 2, 3, 4] },
  { name: 'an empty ring', count: 0, query: { number: 3 }, found: [] },
  { name: 'the last', count: 6, query: { number: 2 }, found: [5, 6] },
  { name: 'the last that match', count: 6, query: { number: 2, matches: dropped }, found: [4, 6] },
  { name: 'more than there are', count: 2, query: { number: 9 }, found: [1, 2] },
  { name: 'the first', count: 6, query: { number: 2, first: true, matches: dropped }, found: [2, 4] },
  { name: 'since and until, both included', count: 6, query: { since: ns(3), until: ns(5) }, found: [3, 4, 5] },
  { name: 'the last within a time', count: 9, query: { until: ns(7), number: 2 }, found: [6, 7] },
  { name: 'what an overfull ring still has', count: 10, capacity: 4, query: {}, found: [7, 8, 9, 10] },
  { name: 'nothing', count: 6, query: { matches: () => false }, found: [] },
];

for (const { name, count, capacity, query, found } of CASES) {
  test(`\`selectFlows\` gives ${name}`, async () =>
    assert.deepEqual(await select(filled(count, capacity), query), found));
}

test('`selectFlows` follows: the last ones, then what comes, until it is aborted', async () => {
  const ring = filled(3);
  const abort = new AbortController();
  const stream = selectFlows(
    { ...ALL, number: 1, follow: true, matches: (f) => Number(f.time.seconds) % 5 !== 0 },
    {
      ring,
      node: 'node0',
      signal: abort.signal,
    },
  );
  assert.equal(what((await stream.next()).value), 3);
  const next = stream.next();
  for (const second of [5, 6]) ring.push({ kind: 'flow', flow: flow({}, second) });
  assert.equal(what((await next).value), 6);
  const last = stream.next();
  abort.abort();
  assert.equal((await last).done, true);
});

test('`selectFlows` that only follows starts with what is to come', async () => {
  const ring = filled(3);
  const abort = new AbortController();
  const stream = selectFlows({ ...ALL, follow: true }, { ring, node: 'node0', signal: abort.signal });
  const next = stream.next();
  ring.push({ kind: 'flow', flow: flow({}, 4) });
  assert.equal(what((await next).value), 4);
  abort.abort();
});

test('`selectFlows` tells a reader that was too slow how much it lost', async () => {
  const ring = filled(2, 4);
  const stream = selectFlows(
    { ...ALL, follow: true, since: 0n },
    { ring, node: 'node0', signal: new AbortController().signal },
  );
  assert.equal(what((await stream.next()).value), 1);
  for (let second = 3; second <= 10; second++) ring.push({ kind: 'flow', flow: flow({}, second) });
  assert.equal(what((await stream.next()).value), 'HUBBLE_RING_BUFFER 5');
  assert.equal(what((await stream.next()).value), 7);
});

test('`selectFlows` hands on what was lost before the ring, whatever the filter', async () => {
  const ring = filled(1);
  ring.push({ kind: 'lost', source: 'PERF_EVENT_RING_BUFFER', count: 12, time: { seconds: 2 } });
  assert.deepEqual(await select(ring, { matches: () => false }), ['PERF_EVENT_RING_BUFFER 12']);
});

test('`createFlowRing` counts flows and forgets what was overwritten', () => {
  const ring = filled(10, 4);
  assert.deepEqual([ring.size, ring.seen, ring.oldest, ring.next], [4, 10, 6, 10]);
  assert.equal(ring.at(5), undefined);
  assert.equal(ring.at(10), undefined);
  assert.equal(ring.at(6)?.kind, 'flow');
  assert.equal(createFlowRing().capacity, 4095);
});

test('`flowsPerSecond` looks at the last minute, or at what the ring holds', () => {
  const cases = [
    { name: 'none', ring: filled(0), nowMs: 60_000, rate: 0 },
    { name: 'one a second', ring: filled(120), nowMs: 120_000, rate: 61 / 60 },
    { name: 'overfull ring', ring: filled(120, 10), nowMs: 120_000, rate: 10 / 9 },
    { name: 'long ago', ring: filled(10), nowMs: 1_000_000, rate: 0 },
  ];
  for (const { name, ring, nowMs, rate } of cases) assert.equal(flowsPerSecond(ring, nowMs), rate, name);
});
