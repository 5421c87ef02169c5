// The spans of one HTTP request, as plain records that refer to one shared description of the exchange.

import type { TraceContext } from './context.ts';
import type { IdSource } from './ids.ts';

/**
 * One end of a request. Unknown texts are empty: an address outside the mesh has no pod. Use one object for all requests
 * of an address while what is known of it stays the same: what is encoded for it is kept by object.
 */
export interface Party {
  readonly address: string; // "10.244.0.3" or "fd00::3"
  readonly identity: number;
  readonly namespace: string;
  readonly pod: string;
  /** Name of the Deployment or of whatever the pod belongs to: the service name of its spans. */
  readonly workload: string;
}

/**
 * What became of a request: forwarded, denied by policy, refused as no acceptable HTTP, failed upstream, or forwarded against
 * L3/L4 policy because of audit mode.
 */
export type SpanVerdict = 'FORWARDED' | 'DENIED' | 'REFUSED' | 'ERROR' | 'AUDITED';

/** One HTTP request with its response, as both spans describe it. */
export interface HttpExchange {
  readonly startUnixUs: number; // head of the request complete; microseconds, may have a fraction
  readonly durationUs: number; // until the end of the exchange as the proxy saw it
  readonly method: string;
  /** Request target as it came: "/path?query", or the absolute form. */
  readonly target: string;
  /** Host header, with its port if it has one; empty: none. */
  readonly host: string;
  readonly protocolVersion: string; // "1.1"
  /** 0: no response was seen. */
  readonly status: number;
  readonly verdict: SpanVerdict;
  /** Why it was refused or failed, one of few words; empty else. */
  readonly reason: string;
  /** "namespace/name" of the policies that allowed it or, all of them, did not. */
  readonly policies: readonly string[];
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly source: Party;
  readonly sourcePort: number;
  readonly destination: Party;
  readonly destinationPort: number;
}

export type SpanKind = 'SERVER' | 'CLIENT';

/** One span. Its service is the workload of its own end: the source of a CLIENT, the destination of a SERVER. */
export interface SpanRecord {
  readonly kind: SpanKind;
  readonly traceId: string; // 32 hex digits
  readonly spanId: string; // 16 hex digits
  readonly parentSpanId: string | undefined;
  readonly traceState: string | undefined;
  readonly exchange: HttpExchange;
}

/** Place of a sampled request in its trace, fixed when its head is complete. */
export interface SpanIds {
  readonly traceId: string;
  /** The caller's span, undefined if the trace begins here. */
  readonly parentSpanId: string | undefined;
  readonly clientSpanId: string | undefined;
  readonly serverSpanId: string | undefined;
  readonly traceState: string | undefined;
}

/** Which spans this node makes: CLIENT if the caller lives on it, SERVER if the callee does. */
export interface SpanSides {
  readonly client: boolean;
  readonly server: boolean;
}

/** Ids for the spans of a sampled request; a request in no trace begins one. */
export function spanIds(context: TraceContext | undefined, sides: SpanSides, ids: IdSource): SpanIds {
  const parent = context?.kind === 'parent' ? context : undefined;
  return {
    traceId: parent?.traceId ?? ids.traceId(),
    parentSpanId: parent?.spanId,
    clientSpanId: sides.client ? ids.spanId() : undefined,
    serverSpanId: sides.server ? ids.spanId() : undefined,
    traceState: parent?.traceState,
  };
}

/** The spans of a finished exchange. With both ends on this node the CLIENT span is the parent of the SERVER span. */
export function spansOf(ids: SpanIds, exchange: HttpExchange): SpanRecord[] {
  const { traceId, traceState, parentSpanId, clientSpanId, serverSpanId } = ids;
  const spans: SpanRecord[] = [];
  if (clientSpanId !== undefined) {
    spans.push({ kind: 'CLIENT', traceId, spanId: clientSpanId, parentSpanId, traceState, exchange });
  }
  if (serverSpanId !== undefined) {
    const parent = clientSpanId ?? parentSpanId;
    spans.push({ kind: 'SERVER', traceId, spanId: serverSpanId, parentSpanId: parent, traceState, exchange });
  }
  return spans;
}
