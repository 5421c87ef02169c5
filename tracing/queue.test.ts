import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exchange } from './exchange.fixture.ts';
import { createZipkinQueue } from './queue.ts';
import type { SpanRecord } from './span.ts';

const span = (n: number, target = '/'): SpanRecord => ({
  kind: 'SERVER',
  traceId: 'a'.repeat(32),
  spanId: n.toString(16).padStart(16, '0'),
  parentSpanId: undefined,
  traceState: undefined,
  exchange: exchange({ target }),
});

function idsOf(body: { body(): Buffer } | undefined): number[] {
  assert.ok(body);
  return JSON.parse(body.body().toString()).map(({ id }: { id: string }) => Number.parseInt(id, 16));
}

test('createZipkinQueue gives batches in order, and counts what waits', () => {
  const queue = createZipkinQueue({ limit: 6, batchSize: 2 });
  assert.deepEqual(
    [1, 2, 3, 4, 5].map((n) => queue.push(span(n))),
    Array(5).fill(true),
  );
  assert.deepEqual(idsOf(queue.take()), [1, 2]);
  assert.equal(queue.size, 3);
  for (const n of [6, 7, 8]) assert.ok(queue.push(span(n)));
  assert.ok(!queue.push(span(9)));
  assert.deepEqual(
    [idsOf(queue.take()), idsOf(queue.take()), idsOf(queue.take())],
    [
      [3, 4],
      [5, 6],
      [7, 8],
    ],
  );
  assert.equal(queue.take(), undefined);
  assert.equal(queue.size, 0);
});

test('createZipkinQueue writes into a body again once the one after it has arrived, never before', () => {
  const queue = createZipkinQueue({ limit: 100, batchSize: 1 });
  const arrived = [1, 2].map((n) => {
    queue.push(span(n));
    const body = queue.take();
    assert.ok(body);
    return body;
  });
  const [first, second] = arrived;
  assert.ok(first && second);
  const bytes = first.body();
  const text = bytes.toString();
  queue.release(first); // its answer has come, but the server may still be reading it
  queue.push(span(3));
  assert.equal(bytes.toString(), text);
  const third = queue.take();
  assert.ok(third && third !== first);
  queue.release(second);
  queue.push(span(4));
  assert.equal(queue.take(), first);
  assert.deepEqual(idsOf(first), [4]);
});

test('createZipkinQueue is full of bytes before it is full of large spans', () => {
  const limit = 20_000;
  const queue = createZipkinQueue({ limit, batchSize: 512 });
  const target = `/${'x'.repeat(2_000)}`;
  let taken = 0;
  while (taken < limit && queue.push(span(taken, target))) taken++;
  assert.ok(taken * 2_000 < 16 * 2 ** 20, `${taken} spans`);
  assert.ok(taken > 2_000, `${taken} spans`);
  while (queue.take() !== undefined);
  assert.ok(queue.push(span(1)));
});
