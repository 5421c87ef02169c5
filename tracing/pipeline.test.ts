import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { exchange } from './exchange.fixture.ts';
import { createSpanPipeline, readBackends, type SpanPipeline } from './pipeline.ts';
import type { SpanRecord } from './span.ts';

const span = (n: number): SpanRecord => ({
  kind: 'SERVER',
  traceId: 'a'.repeat(32),
  spanId: (n + 1).toString(16).padStart(16, '0'),
  parentSpanId: undefined,
  traceState: undefined,
  exchange: exchange(),
});

interface Scene {
  readonly pipeline: SpanPipeline;
  /** Spans in each request that the server got. */
  readonly batches: number[];
}

/** A Zipkin server that answers as `answer` says, and a pipeline to it. */
async function scene(answer: RequestListener | 'away', run: (scene: Scene) => Promise<void>): Promise<void> {
  const batches: number[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    batches.push(JSON.parse(Buffer.concat(chunks).toString()).length);
    if (answer !== 'away') answer(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/api/v2/spans`);
  if (answer === 'away') await new Promise((resolve) => server.close(resolve));
  const pipeline = createSpanPipeline({
    backends: { zipkin: url, otlpGrpc: undefined, otlpHttp: undefined },
    queueSize: 100,
    batchSize: 10,
    intervalMs: 20,
  });
  try {
    await run({ pipeline, batches });
  } finally {
    await pipeline.close();
    server.closeAllConnections();
    server.close();
  }
}

async function until(what: () => boolean): Promise<void> {
  const end = Date.now() + 10_000;
  while (!what()) {
    assert.ok(Date.now() < end, 'waited 10 s');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const stats = (pipeline: SpanPipeline) => {
  const [only] = pipeline.stats();
  assert.ok(only);
  return only;
};

test('createSpanPipeline sends full batches at once and the rest after the interval', async () => {
  await scene(
    (_, response) => response.writeHead(202).end(),
    async ({ pipeline, batches }) => {
      for (let i = 0; i < 25; i++) pipeline.record(span(i));
      await until(() => stats(pipeline).exported === 25);
      assert.deepEqual(batches, [10, 10, 5]);
      assert.equal(stats(pipeline).queue, 0);
      assert.deepEqual(Object.values(stats(pipeline).dropped), [0, 0, 0, 0, 0]);
    },
  );
});

test('createSpanPipeline drops and counts what its queue cannot hold', async () => {
  await scene(
    () => {}, // never answers
    async ({ pipeline, batches }) => {
      for (let i = 0; i < 10; i++) pipeline.record(span(i));
      await until(() => batches.length === 1);
      for (let i = 0; i < 150; i++) pipeline.record(span(i));
      assert.equal(stats(pipeline).queue, 100);
      assert.equal(stats(pipeline).dropped.queue_full, 50);
      assert.equal(stats(pipeline).exported, 0);
    },
  );
});

test('createSpanPipeline gives up a batch that a slow backend does not take in time', { timeout: 20_000 }, async () => {
  await scene(
    () => {},
    async ({ pipeline }) => {
      pipeline.record(span(0));
      await until(() => stats(pipeline).dropped.timeout === 1);
      assert.match(stats(pipeline).lastError ?? '', /Cannot send spans to http.*timeout/i);
    },
  );
});

test('createSpanPipeline drops and counts spans while the backend is away', async () => {
  await scene('away', async ({ pipeline }) => {
    for (let i = 0; i < 20; i++) pipeline.record(span(i));
    await until(() => stats(pipeline).dropped.unreachable === 20);
    assert.match(stats(pipeline).lastError ?? '', /ECONNREFUSED/);
  });
});

test('createSpanPipeline tries again where that may help', async () => {
  let answers = 0;
  await scene(
    (_, response) => response.writeHead(answers++ === 0 ? 503 : 202).end(),
    async ({ pipeline, batches }) => {
      pipeline.record(span(0));
      await until(() => stats(pipeline).exported === 1);
      assert.deepEqual(batches, [1, 1]);
    },
  );
});

test('createSpanPipeline does not try again what was refused', async () => {
  await scene(
    (_, response) => response.writeHead(400).end(),
    async ({ pipeline, batches }) => {
      pipeline.record(span(0));
      await until(() => stats(pipeline).dropped.rejected === 1);
      assert.deepEqual(batches, [1]);
    },
  );
});

test('close sends what waits, and what comes later is counted', async () => {
  await scene(
    (_, response) => response.writeHead(202).end(),
    async ({ pipeline, batches }) => {
      for (let i = 0; i < 5; i++) pipeline.record(span(i));
      await pipeline.close();
      assert.deepEqual(batches, [5]);
      pipeline.record(span(5));
      assert.equal(stats(pipeline).exported, 5);
      assert.equal(stats(pipeline).dropped.shutdown, 1);
    },
  );
});

test('createSpanPipeline without backends takes spans and does nothing', async () => {
  const none = readBackends({ zipkin: '', otlpGrpc: '', otlpHttp: '' });
  assert.ok(none.ok);
  const pipeline = createSpanPipeline({ backends: none.value });
  pipeline.record(span(0));
  assert.deepEqual(pipeline.stats(), []);
  await pipeline.close();
});

test('readBackends completes paths', () => {
  const read = readBackends({ zipkin: 'http://z:9411', otlpGrpc: 'http://g:4317', otlpHttp: 'https://h/custom?x=1' });
  assert.ok(read.ok);
  assert.equal(read.value.zipkin?.href, 'http://z:9411/api/v2/spans');
  assert.equal(read.value.otlpGrpc?.href, 'http://g:4317/');
  assert.equal(read.value.otlpHttp?.href, 'https://h/custom?x=1');
});

test('readBackends names every address that is not one', () => {
  const read = readBackends({ zipkin: 'z:9411', otlpGrpc: 'ftp://g', otlpHttp: 'http://' });
  assert.ok(!read.ok);
  assert.equal(read.error.length, 3);
  assert.match(read.error[0] ?? '', /Cannot export spans to Zipkin at "z:9411"/);
});
