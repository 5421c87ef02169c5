// Takes finished records out of shared memory, hands them to the agent in batches, and makes spans of sampled ones.

import { addressBytes } from '#common/ip.ts';
import type { IdSource } from '#tracing/ids.ts';
import type { CpuMeter } from '#tracing/meter.ts';
import type { SpanPipeline } from '#tracing/pipeline.ts';
import { type HttpExchange, type SpanVerdict, spanIds, spansOf } from '#tracing/span.ts';
import type { ControlClient } from '../control/client.ts';
import type { Workloads } from '../control/messages.ts';
import type { CounterReader } from '../counters.ts';
import type { DataThread } from '../data-thread-handle.ts';
import type { Report } from '../orders.ts';
import { type AccessRecord, decodeRecord } from './decode.ts';
import { createPolicyNames } from './policies.ts';
import { RECORD_VERDICT } from './reasons.ts';

export interface Shipping {
  /** The data thread has written records. */
  ring(): void;
  /** Names a list of policies, or forgets some once no record names them. */
  learnPolicies(report: Extract<Report, { kind: 'policies' | 'policies retired' }>): void;
  /** Takes everything that is there, now. */
  flush(): void;
  close(): void;
  /** Records that the agent did not take. */
  readonly unsent: number;
  /** Requests that became spans. */
  readonly sampled: number;
}

/** Where the spans of a request go, and what counts the time they take. */
export interface Spans {
  readonly pipeline: SpanPipeline;
  readonly ids: IdSource;
  readonly meter: CpuMeter;
}

export interface ShippingOptions {
  readonly thread: DataThread;
  readonly control: Pick<ControlClient, 'sendRecords'>;
  readonly workloads: Workloads;
  /** undefined: no spans. */
  readonly spans: Spans | undefined;
}

/** How long records gather before they are taken. Fifty times a second is often enough for eyes, and cheap. */
const GATHER_MS = 20;
const MAX_BATCH = 512;

/** Begins to listen for the data thread's bell. */
export function startShipping({ thread, control, workloads, spans }: ShippingOptions): Shipping {
  const policies = createPolicyNames(thread.slab);
  let timer: NodeJS.Timeout | undefined;
  let unsent = 0;
  let reported = 0; // records that were dropped and that the agent knows of
  let sampled = 0;
  let batch: Shipped[] = [];

  const send = (): void => {
    const dropped = droppedBy(thread.counters) + unsent;
    if (batch.length === 0 && dropped === reported) return;
    if (control.sendRecords(batch.map(toMessage), dropped - reported)) reported = dropped;
    else unsent += batch.length;
    batch = [];
  };
  /** Takes slots until enough records are together to be sent. False: there are no more slots. */
  const takeSome = (): boolean => {
    for (let slot = thread.slab.take(); slot >= 0; slot = thread.slab.take()) {
      const record = decodeRecord(thread.slab, slot, policies.of);
      thread.slab.put(slot);
      let span: MadeSpan | undefined;
      if (record.sampled && spans !== undefined) {
        span = recordSpans(record, workloads, spans);
        sampled++;
      }
      if (record.recorded) batch.push({ record, span });
      if (batch.length >= MAX_BATCH) return true;
    }
    return false;
  };
  const take = (): void => {
    for (let more = true; more; ) {
      // The clock of CPU time is not cheap enough for each record: to read them all counts as work for spans.
      spans?.meter.begin();
      more = takeSome();
      spans?.meter.end();
      if (spans === undefined) send();
      else spans.meter.without(send);
    }
  };
  const onTimer = (): void => {
    timer = undefined;
    take();
    thread.armBell();
    take(); // what came between the two
  };
  thread.armBell();
  return {
    ring() {
      timer ??= setTimeout(onTimer, GATHER_MS);
    },
    learnPolicies(report) {
      if (report.kind === 'policies') policies.learn(report.number, report.names);
      else policies.retire(report.numbers);
    },
    flush: take,
    close() {
      clearTimeout(timer);
      take();
    },
    get unsent() {
      return unsent;
    },
    get sampled() {
      return sampled;
    },
  };
}

