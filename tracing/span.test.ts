import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TraceContext } from './context.ts';
import { exchange } from './exchange.fixture.ts';
import { createIdSource } from './ids.ts';
import { spanIds, spansOf } from './span.ts';

const parent: TraceContext = {
  kind: 'parent',
  format: 'w3c',
  traceId: 'a'.repeat(32),
  spanId: 'b'.repeat(16),
  sampled: true,
  traceState: 'k=v',
};

test('spansOf makes the CLIENT span the parent of the SERVER span when both ends are here', () => {
  const [client, server, more] = spansOf(spanIds(parent, { client: true, server: true }, createIdSource()), exchange());
  assert.equal(more, undefined);
  assert.equal(client?.kind, 'CLIENT');
  assert.equal(client?.traceId, parent.traceId);
  assert.equal(client?.parentSpanId, parent.spanId);
  assert.equal(client?.traceState, 'k=v');
  assert.equal(server?.kind, 'SERVER');
  assert.equal(server?.traceId, parent.traceId);
  assert.equal(server?.parentSpanId, client?.spanId);
  assert.notEqual(server?.spanId, client?.spanId);
});

const oneSided = [
  { name: 'the caller', sides: { client: true, server: false }, kind: 'CLIENT' },
  { name: 'the callee', sides: { client: false, server: true }, kind: 'SERVER' },
] as const;

for (const { name, sides, kind } of oneSided) {
  test(`spansOf makes one span when only ${name} is here`, () => {
    const spans = spansOf(spanIds(parent, sides, createIdSource()), exchange());
    assert.deepEqual(
      spans.map((span) => [span.kind, span.parentSpanId]),
      [[kind, parent.spanId]],
    );
  });
}

test('spansOf makes none when neither end is here', () => {
  assert.deepEqual(spansOf(spanIds(parent, { client: false, server: false }, createIdSource()), exchange()), []);
});

for (const context of [undefined, { kind: 'decision', format: 'b3-single', sampled: true } as const]) {
  test(`spanIds begins a trace for a request with ${context ? 'a decision only' : 'no context'}`, () => {
    const ids = spanIds(context, { client: true, server: true }, createIdSource());
    assert.match(ids.traceId, /^[0-9a-f]{32}$/);
    assert.equal(ids.parentSpanId, undefined);
  });
}
