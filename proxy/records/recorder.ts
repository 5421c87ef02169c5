// The data thread's hand in access records: which requests are recorded, and what their slots say.

import { writeAddress } from '#common/ip.ts';
import { type ContextCounters, type GetHeader, readContext, type TraceContext } from '#tracing/context.ts';
import type { Sampler } from '#tracing/sampler.ts';
import { COUNT, type Counters } from '../counters.ts';
import type { Exchange } from '../enforce/exchange.ts';
import type { Origin } from '../enforce/origin.ts';
import type { RequestHead } from '../http1/request.ts';
import type { Limits } from '../limits.ts';
import { type Budget, createBudget } from './budget.ts';
import { RECORD_VERDICT, type Reason, reasonNumber } from './reasons.ts';
import { AT, FLAG, SLOT_BYTES, type SlabWriter, TEXT_BYTES } from './slab.ts';
import { assuredPerSecond } from './span-budget.ts';

/** How tracing takes part; undefined where no exporter is configured. */
export interface Tracing {
  readonly sampler: Sampler;
  readonly counters: ContextCounters;
}

export interface Recorder {
  /** Begins the record of a request whose head is complete. Returns its slot, -1 if it goes unrecorded. */
  begin(request: Recorded): number;
  /** Ends a record. `status` 0 and `latencyMs` -1: no response was seen. */
  end(exchange: Exchange, outcome: Outcome): void;
  /** Notes in a record when its response began. */
  answered(exchange: Exchange, status: number, latencyMs: number): void;
  /** Have records been handed over since the last call? */
  pending(): boolean;
  /** So many sampled requests a second become spans from now on. */
  sampleAtMost(perSecond: number): void;
}

export interface Recorded {
  readonly origin: Origin;
  /** undefined: it was never understood. */
  readonly head: RequestHead | undefined;
  readonly verdict: number; // RECORD_VERDICT
  readonly egressPolicies: number;
  readonly ingressPolicies: number;
  /** Of performance.now(). */
  readonly nowMs: number;
}

export interface Outcome {
  /** 0: keep the verdict that the record began with. */
  readonly verdict: number;
  readonly status: number; // 0: keep
  readonly reason: Reason;
}

export interface RecorderOptions {
  readonly slab: SlabWriter;
  readonly limits: Limits;
  readonly counters: Counters;
  readonly tracing: Tracing | undefined;
  /** Unix time in ms, with a fraction. */
  readonly unixMs: () => number;
}

/** A recorder with full budgets. */
export function createRecorder({ slab, limits, counters, tracing, unixMs }: RecorderOptions): Recorder {
  const perSecond = (rate: number, burst: number): Budget => createBudget({ perSecond: rate, burst });
  const mayRecordAllowed = perSecond(limits.recordsPerSecond, limits.recordsPerSecond);
  const mayRecordOther = perSecond(limits.deniedRecordsPerSecond, limits.deniedRecordsPerSecond);
  const sampling = createSampling({ limits, counters, tracing });
  let handedOver = false;
  const { bytes, view } = slab;
  return {
    begin(request) {
      const { head, verdict, origin, nowMs } = request;
      const context = tracing !== undefined && head !== undefined ? contextOf(head, tracing) : undefined;
      const sampled = head !== undefined && sampling.isSampled(context, nowMs);
      const passes = verdict === RECORD_VERDICT.forwarded || verdict === RECORD_VERDICT.audited;
      const recorded = passes ? mayRecordAllowed(nowMs) : mayRecordOther(nowMs);
      if (!recorded) {
        counters.add(passes ? DROPPED_ALLOWED : DROPPED_DENIED);
        if (!sampled) return -1;
      }
      const slot = slab.take();
      if (slot < 0) {
        counters.add(recorded ? DROPPED_NO_SLOT : SPANS_NO_SLOT);
        return -1;
      }
      const at = slot * SLOT_BYTES;
      view.setFloat64(at + AT.timeMs, unixMs());
      view.setFloat64(at + AT.latencyMs, -1);
      view.setUint32(at + AT.sourceIdentity, origin.sourceIdentity);
      view.setUint32(at + AT.destinationIdentity, origin.destinationIdentity);
      view.setUint32(at + AT.egressPolicies, request.egressPolicies);
      view.setUint32(at + AT.ingressPolicies, request.ingressPolicies);
      view.setUint16(at + AT.sourcePort, origin.sourcePort);
      view.setUint16(at + AT.destinationPort, origin.destinationPort);
      view.setUint16(at + AT.status, 0);
      bytes[at + AT.verdict] = verdict;
      bytes[at + AT.flags] =
        (origin.egressRuleset !== 0 ? FLAG.egress : 0) |
        (origin.ingressRuleset !== 0 ? FLAG.ingress : 0) |
        (sampled ? FLAG.sampled : 0) |
        (recorded ? FLAG.recorded : 0) |
        (head?.http10 === true ? FLAG.http10 : 0) |
        writeContext(bytes, at, context);
      writeAddress(origin.source, bytes, at + AT.source);
      writeAddress(origin.destination, bytes, at + AT.destination);
      writeText(slab, at, { head, traceState: context?.kind === 'parent' ? context.traceState : undefined });
      return slot;
    },
    answered(exchange, status, latencyMs) {
      if (exchange.slot < 0) return;
      const at = exchange.slot * SLOT_BYTES;
      view.setUint16(at + AT.status, status);
      view.setFloat64(at + AT.latencyMs, latencyMs);
    },
    end(exchange, { verdict, status, reason }) {
      if (exchange.slot < 0) return;
      const at = exchange.slot * SLOT_BYTES;
      view.setFloat64(at + AT.durationMs, performance.now() - exchange.startedMs);
      view.setFloat64(at + AT.requestBytes, exchange.requestBytes);
      view.setFloat64(at + AT.responseBytes, exchange.responseBytes);
      view.setUint16(at + AT.reason, reasonNumber(reason));
      if (verdict !== 0) bytes[at + AT.verdict] = verdict;
      if (status !== 0) view.setUint16(at + AT.status, status);
      slab.put(exchange.slot);
      handedOver = true;
      exchange.slot = -1;
      counters.add(WRITTEN);
    },
    pending() {
      const some = handedOver;
      handedOver = false;
      return some;
    },
    sampleAtMost: sampling.atMost,
  };
}