function droppedBy(counters: CounterReader): number {
  return (
    counters.get('records|dropped allowed') +
    counters.get('records|dropped denied') +
    counters.get('records|dropped no slot')
  );
}

/** Ids of the span that a record names, as hex digits. */
interface MadeSpan {
  readonly traceId: string;
  readonly serverSpanId: string | undefined;
  readonly parentSpanId: string | undefined;
}

const VERDICTS: Readonly<Record<number, SpanVerdict>> = {
  [RECORD_VERDICT.forwarded]: 'FORWARDED',
  [RECORD_VERDICT.denied]: 'DENIED',
  [RECORD_VERDICT.refused]: 'REFUSED',
  [RECORD_VERDICT.error]: 'ERROR',
  [RECORD_VERDICT.audited]: 'AUDITED',
};

/** A record for the agent. */
interface Shipped {
  readonly record: AccessRecord;
  readonly span: MadeSpan | undefined;
}

function recordSpans(record: AccessRecord, workloads: Workloads, { pipeline, ids }: Spans): MadeSpan {
  const exchange: HttpExchange = {
    startUnixUs: record.timeMs * 1000,
    durationUs: record.durationMs * 1000,
    method: record.method,
    target: record.path,
    host: record.host,
    protocolVersion: record.http10 ? '1.0' : '1.1',
    status: record.status,
    verdict: VERDICTS[record.verdict] ?? 'ERROR',
    reason: record.reason,
    policies: record.policies,
    requestBytes: record.requestBytes,
    responseBytes: record.responseBytes,
    source: workloads.party(record.source, record.sourceIdentity),
    sourcePort: record.sourcePort,
    destination: workloads.party(record.destination, record.destinationIdentity),
    destinationPort: record.destinationPort,
  };
  const context =
    record.traceId === ''
      ? undefined
      : ({
          kind: 'parent',
          format: 'w3c',
          traceId: record.traceId,
          spanId: record.parentSpanId,
          sampled: true,
          traceState: record.traceState === '' ? undefined : record.traceState,
        } as const);
  // The agent tells of the workloads of this node: who is known lives here, whichever side's policy asked for the proxy.
  const sides = { client: exchange.source.pod !== '', server: exchange.destination.pod !== '' };
  const made = spanIds(context, sides, ids);
  for (const span of spansOf(made, exchange)) pipeline.record(span);
  return made;
}

const NO_BYTES = Buffer.alloc(0);

/** weir.proxy.v1.AccessRecord, as grpc-js takes it. */
function toMessage({ record, span }: Shipped): object {
  const hex = (text: string | undefined): Buffer =>
    text === undefined || text === '' ? NO_BYTES : Buffer.from(text, 'hex');
  return {
    timeUnixNs: BigInt(Math.round(record.timeMs * 1e6)).toString(),
    source: addressBytes(record.source),
    destination: addressBytes(record.destination),
    sourcePort: record.sourcePort,
    destinationPort: record.destinationPort,
    sourceIdentity: record.sourceIdentity,
    destinationIdentity: record.destinationIdentity,
    egress: record.egress,
    ingress: record.ingress,
    verdict: record.verdict,
    method: record.method,
    path: record.path,
    host: record.host,
    protocol: record.http10 ? 'HTTP/1.0' : 'HTTP/1.1',
    status: record.status,
    latencyNs: Math.max(0, Math.round(record.latencyMs * 1e6)),
    policies: record.policies,
    reason: record.reason,
    traceId: hex(span?.traceId ?? record.traceId),
    spanId: hex(span?.serverSpanId),
    parentSpanId: hex(span?.parentSpanId ?? record.parentSpanId),
    requestBytes: record.requestBytes,
    responseBytes: record.responseBytes,
  };
}
