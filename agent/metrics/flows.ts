// Metrics of flows and requests, counted as they pass. Label values are bounded: what clients choose freely is folded.

import { Counter, Histogram, type Registry } from 'prom-client';
import { EVENT, type Flow, MATCH_TYPES } from '#observe/flow/model.ts';
import type { FlowSink } from '../flows/pipeline.ts';
import { accessVerdict } from '../flows/proxy.ts';

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH']);
const PROTOCOLS = new Set(['HTTP/1.0', 'HTTP/1.1', 'HTTP/2']);
const LOST_SOURCES = {
  PERF_EVENT_RING_BUFFER: 'perf_event_ring_buffer',
  OBSERVER_EVENTS_QUEUE: 'observer_events_queue',
  HUBBLE_RING_BUFFER: 'hubble_ring_buffer',
} as const;

/** What a request became, in cilium_policy_l7_total. */
const L7_RULES = { forwarded: 'forwarded', error: 'forwarded', denied: 'denied', refused: 'parse_errors' } as const;

/** Counters over flows, registered in `registry`. */
export function createFlowMetrics(registry: Registry): FlowSink {
  const registers = [registry];
  const counter = (name: string, help: string, labelNames: string[]): Counter =>
    new Counter({ name, help, labelNames, registers });

  const processed = counter('hubble_flows_processed_total', 'Flows seen.', ['protocol', 'type', 'subtype', 'verdict']);
  const drops = counter('hubble_drop_total', 'Drops seen as flows.', ['reason', 'protocol']);
  const verdicts = counter('hubble_policy_verdicts_total', 'Policy verdicts seen.', ['direction', 'match', 'action']);
  const lost = counter('hubble_lost_events_total', 'Events that were lost, by where.', ['source']);
  const requests = counter('hubble_http_requests_total', 'HTTP requests seen.', [
    'method',
    'protocol',
    'status',
    'reporter',
  ]);
  const l7 = counter('cilium_policy_l7_total', 'Requests by what the proxy did with them.', ['rule', 'proxy_type']);
  const duration = new Histogram({
    name: 'hubble_http_request_duration_seconds',
    help: 'Seconds from the head of a request to the head of its response.',
    labelNames: ['method', 'reporter'],
    registers,
  });
  for (const source of Object.values(LOST_SOURCES)) lost.inc({ source }, 0);
  for (const rule of ['received', 'forwarded', 'denied', 'parse_errors']) l7.inc({ rule, proxy_type: 'http' }, 0);

  return {
    flow(flow) {
      const protocol = protocolOf(flow);
      processed.inc({ protocol, ...kindOf(flow), verdict: flow.verdict });
      if (flow.event_type.type === EVENT.drop) drops.inc({ reason: String(flow.drop_reason_desc), protocol });
      if (flow.event_type.type === EVENT.policyVerdict) verdicts.inc(verdictLabels(flow));
    },
    record(record) {
      const verdict = accessVerdict(record);
      if (verdict === undefined) return;
      l7.inc({ rule: 'received', proxy_type: 'http' });
      l7.inc({ rule: L7_RULES[verdict], proxy_type: 'http' });
      const reporter = record.ingress || !record.egress ? 'server' : 'client';
      const method = METHODS.has(record.method) ? record.method : 'other';
      const protocol = PROTOCOLS.has(record.protocol) ? record.protocol : 'other';
      requests.inc({ method, protocol, status: record.status, reporter });
      if (record.status !== 0) duration.observe({ method, reporter }, Number(record.latencyNs) / 1e9);
    },
    lost: (source, count) => lost.inc({ source: LOST_SOURCES[source] }, count),
  };
}

function protocolOf(flow: Flow): string {
  if (flow.l7?.http) return 'HTTP';
  return Object.keys(flow.l4 ?? {})[0] ?? 'unknown';
}

function kindOf(flow: Flow): { type: string; subtype: string } {
  switch (flow.event_type.type) {
    case EVENT.accessLog:
      return { type: 'L7', subtype: 'HTTP' };
    case EVENT.drop:
      return { type: 'Drop', subtype: '' };
    case EVENT.policyVerdict:
      return { type: 'PolicyVerdict', subtype: '' };
    default:
      return { type: 'Trace', subtype: (flow.trace_observation_point ?? 'unknown').toLowerCase().replaceAll('_', '-') };
  }
}

function verdictLabels(flow: Flow): { direction: string; match: string; action: string } {
  const actions: Partial<Record<Flow['verdict'], string>> = {
    FORWARDED: 'forwarded',
    REDIRECTED: 'redirected',
    DROPPED: 'dropped',
    AUDIT: 'audit',
  };
  return {
    direction: (flow.traffic_direction ?? 'unknown').toLowerCase(),
    match: (MATCH_TYPES[flow.policy_match_type ?? 0] ?? 'none').toLowerCase(),
    action: actions[flow.verdict] ?? 'unknown',
  };
}
