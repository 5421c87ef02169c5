// Sends batches to an OTLP receiver (a collector, Jaeger) with OpenTelemetry's own exporters.

import { type HrTime, type SpanContext, SpanKind, SpanStatusCode, TraceFlags } from '@opentelemetry/api';
import { type Resource, resourceFromAttributes } from '@opentelemetry/resources';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace-base';
import { err, ok, type Result } from '#common/result.ts';
import {
  connectionAttributes,
  errorType,
  exchangeAttributes,
  identityAttributes,
  ownParty,
  resourceAttributes,
  serviceName,
  spanName,
} from './attributes.ts';
import { SEND_TIMEOUT_MS, type Sink, type SinkFailure } from './sink.ts';
import type { Party, SpanRecord } from './span.ts';

/** A sink for OTLP over gRPC, `url` being e.g. http://10.0.0.9:4317; over TLS with https. */
export async function createOtlpGrpcSink(url: URL): Promise<Sink<readonly SpanRecord[]>> {
  const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-grpc');
  return sinkOf(url, new OTLPTraceExporter({ url: url.href, timeoutMillis: SEND_TIMEOUT_MS, concurrencyLimit: 1 }));
}

/** A sink for OTLP over HTTP (JSON), `url` being e.g. http://10.0.0.9:4318/v1/traces. */
export async function createOtlpHttpSink(url: URL): Promise<Sink<readonly SpanRecord[]>> {
  const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-http');
  return sinkOf(url, new OTLPTraceExporter({ url: url.href, timeoutMillis: SEND_TIMEOUT_MS, concurrencyLimit: 1 }));
}

function sinkOf(url: URL, exporter: SpanExporter): Sink<readonly SpanRecord[]> {
  return {
    send: (batch) =>
      new Promise<Result<void, SinkFailure>>((resolve) => {
        exporter.export(batch.map(toReadableSpan), (result) => {
          // The exporter itself retries what may be retried, within its time limit.
          resolve(result.code === 0 ? ok(undefined) : err(failure(url, result.error)));
        });
      }),
    close: () => exporter.shutdown(),
  };
}

/** gRPC status codes, "Status codes and their use in gRPC". */
const DEADLINE_EXCEEDED = 4;
const UNAVAILABLE = 14;

function failure(url: URL, error: (Error & { code?: unknown }) | undefined): SinkFailure {
  const text = error?.message ?? 'no reason given';
  const detail = `Cannot send spans to ${url}: ${text}`;
  if (error?.code === DEADLINE_EXCEEDED || /timed? ?out/i.test(text)) {
    return { reason: 'timeout', retryable: false, detail };
  }
  const unreachable = error?.code === UNAVAILABLE || /ECONN|EHOST|ENET|ENOTFOUND|EPIPE|hang up/.test(text);
  return { reason: unreachable ? 'unreachable' : 'rejected', retryable: false, detail };
}

const SCOPE = { name: 'weir' };
const KINDS = { SERVER: SpanKind.SERVER, CLIENT: SpanKind.CLIENT } as const;

/** The library's own form of a span. Spans of one party share their resource object, so that they are sent as one group. */
function toReadableSpan(span: SpanRecord): ReadableSpan {
  const { kind, exchange } = span;
  const error = errorType(kind, exchange);
  const context = contextOf(span, span.spanId);
  const base = {
    name: spanName(exchange),
    kind: KINDS[kind],
    spanContext: () => context,
    startTime: hrTime(exchange.startUnixUs),
    endTime: hrTime(exchange.startUnixUs + exchange.durationUs),
    duration: hrTime(exchange.durationUs),
    status: { code: error === undefined ? SpanStatusCode.UNSET : SpanStatusCode.ERROR },
    attributes: Object.fromEntries([
      ...exchangeAttributes(exchange),
      ...connectionAttributes(kind, exchange),
      ...identityAttributes(exchange.source, exchange.destination),
      ...(error === undefined ? [] : [['error.type', error] as const]),
    ]),
    links: [],
    events: [],
    ended: true,
    resource: resourceOf(ownParty(span)),
    instrumentationScope: SCOPE,
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
  if (span.parentSpanId === undefined) return base;
  return { ...base, parentSpanContext: contextOf(span, span.parentSpanId) };
}

function contextOf({ traceId, traceState }: SpanRecord, spanId: string): SpanContext {
  const context: SpanContext = { traceId, spanId, traceFlags: TraceFlags.SAMPLED };
  if (traceState !== undefined) context.traceState = rawTraceState(traceState);
  return context;
}

/** The exporter only asks a trace state for its text, and it shall go out as it came in. */
function rawTraceState(text: string): NonNullable<SpanContext['traceState']> {
  const state = { get: () => undefined, set: () => state, unset: () => state, serialize: () => text };
  return state;
}

const resources = new WeakMap<Party, Resource>();

function resourceOf(party: Party): Resource {
  let found = resources.get(party);
  if (found === undefined) {
    found = resourceFromAttributes({
      'service.name': serviceName(party),
      ...Object.fromEntries(resourceAttributes(party)),
    });
    resources.set(party, found);
  }
  return found;
}

/** Seconds and nanoseconds. */
function hrTime(us: number): HrTime {
  const seconds = Math.floor(us / 1e6);
  return [seconds, Math.min(999_999_999, Math.round((us - seconds * 1e6) * 1e3))];
}
