// Metrics of flows and requests, counted as they pass. Label values are bounded: what clients choose freely is folded.

import { Counter, Histogram, type Registry } from 'prom-client';
import { EVENT, type Flow, MATCH_TYPES } from '#observe/flow/model.ts';
import type { AccessRecord } from '../flows/access-record.ts';
import type { FlowSink } from '../flows/pipeline.ts';
import { type AccessVerdict, accessVerdict, FLOW_VERDICTS } from '../flows/proxy.ts';

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH']);
const PROTOCOLS = new Set(['HTTP/1.0', 'HTTP/1.1', 'HTTP/2']);
const LOST_SOURCES = {
  PERF_EVENT_RING_BUFFER: 'perf_event_ring_buffer',
  OBSERVER_EVENTS_QUEUE: 'observer_events_queue',
  HUBBLE_RING_BUFFER: 'hubble_ring_buffer',
} as const;

/** What a request became, in cilium_policy_l7_total. */
const L7_RULES = {
  forwarded: 'forwarded',
  error: 'forwarded',
  denied: 'denied',
  refused: 'parse_errors',
  audited: 'forwarded',
} as const;

/** Requests that are alike in every label. */
interface RequestCount {
  readonly method: string;
  readonly protocol: string;
  readonly status: string;
  readonly reporter: string;
  readonly verdict: AccessVerdict;
  count: number;
}

/** Kinds of requests that are told apart; the rest goes together under "other". */
const MAX_KINDS = 1_024;

/** Counters over flows and requests, registered in `registry`. */
export function createFlowMetrics(registry: Registry): FlowSink {
  const registers = [registry];
  const counter = (name: string, help: string, labelNames: string[]): Counter =>
    new Counter({ name, help, labelNames, registers });

  const drops = counter('hubble_drop_total', 'Drops seen as flows.', ['reason', 'protocol']);
  const verdicts = counter('hubble_policy_verdicts_total', 'Policy verdicts seen.', ['direction', 'match', 'action']);
  const lost = counter('hubble_lost_events_total', 'Events that were lost, by where.', ['source']);
  const duration = new Histogram({
    name: 'hubble_http_request_duration_seconds',
    help: 'Seconds from the head of a request to the head of its response.',
    labelNames: ['method', 'reporter'],
    registers,
  });
  for (const source of Object.values(LOST_SOURCES)) lost.inc({ source }, 0);
  const requests = new Map<string, RequestCount>();
  const flows = new Map<string, { readonly labels: Readonly<Record<string, string>>; count: number }>();
  registerRequests(registry, requests);
  registerProcessed(registry, { requests, flows });

  return {
    flow(flow) {
      const labels = { protocol: protocolOf(flow), ...kindOf(flow), verdict: flow.verdict };
      const key = Object.values(labels).join(' ');
      const known = flows.get(key);
      if (known) known.count++;
      else flows.set(key, { labels, count: 1 });
      if (flow.event_type.type === EVENT.drop) {
        drops.inc({ reason: String(flow.drop_reason_desc), protocol: labels.protocol });
      }
      if (flow.event_type.type === EVENT.policyVerdict) verdicts.inc(verdictLabels(flow));
    },
    record(record) {
      const request = countRequest(requests, record);
      if (request === undefined || record.status === 0) return;
      const { method, reporter } = request;
      duration.observe({ method, reporter }, Number(record.latencyNs) / 1e9);
    },
    lost: (source, count) => lost.inc({ source: LOST_SOURCES[source] }, count),
  };
}

// Tens of thousands of requests a second pass here: each costs one lookup, and labels are made when metrics are read.
function countRequest(requests: Map<string, RequestCount>, record: AccessRecord): RequestCount | undefined {
  const verdict = accessVerdict(record);
  if (verdict === undefined) return undefined;
  const reporter = record.ingress || !record.egress ? 'server' : 'client';
  const key = `${record.method} ${record.protocol} ${record.status} ${reporter} ${verdict}`;
  const known = requests.get(key);
  if (known !== undefined) {
    known.count++;
    return known;
  }
  const method = METHODS.has(record.method) ? record.method : 'other';
  const protocol = PROTOCOLS.has(record.protocol) ? record.protocol : 'other';
  const isPlain = method !== 'other' && protocol !== 'other' && requests.size < MAX_KINDS;
  const status = isPlain || requests.size < MAX_KINDS ? String(record.status) : 'other';
  const foldedKey = isPlain ? key : `${method} ${protocol} ${status} ${reporter} ${verdict}`;
  const folded = requests.get(foldedKey) ?? { method, protocol, status, reporter, verdict, count: 0 };
  folded.count++;
  requests.set(foldedKey, folded);
  return folded;
}

/** Registers what is counted elsewhere and read when metrics are. */
function derived(
  registry: Registry,
  spec: { readonly name: string; readonly help: string; readonly labelNames: string[] },
  read: (add: (labels: Readonly<Record<string, string>>, count: number) => void) => void,
): void {
  new Counter({
    ...spec,
    registers: [registry],
    collect() {
      this.reset();
      read((labels, count) => this.inc(labels, count));
    },
  });
}

function registerRequests(registry: Registry, requests: ReadonlyMap<string, RequestCount>): void {
  const seen = { name: 'hubble_http_requests_total', help: 'HTTP requests seen.' };
  derived(registry, { ...seen, labelNames: ['method', 'protocol', 'status', 'reporter'] }, (add) => {
    for (const { method, protocol, status, reporter, count } of requests.values()) {
      add({ method, protocol, status, reporter }, count);
    }
  });
  const l7 = { name: 'cilium_policy_l7_total', help: 'Requests by what the proxy did with them.' };
  derived(registry, { ...l7, labelNames: ['rule', 'proxy_type'] }, (add) => {
    const addRule = (rule: string, count: number): void => add({ rule, proxy_type: 'envoy' }, count);
    for (const rule of ['received', 'forwarded', 'denied', 'parse_errors']) addRule(rule, 0);
    for (const { verdict, count } of requests.values()) {
      addRule('received', count);
      addRule(L7_RULES[verdict], count);
    }
  });
}

function registerProcessed(
  registry: Registry,
  counts: {
    readonly requests: ReadonlyMap<string, RequestCount>;
    readonly flows: ReadonlyMap<string, { readonly labels: Readonly<Record<string, string>>; readonly count: number }>;
  },
): void {
  const processed = { name: 'hubble_flows_processed_total', help: 'Flows seen.' };
  derived(registry, { ...processed, labelNames: ['protocol', 'type', 'subtype', 'verdict'] }, (add) => {
    for (const { labels, count } of counts.flows.values()) add(labels, count);
    const l7 = { protocol: 'HTTP', type: 'L7', subtype: 'HTTP' };
    for (const { verdict, status, count } of counts.requests.values()) {
      add({ ...l7, verdict: FLOW_VERDICTS[verdict] }, count);
      if (status !== '0') add({ ...l7, verdict: 'FORWARDED' }, count);
    }
  });
}

function protocolOf(flow: Flow): string {
  return Object.keys(flow.l4 ?? {})[0] ?? 'unknown';
}

function kindOf(flow: Flow): { type: string; subtype: string } {
  switch (flow.event_type.type) {
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
