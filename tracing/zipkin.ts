// Zipkin v2 JSON, written directly: the exporter of the OpenTelemetry libraries needs several times as long for a span, waits
// for a slow server without end, and knows no remote endpoint (README.md has the figures).

import {
  type Attributes,
  errorType,
  identityAttributes,
  otherParty,
  ownParty,
  type Put,
  putConnection,
  putExchange,
  resourceAttributes,
  serviceName,
  spanName,
} from './attributes.ts';
import { createJsonBytes, type JsonBytes, putAgain, putBytes, putInteger, putPlain, putText } from './json-bytes.ts';
import type { HttpExchange, Party, SpanRecord } from './span.ts';

/** The body of POST /api/v2/spans. A span is in it, as bytes, from the moment it is added. */
export interface ZipkinBody {
  /** Spans in it. */
  readonly length: number;
  /** Bytes so far, and those that it can hold before it needs a larger buffer. */
  readonly sizeBytes: number;
  readonly roomBytes: number;
  add(span: SpanRecord): void;
  /** All of it; valid until the next `add` or `clear`. */
  body(): Buffer;
  /** Makes it empty, and keeps the room. */
  clear(): void;
}

/** An empty body with room for `roomBytes`; it grows as it must. */
export function createZipkinBody(roomBytes: number): ZipkinBody {
  const target = createJsonBytes(roomBytes);
  let length = 0;
  const putTag: Put = (name, value) => {
    putBytes(target, tagName(name));
    if (typeof value === 'number') putInteger(target, value);
    else putText(target, value);
  };
  // Both spans of an exchange follow each other.
  let lastExchange: HttpExchange | undefined;
  let tagsFrom = 0;
  let tagsTo = 0;
  const putExchangeTags = (exchange: HttpExchange): void => {
    if (exchange === lastExchange) {
      putAgain(target, tagsFrom, tagsTo);
      return;
    }
    tagsFrom = target.end;
    putExchange(exchange, putTag);
    tagsTo = target.end;
    lastExchange = exchange;
  };
  return {
    get length() {
      return length;
    },
    get sizeBytes() {
      return target.end;
    },
    get roomBytes() {
      return target.bytes.length;
    },
    add(span) {
      const { kind, exchange } = span;
      putBytes(target, length++ === 0 ? OPEN : COMMA);
      putHead(target, span);
      // The quote after a tag's value is written with the next tag.
      putBytes(target, pairTags(exchange));
      putBytes(target, partsOf(ownParty(span)).tags);
      putExchangeTags(exchange);
      putConnection(kind, exchange, putTag);
      const error = errorType(kind, exchange);
      if (error !== undefined) {
        putTag('error', error);
        putTag('error.type', error);
      }
      putBytes(target, END);
    },
    body() {
      const { end } = target;
      putBytes(target, length === 0 ? EMPTY : CLOSE);
      const body = target.bytes.subarray(0, target.end);
      target.end = end;
      return body;
    },
    clear() {
      target.end = 0;
      length = 0;
      lastExchange = undefined;
    },
  };
}

const OPEN = Buffer.from('[{"traceId":"');
const COMMA = Buffer.from(',{"traceId":"');
const PARENT = Buffer.from('","parentId":"');
const ID = Buffer.from('","id":"');
const KINDS = {
  CLIENT: Buffer.from('","kind":"CLIENT","name":"'),
  SERVER: Buffer.from('","kind":"SERVER","name":"'),
} as const;
const TIMESTAMP = Buffer.from('","timestamp":');
const DURATION = Buffer.from(',"duration":');
const LOCAL = Buffer.from(',"localEndpoint":');
const REMOTE = Buffer.from('},"remoteEndpoint":');
const END = Buffer.from('"}}');
const CLOSE = Buffer.from(']');
const EMPTY = Buffer.from('[]');

/** Everything before the tags; the remote endpoint stays open. */
function putHead(target: JsonBytes, span: SpanRecord): void {
  const { kind, exchange, parentSpanId } = span;
  const [ownPort, otherPort] =
    kind === 'CLIENT'
      ? [exchange.sourcePort, exchange.destinationPort]
      : [exchange.destinationPort, exchange.sourcePort];
  putPlain(target, span.traceId);
  if (parentSpanId !== undefined) {
    putBytes(target, PARENT);
    putPlain(target, parentSpanId);
  }
  putBytes(target, ID);
  putPlain(target, span.spanId);
  putBytes(target, KINDS[kind]);
  putPlain(target, spanName(exchange));
  putBytes(target, TIMESTAMP);
  putInteger(target, Math.round(exchange.startUnixUs));
  putBytes(target, DURATION);
  putInteger(target, Math.max(1, Math.round(exchange.durationUs))); // Zipkin takes a duration of 0 for none
  putBytes(target, LOCAL);
  putBytes(target, partsOf(ownParty(span)).endpoint);
  putInteger(target, ownPort);
  putBytes(target, REMOTE);
  putBytes(target, partsOf(otherParty(span)).endpoint);
  putInteger(target, otherPort);
}

/** What is written of a party, once for all its spans. */
interface PartyParts {
  readonly endpoint: Uint8Array; // open, the port follows
  readonly tags: Uint8Array;
  /** What goes for requests from this party to others. */
  readonly towards: WeakMap<Party, Uint8Array>;
}

const parts = new WeakMap<Party, PartyParts>();

function partsOf(party: Party): PartyParts {
  let found = parts.get(party);
  if (found === undefined) {
    const family = party.address.includes(':') ? 'ipv6' : 'ipv4';
    found = {
      endpoint: Buffer.from(
        `{"serviceName":${JSON.stringify(serviceName(party))},"${family}":"${party.address}","port":`,
      ),
      tags: Buffer.from(tags(resourceAttributes(party))),
      towards: new WeakMap(),
    };
    parts.set(party, found);
  }
  return found;
}

function pairTags({ source, destination }: HttpExchange): Uint8Array {
  const { towards } = partsOf(source);
  let found = towards.get(destination);
  if (found === undefined) {
    found = Buffer.from(`},"tags":{${tags(identityAttributes(source, destination)).slice('",'.length)}`);
    towards.set(destination, found);
  }
  return found;
}

/** `","name":"value` for each: Zipkin knows texts only. */
function tags(attributes: Attributes): string {
  return attributes
    .map(([name, value]) => `",${JSON.stringify(name)}:${JSON.stringify(String(value)).slice(0, -1)}`)
    .join('');
}

/** `","name":"` of every attribute that was ever written: the names are those of attributes.ts, a few dozen. */
const tagNames = new Map<string, Uint8Array>();

function tagName(name: string): Uint8Array {
  let found = tagNames.get(name);
  if (found === undefined) {
    found = Buffer.from(`",${JSON.stringify(name)}:"`);
    tagNames.set(name, found);
  }
  return found;
}