/** Decides which requests become spans. */
function createSampling({ limits, counters, tracing }: Pick<RecorderOptions, 'limits' | 'counters' | 'tracing'>) {
  // Until the first are measured, those that are assured; as many at once: both spans of each fit into a backend's queue.
  const assured = assuredPerSecond(limits.sampledPerSecond);
  const options = { perSecond: assured, burst: assured };
  const maySample = createBudget(options);
  return {
    isSampled(context: TraceContext | undefined, nowMs: number): boolean {
      if (tracing === undefined || !tracing.sampler.decide(context)) return false;
      if (maySample(nowMs)) return true;
      counters.add(SPANS_OVER_BUDGET);
      return false;
    },
    atMost(perSecond: number): void {
      options.perSecond = perSecond;
    },
  };
}

const WRITTEN = COUNT['records|written'];
const DROPPED_ALLOWED = COUNT['records|dropped allowed'];
const DROPPED_DENIED = COUNT['records|dropped denied'];
const DROPPED_NO_SLOT = COUNT['records|dropped no slot'];
const SPANS_OVER_BUDGET = COUNT['spans|over budget'];
const SPANS_NO_SLOT = COUNT['spans|no slot'];

function contextOf(head: RequestHead, tracing: Tracing): TraceContext | undefined {
  if (!head.fields.mayTrace) return undefined;
  return readContext(head.header as GetHeader, tracing.counters);
}

function writeContext(bytes: Buffer, at: number, context: TraceContext | undefined): number {
  if (context?.kind !== 'parent') return 0;
  bytes.write(context.traceId, at + AT.traceId, 'latin1');
  bytes.write(context.spanId, at + AT.parentSpanId, 'latin1');
  return FLAG.traced;
}

/** Method, host, path and trace state one after the other; the path is cut to what room there is. */
function writeText(
  { bytes, view }: SlabWriter,
  at: number,
  { head, traceState = '' }: { head: RequestHead | undefined; traceState: string | undefined },
): void {
  let to = at + AT.text;
  let method = 0;
  let host = 0;
  let path = 0;
  if (head !== undefined) {
    const { buffer, methodStart, methodEnd, hostStart, pathStart, pathEnd } = head;
    method = methodEnd - methodStart;
    host = Math.min(head.hostEnd - hostStart, MAX_HOST);
    path = Math.min(pathEnd - pathStart, TEXT_BYTES - method - host - traceState.length);
    to = copy(buffer, { from: methodStart, to: methodEnd }, bytes, to);
    to = copy(buffer, { from: hostStart, to: hostStart + host }, bytes, to);
    to = copy(buffer, { from: pathStart, to: pathStart + path }, bytes, to);
  }
  view.setUint16(at + AT.methodBytes, method);
  view.setUint16(at + AT.hostBytes, host);
  view.setUint16(at + AT.pathBytes, path);
  view.setUint16(at + AT.traceStateBytes, traceState.length);
  if (traceState !== '') bytes.write(traceState, to, 'latin1');
}

const MAX_HOST = 300; // bytes

/** Copies byte by byte: for the few dozen bytes of a request cheaper than a call into the runtime. */
function copy(source: Uint8Array, range: { from: number; to: number }, target: Uint8Array, at: number): number {
  let to = at;
  for (let i = range.from; i < range.to; i++) target[to++] = source[i] as number;
  return to;
}
