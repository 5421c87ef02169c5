// Records as the main thread reads them from their slots.

import { type Address, readAddress } from '#common/ip.ts';
import { REASONS, type Reason } from './reasons.ts';
import { AT, FLAG, SLOT_BYTES, type Slab } from './slab.ts';

/** One request, and its response if one was seen. */
export interface AccessRecord {
  readonly timeMs: number; // Unix time of the request's head, with a fraction
  readonly latencyMs: number; // to the head of the response; -1: none
  readonly durationMs: number; // to the end of the response
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly source: Address;
  readonly sourcePort: number;
  readonly sourceIdentity: number;
  readonly destination: Address;
  readonly destinationPort: number;
  readonly destinationIdentity: number;
  readonly egress: boolean;
  readonly ingress: boolean;
  readonly verdict: number; // RECORD_VERDICT
  readonly status: number;
  readonly reason: Reason;
  readonly method: string;
  readonly host: string;
  readonly path: string;
  readonly http10: boolean;
  /** Policies of both sides that allowed it or, all of them, did not. */
  readonly policies: readonly string[];
  readonly sampled: boolean;
  /** The agent gets it. */
  readonly recorded: boolean;
  /** Hex digits; '': the request was in no trace. */
  readonly traceId: string;
  readonly parentSpanId: string;
  readonly traceState: string;
}

/** Reads a slot. `policies` resolves the number of a list. Bytes of the request are read as latin1. */
export function decodeRecord(
  { bytes, view }: Slab,
  slot: number,
  policies: (number: number) => readonly string[],
): AccessRecord {
  const at = slot * SLOT_BYTES;
  const flags = view.getUint8(at + AT.flags);
  let textAt = at + AT.text;
  const text = (lengthAt: number): string => {
    const start = textAt;
    textAt += view.getUint16(at + lengthAt);
    return bytes.toString('latin1', start, textAt);
  };
  const traced = (flags & FLAG.traced) !== 0;
  return {
    timeMs: view.getFloat64(at + AT.timeMs),
    latencyMs: view.getFloat64(at + AT.latencyMs),
    durationMs: view.getFloat64(at + AT.durationMs),
    requestBytes: view.getFloat64(at + AT.requestBytes),
    responseBytes: view.getFloat64(at + AT.responseBytes),
    source: readAddress(bytes, at + AT.source),
    sourcePort: view.getUint16(at + AT.sourcePort),
    sourceIdentity: view.getUint32(at + AT.sourceIdentity),
    destination: readAddress(bytes, at + AT.destination),
    destinationPort: view.getUint16(at + AT.destinationPort),
    destinationIdentity: view.getUint32(at + AT.destinationIdentity),
    egress: (flags & FLAG.egress) !== 0,
    ingress: (flags & FLAG.ingress) !== 0,
    verdict: view.getUint8(at + AT.verdict),
    status: view.getUint16(at + AT.status),
    reason: REASONS[view.getUint16(at + AT.reason)] ?? '',
    method: text(AT.methodBytes),
    host: text(AT.hostBytes),
    path: text(AT.pathBytes),
    traceState: text(AT.traceStateBytes),
    http10: (flags & FLAG.http10) !== 0,
    policies: merge(
      policies(view.getUint32(at + AT.egressPolicies)),
      policies(view.getUint32(at + AT.ingressPolicies)),
    ),
    sampled: (flags & FLAG.sampled) !== 0,
    recorded: (flags & FLAG.recorded) !== 0,
    traceId: traced ? bytes.toString('latin1', at + AT.traceId, at + AT.traceId + 32) : '',
    parentSpanId: traced ? bytes.toString('latin1', at + AT.parentSpanId, at + AT.parentSpanId + 16) : '',
  };
}

function merge(egress: readonly string[], ingress: readonly string[]): readonly string[] {
  if (egress.length === 0) return ingress;
  return ingress.length === 0 ? egress : [...new Set([...egress, ...ingress])];
}
