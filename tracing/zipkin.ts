// Zipkin v2 JSON, written directly: the exporter of the OpenTelemetry libraries needs three times as long for a span, waits
// for a slow server without end, and knows no remote endpoint (README.md has the figures).

import {
  type Attributes,
  connectionAttributes,
  errorType,
  exchangeAttributes,
  identityAttributes,
  otherParty,
  ownParty,
  resourceAttributes,
  serviceName,
  spanName,
} from './attributes.ts';
import type { HttpExchange, Party, SpanRecord } from './span.ts';

/** Bytes that a span needs as a rule. */
const SPAN_BYTES = 1536;
/** Bytes that one UTF-16 unit needs at most. */
const MAX_UNIT_BYTES = 3;

/** Encodes a batch as the body of POST /api/v2/spans. */
export function encodeZipkin(spans: readonly SpanRecord[]): Buffer {
  // Span by span into bytes: one long text would be built, flattened and then encoded, each a walk through main memory.
  let body = Buffer.allocUnsafeSlow(spans.length * SPAN_BYTES + 2);
  let end = 0;
  for (const span of spans) {
    const text = encodeSpan(span);
    const room = text.length * MAX_UNIT_BYTES + 2;
    if (end + room > body.length) body = Buffer.concat([body.subarray(0, end)], 2 * (end + room));
    body[end] = end === 0 ? OPEN : COMMA;
    end++;
    end += body.write(text, end);
  }
  if (end === 0) body[end++] = OPEN;
  body[end++] = CLOSE;
  return body.subarray(0, end);
}

const OPEN = '['.charCodeAt(0);
const COMMA = ','.charCodeAt(0);
const CLOSE = ']'.charCodeAt(0);

function encodeSpan(span: SpanRecord): string {
  const { kind, exchange } = span;
  const own = partsOf(ownParty(span));
  const other = partsOf(otherParty(span));
  const [ownPort, otherPort] =
    kind === 'CLIENT'
      ? [exchange.sourcePort, exchange.destinationPort]
      : [exchange.destinationPort, exchange.sourcePort];
  const error = errorType(kind, exchange);
  const errorTags =
    error === undefined ? '' : `,"error":${JSON.stringify(error)},"error.type":${JSON.stringify(error)}`;
  const parent = span.parentSpanId === undefined ? '' : `,"parentId":"${span.parentSpanId}"`;
  // Zipkin takes a duration of 0 for none.
  const duration = Math.max(1, Math.round(exchange.durationUs));
  return (
    `{"traceId":"${span.traceId}"${parent},"id":"${span.spanId}","kind":"${kind}","name":"${spanName(exchange)}"` +
    `,"timestamp":${Math.round(exchange.startUnixUs)},"duration":${duration}` +
    `,"localEndpoint":${own.endpoint}${ownPort}},"remoteEndpoint":${other.endpoint}${otherPort}}` +
    `,"tags":{${exchangeTags(exchange)}${tags(connectionAttributes(kind, exchange))}${own.tags}` +
    `${pairTags(exchange)}${errorTags}}}`
  );
}

interface PartyParts {
  readonly endpoint: string; // open, the port follows
  readonly tags: string; // with a leading comma
  /** What goes for requests from this party to others. */
  readonly towards: WeakMap<Party, string>;
}

const parts = new WeakMap<Party, PartyParts>();

function partsOf(party: Party): PartyParts {
  let found = parts.get(party);
  if (found === undefined) {
    const family = party.address.includes(':') ? 'ipv6' : 'ipv4';
    found = {
      endpoint: `{"serviceName":${JSON.stringify(serviceName(party))},"${family}":"${party.address}","port":`,
      tags: tags(resourceAttributes(party)),
      towards: new WeakMap(),
    };
    parts.set(party, found);
  }
  return found;
}

function pairTags({ source, destination }: HttpExchange): string {
  const { towards } = partsOf(source);
  let found = towards.get(destination);
  if (found === undefined) {
    found = tags(identityAttributes(source, destination));
    towards.set(destination, found);
  }
  return found;
}

// Both spans of an exchange follow each other.
let lastExchange: HttpExchange | undefined;
let lastTags = '';

function exchangeTags(exchange: HttpExchange): string {
  if (exchange !== lastExchange) {
    lastTags = tags(exchangeAttributes(exchange)).slice(1);
    lastExchange = exchange;
  }
  return lastTags;
}

/** `,"name":"value"` for each: Zipkin knows texts only. */
function tags(attributes: Attributes): string {
  let text = '';
  for (const [name, value] of attributes) {
    text += `,"${name}":${typeof value === 'number' ? `"${value}"` : JSON.stringify(value)}`;
  }
  return text;
}
