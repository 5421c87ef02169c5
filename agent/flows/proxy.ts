// Flows from the proxy's access records.

import { readAddress } from '#common/ip.ts';
import { EVENT, type Flow, type Http, type Verdict } from '#observe/flow/model.ts';
import type { AccessRecord } from './access-record.ts';
import { baseFlow, type Ends, endsOf, type FlowContext, PROTOCOL, reversed } from './base.ts';

/** What the proxy did with a request. */
export type AccessVerdict = 'forwarded' | 'denied' | 'refused' | 'error' | 'audited';

const ACCESS_VERDICTS: Readonly<Record<string | number, AccessVerdict>> = {
  VERDICT_FORWARDED: 'forwarded',
  VERDICT_DENIED: 'denied',
  VERDICT_REFUSED: 'refused',
  VERDICT_ERROR: 'error',
  VERDICT_AUDITED: 'audited',
  1: 'forwarded',
  2: 'denied',
  3: 'refused',
  4: 'error',
  5: 'audited',
};

/**
 * Verdict of a request's flow: what the proxy let pass and the server failed is forwarded, what never left the proxy is
 * dropped, what audit mode let pass against L3/L4 policy is audited.
 */
export const FLOW_VERDICTS: Readonly<Record<AccessVerdict, Verdict>> = {
  forwarded: 'FORWARDED',
  denied: 'DROPPED',
  refused: 'DROPPED',
  error: 'FORWARDED',
  audited: 'AUDIT',
};

/** The verdict of a record; undefined if it has none. */
export function accessVerdict(record: AccessRecord): AccessVerdict | undefined {
  return ACCESS_VERDICTS[record.verdict];
}

/** Flows that are made when somebody reads them: most are overwritten unread. */
export interface LazyFlows {
  readonly count: number;
  make(): Flow[];
}

const NONE: LazyFlows = { count: 0, make: () => [] };

/**
 * The flows of one request: the request, and the response if there was one, be it the server's or the proxy's own (403
 * for a denied request). The response's sender is the server and its verdict FORWARDED. Names are looked up now, as they
 * may change. A record without verdict or with broken addresses gives none.
 */
export function proxyFlows(record: AccessRecord, context: FlowContext): LazyFlows {
  const verdict = accessVerdict(record);
  if (verdict === undefined || record.source.length !== 16 || record.destination.length !== 16) return NONE;
  const source = readAddress(record.source);
  const destination = readAddress(record.destination);
  const seen = {
    source,
    destination,
    sourceIdentity: record.sourceIdentity,
    destinationIdentity: record.destinationIdentity,
    sourcePort: record.sourcePort,
    destinationPort: record.destinationPort,
    protocol: PROTOCOL.tcp,
  };
  const ends = endsOf(seen, context.names);
  return {
    count: record.status === 0 ? 1 : 2,
    make: () => makeFlows({ record, verdict, ends, context }),
  };
}

function makeFlows(request: {
  readonly record: AccessRecord;
  readonly verdict: AccessVerdict;
  readonly ends: Ends;
  readonly context: FlowContext;
}): Flow[] {
  const { record, verdict, ends, context } = request;
  const timeNs = BigInt(record.timeUnixNs);
  const latencyNs = BigInt(record.latencyNs);
  const http: Http = {
    method: record.method,
    url: requestUrl(record),
    ...(record.protocol ? { protocol: record.protocol } : {}),
  };
  const common = {
    Type: 'L7',
    event_type: { type: EVENT.accessLog },
    traffic_direction: record.ingress || !record.egress ? 'INGRESS' : 'EGRESS',
    ...traceContext(record),
  } as const;
  const head = `${record.protocol || 'HTTP'} `;
  const asked: Flow = {
    ...baseFlow(context, ends, { timeNs, tcpFlagsByte: 0 }),
    ...common,
    verdict: FLOW_VERDICTS[verdict],
    l7: { type: 'REQUEST', http },
    is_reply: { value: false },
    ...policiesOf(record, verdict, context),
    Summary: `${head}${http.method} ${http.url}`,
  };
  if (record.status === 0) return [asked];
  const answered: Flow = {
    ...baseFlow(context, reversed(ends), { timeNs: timeNs + latencyNs, tcpFlagsByte: 0 }),
    ...common,
    verdict: 'FORWARDED',
    l7: { type: 'RESPONSE', latency_ns: String(latencyNs), http: { code: record.status, ...http } },
    reply: true,
    is_reply: { value: true },
    Summary: `${head}${record.status} ${latencyNs / 1_000_000n}ms (${http.method} ${http.url})`,
  };
  return [asked, answered];
}

type PolicyFields = Pick<Flow, 'egress_allowed_by' | 'ingress_allowed_by' | 'egress_denied_by' | 'ingress_denied_by'>;

/** "http://host/path"; a target that already is a whole URL stays as it is. */
function requestUrl({ host, path }: AccessRecord): string {
  if (!path.startsWith('/') || host === '') return path;
  return `http://${host}${path}`;
}

function policiesOf(record: AccessRecord, verdict: AccessVerdict, { names }: FlowContext): PolicyFields {
  if (record.policies.length === 0) return {};
  const policies = record.policies.map(names.policy);
  const what = verdict === 'denied' || verdict === 'refused' ? 'denied' : 'allowed';
  return {
    ...(record.egress ? { [`egress_${what}_by`]: policies } : {}),
    ...(record.ingress ? { [`ingress_${what}_by`]: policies } : {}),
  };
}

function traceContext({ traceId }: AccessRecord): Pick<Flow, 'trace_context'> {
  if (traceId.length !== 16) return {};
  return { trace_context: { parent: { trace_id: Buffer.from(traceId).toString('hex') } } };
}
