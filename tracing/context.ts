// Trace context of a request: W3C traceparent, then B3 in several headers, then B3 in one header.

/** How a context arrived. */
export type ContextFormat = 'w3c' | 'b3-multi' | 'b3-single';

/**
 * What a request says about tracing. `parent`: it is part of a trace; `sampled` is undefined where the caller leaves
 * the decision to us. `decision`: it is in no trace yet, but whether it shall be is decided (`b3: 0`).
 */
export type TraceContext =
  | {
      readonly kind: 'parent';
      readonly format: ContextFormat;
      readonly traceId: string; // 32 lower-case hex digits, never all zero
      readonly spanId: string; // 16 lower-case hex digits, never all zero
      readonly sampled: boolean | undefined;
      readonly traceState: string | undefined; // W3C only, as it came
    }
  | { readonly kind: 'decision'; readonly format: ContextFormat; readonly sampled: boolean };

/** Contexts read, and contexts ignored because they break their format; the owner turns them into metrics. */
export type ContextCounters = Record<`${'read' | 'invalid'}:${ContextFormat}`, number>;

/** Counters at zero. */
export function contextCounters(): ContextCounters {
  return {
    'read:w3c': 0,
    'read:b3-multi': 0,
    'read:b3-single': 0,
    'invalid:w3c': 0,
    'invalid:b3-multi': 0,
    'invalid:b3-single': 0,
  };
}

/** The value of a request header by its lower-case name, undefined without it; repeated headers joined with ",". */
export type GetHeader = (name: string) => string | undefined;

/** W3C Trace Context 3.3.1.5 asks for at least 512 characters; a longer list is left out, its traceparent kept. */
const TRACE_STATE_LIMIT = 512;

type Reading = TraceContext | 'invalid' | undefined;

/**
 * The trace context of a request, or undefined. A context that breaks its format is ignored and counted, and the next
 * format is tried. Runs for every request: without headers it allocates nothing.
 * Sources: W3C Trace Context level 2, section 3; openzipkin b3-propagation.
 */
export function readContext(get: GetHeader, counters: ContextCounters): TraceContext | undefined {
  return (
    counted(readW3c(get), 'w3c', counters) ??
    counted(readB3Multi(get), 'b3-multi', counters) ??
    counted(readB3Single(get), 'b3-single', counters)
  );
}

function counted(reading: Reading, format: ContextFormat, counters: ContextCounters): TraceContext | undefined {
  if (reading === undefined) return undefined;
  if (reading === 'invalid') {
    counters[`invalid:${format}`]++;
    return undefined;
  }
  counters[`read:${format}`]++;
  return reading;
}

/** version "-" trace-id "-" parent-id "-" flags; versions above 00 may carry more after another "-". */
function readW3c(get: GetHeader): Reading {
  const text = get('traceparent');
  if (text === undefined) return undefined;
  if (!isHex(text, 0, 2) || text.startsWith('ff')) return 'invalid';
  const lengthFits = text.length === 55 || (text.length > 55 && text[55] === '-' && !text.startsWith('00'));
  if (!lengthFits || text[2] !== '-' || text[35] !== '-' || text[52] !== '-') return 'invalid';
  if (!isId(text, 3, 35) || !isId(text, 36, 52) || !isHex(text, 53, 55)) return 'invalid';
  const traceState = get('tracestate');
  return {
    kind: 'parent',
    format: 'w3c',
    traceId: text.slice(3, 35),
    spanId: text.slice(36, 52),
    sampled: (Number.parseInt(text.slice(53, 55), 16) & 1) === 1,
    traceState: traceState !== undefined && traceState.length <= TRACE_STATE_LIMIT ? traceState : undefined,
  };
}

function readB3Multi(get: GetHeader): Reading {
  const traceId = get('x-b3-traceid');
  const spanId = get('x-b3-spanid');
  const sampledText = get('x-b3-sampled');
  const flags = get('x-b3-flags');
  if (traceId === undefined && spanId === undefined && sampledText === undefined && flags === undefined) {
    return undefined;
  }
  const sampled = sampledText === undefined ? undefined : B3_SAMPLED.get(sampledText);
  if (sampledText !== undefined && sampled === undefined) return 'invalid';
  if (flags !== undefined && flags !== '0' && flags !== '1') return 'invalid';
  return b3('b3-multi', { traceId, spanId, parentId: get('x-b3-parentspanid'), sampled: flags === '1' || sampled });
}

/** {trace id}-{span id}[-{sampled}[-{parent id}]], or {sampled} alone. */
function readB3Single(get: GetHeader): Reading {
  const text = get('b3');
  if (text === undefined) return undefined;
  if (text.length > 32 + 16 + 1 + 16 + 3) return 'invalid';
  const [traceId = '', spanId, sampledText, parentId, rest] = text.split('-');
  if (spanId === undefined) {
    const sampled = B3_SINGLE_SAMPLED.get(traceId);
    return sampled === undefined ? 'invalid' : { kind: 'decision', format: 'b3-single', sampled };
  }
  const sampled = sampledText === undefined ? undefined : B3_SINGLE_SAMPLED.get(sampledText);
  if (rest !== undefined || (sampledText !== undefined && sampled === undefined)) return 'invalid';
  return b3('b3-single', { traceId, spanId, parentId, sampled });
}

/** The words true and false are of senders older than the format; it asks receivers to take them. */
const B3_SAMPLED: ReadonlyMap<string, boolean> = new Map([
  ['1', true],
  ['0', false],
  ['true', true],
  ['false', false],
]);
const B3_SINGLE_SAMPLED: ReadonlyMap<string, boolean> = new Map([
  ['1', true],
  ['0', false],
  ['d', true], // debug implies sampled
]);

interface B3Fields {
  readonly traceId: string | undefined;
  readonly spanId: string | undefined;
  readonly parentId: string | undefined;
  readonly sampled: boolean | undefined;
}

function b3(format: ContextFormat, { traceId, spanId, parentId, sampled }: B3Fields): Reading {
  if (parentId !== undefined && !(parentId.length === 16 && isId(parentId, 0, 16))) return 'invalid';
  if (traceId === undefined && spanId === undefined) {
    return sampled === undefined ? 'invalid' : { kind: 'decision', format, sampled };
  }
  if (traceId === undefined || spanId === undefined) return 'invalid';
  if (traceId.length !== 32 && traceId.length !== 16) return 'invalid';
  if (!isId(traceId, 0, traceId.length) || spanId.length !== 16 || !isId(spanId, 0, 16)) return 'invalid';
  return { kind: 'parent', format, traceId: traceId.padStart(32, '0'), spanId, sampled, traceState: undefined };
}

/** Lower-case hex digits with at least one that is not zero. */
function isId(text: string, from: number, to: number): boolean {
  if (!isHex(text, from, to)) return false;
  for (let i = from; i < to; i++) if (text.charCodeAt(i) !== 0x30) return true;
  return false;
}

function isHex(text: string, from: number, to: number): boolean {
  for (let i = from; i < to; i++) {
    const c = text.charCodeAt(i); // NaN past the end
    if (!((c >= 0x30 && c <= 0x39) || (c >= 0x61 && c <= 0x66))) return false;
  }
  return true;
}
