import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ContextCounters, contextCounters, readContext, type TraceContext } from './context.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';
const B3_TRACE = '463ac35c9f6413ad48485a3953bb6124';
const B3_SPAN = 'a2fb4a1d1a96d312';
const PARENT = '0020000000000001';

const w3c = (sampled: boolean, traceState?: string): TraceContext => ({
  kind: 'parent',
  format: 'w3c',
  traceId: TRACE,
  spanId: SPAN,
  sampled,
  traceState,
});
const b3 = (format: 'b3-multi' | 'b3-single', sampled: boolean | undefined, traceId = B3_TRACE): TraceContext => ({
  kind: 'parent',
  format,
  traceId,
  spanId: B3_SPAN,
  sampled,
  traceState: undefined,
});

interface Case {
  readonly name: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly expected: TraceContext | undefined;
  /** Counters that are 1; all others are 0. */
  readonly counted: readonly (keyof ContextCounters)[];
}

const invalidTraceparents: readonly { readonly name: string; readonly value: string }[] = [
  { name: 'is empty', value: '' },
  { name: 'has upper-case hex', value: `00-${TRACE.toUpperCase()}-${SPAN}-01` },
  { name: 'has a zero trace id', value: `00-${'0'.repeat(32)}-${SPAN}-01` },
  { name: 'has a zero span id', value: `00-${TRACE}-${'0'.repeat(16)}-01` },
  { name: 'is version ff', value: `ff-${TRACE}-${SPAN}-01` },
  { name: 'is version 00 and longer', value: `00-${TRACE}-${SPAN}-01-x` },
  { name: 'is a later version without a dash', value: `01-${TRACE}-${SPAN}-01x` },
  { name: 'is short', value: `00-${TRACE}-${SPAN}-0` },
  { name: 'has another separator', value: `00_${TRACE}-${SPAN}-01` },
  { name: 'has no hex in its flags', value: `00-${TRACE}-${SPAN}-0g` },
  { name: 'has no hex in its version', value: `0x-${TRACE}-${SPAN}-01` },
  { name: 'comes twice', value: `00-${TRACE}-${SPAN}-01,00-${TRACE}-${SPAN}-01` },
  { name: 'has a space', value: ` 00-${TRACE}-${SPAN}-01` },
];

const invalidB3Single: readonly { readonly name: string; readonly value: string }[] = [
  { name: 'is empty', value: '' },
  { name: 'is a word', value: 'yes' },
  { name: 'has no span id', value: `${B3_TRACE}-` },
  { name: 'has an unknown decision', value: `${B3_TRACE}-${B3_SPAN}-2` },
  { name: 'has an empty decision', value: `${B3_TRACE}-${B3_SPAN}-` },
  { name: 'has a short parent', value: `${B3_TRACE}-${B3_SPAN}-1-123` },
  { name: 'has a fifth field', value: `${B3_TRACE}-${B3_SPAN}-1-${PARENT}-1` },
  { name: 'has a trace id of 24 digits', value: `${B3_TRACE.slice(8)}-${B3_SPAN}-1` },
  { name: 'has upper-case hex', value: `${B3_TRACE.toUpperCase()}-${B3_SPAN}-1` },
  { name: 'has a zero span id', value: `${B3_TRACE}-${'0'.repeat(16)}-1` },
];

const invalidB3Multi: readonly { readonly name: string; readonly headers: Readonly<Record<string, string>> }[] = [
  { name: 'have no span id', headers: { 'x-b3-traceid': B3_TRACE } },
  { name: 'have no trace id', headers: { 'x-b3-spanid': B3_SPAN, 'x-b3-sampled': '1' } },
  { name: 'have an unknown decision', headers: { 'x-b3-sampled': 'd' } },
  { name: 'have unknown flags', headers: { 'x-b3-flags': '2' } },
  { name: 'have flags only, and unset', headers: { 'x-b3-flags': '0' } },
  {
    name: 'have a bad parent',
    headers: { 'x-b3-traceid': B3_TRACE, 'x-b3-spanid': B3_SPAN, 'x-b3-parentspanid': 'x' },
  },
  { name: 'have a zero trace id', headers: { 'x-b3-traceid': '0'.repeat(32), 'x-b3-spanid': B3_SPAN } },
];

const cases: readonly Case[] = [
  { name: 'there are no headers', headers: {}, expected: undefined, counted: [] },
  {
    name: 'traceparent is sampled',
    headers: { traceparent: `00-${TRACE}-${SPAN}-01` },
    expected: w3c(true),
    counted: ['read:w3c'],
  },
  {
    name: 'traceparent is not sampled, with other flags',
    headers: { traceparent: `00-${TRACE}-${SPAN}-fe` },
    expected: w3c(false),
    counted: ['read:w3c'],
  },
  {
    name: 'traceparent is of a later version with more fields',
    headers: { traceparent: `cc-${TRACE}-${SPAN}-01-what-the-future-holds` },
    expected: w3c(true),
    counted: ['read:w3c'],
  },
  {
    name: 'tracestate comes along',
    headers: { traceparent: `00-${TRACE}-${SPAN}-01`, tracestate: 'a=1,b=2' },
    expected: w3c(true, 'a=1,b=2'),
    counted: ['read:w3c'],
  },
  {
    name: 'tracestate is over its limit',
    headers: { traceparent: `00-${TRACE}-${SPAN}-01`, tracestate: `a=${'1'.repeat(511)}` },
    expected: w3c(true),
    counted: ['read:w3c'],
  },
  { name: 'tracestate comes alone', headers: { tracestate: 'a=1' }, expected: undefined, counted: [] },
  {
    name: 'traceparent and B3 are there',
    headers: { traceparent: `00-${TRACE}-${SPAN}-00`, b3: `${B3_TRACE}-${B3_SPAN}-1`, 'x-b3-sampled': '1' },
    expected: w3c(false),
    counted: ['read:w3c'],
  },
  {
    name: 'traceparent is invalid and B3 is there',
    headers: { traceparent: 'x', b3: `${B3_TRACE}-${B3_SPAN}-1` },
    expected: b3('b3-single', true),
    counted: ['invalid:w3c', 'read:b3-single'],
  },
  {
    name: 'B3 comes in both forms',
    headers: { b3: '0', 'x-b3-traceid': B3_TRACE, 'x-b3-spanid': B3_SPAN, 'x-b3-sampled': '1' },
    expected: b3('b3-multi', true),
    counted: ['read:b3-multi'],
  },
  {
    name: 'B3 headers leave the decision open',
    headers: { 'x-b3-traceid': B3_TRACE, 'x-b3-spanid': B3_SPAN, 'x-b3-parentspanid': PARENT },
    expected: b3('b3-multi', undefined),
    counted: ['read:b3-multi'],
  },
  {
    name: 'B3 headers say debug',
    headers: { 'x-b3-traceid': B3_TRACE, 'x-b3-spanid': B3_SPAN, 'x-b3-flags': '1' },
    expected: b3('b3-multi', true),
    counted: ['read:b3-multi'],
  },
  {
    name: 'B3 headers carry a decision alone',
    headers: { 'x-b3-sampled': 'false' },
    expected: { kind: 'decision', format: 'b3-multi', sampled: false },
    counted: ['read:b3-multi'],
  },
  {
    name: 'B3 has a trace id of 64 bits',
    headers: { b3: `${B3_TRACE.slice(16)}-${B3_SPAN}-0` },
    expected: b3('b3-single', false, `${'0'.repeat(16)}${B3_TRACE.slice(16)}`),
    counted: ['read:b3-single'],
  },
  {
    name: 'B3 has all four fields and says debug',
    headers: { b3: `${B3_TRACE}-${B3_SPAN}-d-${PARENT}` },
    expected: b3('b3-single', true),
    counted: ['read:b3-single'],
  },
  {
    name: 'B3 leaves the decision open',
    headers: { b3: `${B3_TRACE}-${B3_SPAN}` },
    expected: b3('b3-single', undefined),
    counted: ['read:b3-single'],
  },
  {
    name: 'B3 is a decision alone',
    headers: { b3: '0' },
    expected: { kind: 'decision', format: 'b3-single', sampled: false },
    counted: ['read:b3-single'],
  },
  ...invalidTraceparents.map(
    ({ name, value }): Case => ({
      name: `traceparent ${name}`,
      headers: { traceparent: value, tracestate: 'a=1' },
      expected: undefined,
      counted: ['invalid:w3c'],
    }),
  ),
  ...invalidB3Single.map(
    ({ name, value }): Case => ({
      name: `b3 ${name}`,
      headers: { b3: value },
      expected: undefined,
      counted: ['invalid:b3-single'],
    }),
  ),
  ...invalidB3Multi.map(
    ({ name, headers }): Case => ({
      name: `B3 headers ${name}`,
      headers,
      expected: undefined,
      counted: ['invalid:b3-multi'],
    }),
  ),
];

for (const { name, headers, expected, counted } of cases) {
  test(`readContext when ${name}`, () => {
    const counters = contextCounters();
    assert.deepEqual(
      readContext((header) => headers[header], counters),
      expected,
    );
    const expectedCounters = contextCounters();
    for (const counter of counted) expectedCounters[counter] = 1;
    assert.deepEqual(counters, expectedCounters);
  });
}
