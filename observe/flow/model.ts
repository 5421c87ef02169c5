// The flow model. It has the names and shapes of api/flow.proto, so that ring, filters, wire and JSON need no conversion.

export type Verdict = 'FORWARDED' | 'DROPPED' | 'ERROR' | 'AUDIT' | 'REDIRECTED' | 'TRACED' | 'TRANSLATED';
export type TrafficDirection = 'INGRESS' | 'EGRESS';
export type FlowType = 'L3_L4' | 'L7' | 'SOCK';
export type LostSource = 'PERF_EVENT_RING_BUFFER' | 'OBSERVER_EVENTS_QUEUE' | 'HUBBLE_RING_BUFFER';

/** Values of `event_type.type`. */
export const EVENT = {
  drop: 1,
  debug: 2,
  capture: 3,
  trace: 4,
  policyVerdict: 5,
  traceSock: 7,
  accessLog: 129,
} as const;

/** `trace_observation_point` with its number (the sub type of trace events; 0 for to-endpoint) and its name for people. */
export const TRACE_POINTS = [
  { point: 'TO_ENDPOINT', subType: 0, text: 'to-endpoint' },
  { point: 'TO_PROXY', subType: 1, text: 'to-proxy' },
  { point: 'TO_HOST', subType: 2, text: 'to-host' },
  { point: 'TO_STACK', subType: 3, text: 'to-stack' },
  { point: 'TO_OVERLAY', subType: 4, text: 'to-overlay' },
  { point: 'FROM_ENDPOINT', subType: 5, text: 'from-endpoint' },
  { point: 'FROM_PROXY', subType: 6, text: 'from-proxy' },
  { point: 'FROM_HOST', subType: 7, text: 'from-host' },
  { point: 'FROM_STACK', subType: 8, text: 'from-stack' },
  { point: 'FROM_OVERLAY', subType: 9, text: 'from-overlay' },
  { point: 'FROM_NETWORK', subType: 10, text: 'from-network' },
  { point: 'TO_NETWORK', subType: 11, text: 'to-network' },
  { point: 'FROM_CRYPTO', subType: 12, text: 'from-crypto' },
  { point: 'TO_CRYPTO', subType: 13, text: 'to-crypto' },
] as const;
export type TracePoint = (typeof TRACE_POINTS)[number]['point'];

/** Names of `policy_match_type`, by number. */
export const MATCH_TYPES = ['none', 'L3-Only', 'L3-L4', 'L4-Only', 'all', 'L3-Proto', 'Proto-Only'] as const;

/** google.protobuf.Timestamp. `seconds` since 1970; decimal text when it came over the wire. */
export interface Timestamp {
  readonly seconds: number | string;
  readonly nanos?: number;
}

export interface Workload {
  readonly name: string;
  readonly kind: string;
}

export interface Endpoint {
  readonly ID?: number;
  readonly identity?: number;
  readonly namespace?: string;
  readonly labels?: readonly string[];
  readonly pod_name?: string;
  readonly workloads?: readonly Workload[];
  readonly cluster_name?: string;
}

export interface Ports {
  readonly source_port?: number;
  readonly destination_port?: number;
}

export const TCP_FLAGS = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR', 'NS'] as const;
export type TcpFlags = { readonly [Flag in (typeof TCP_FLAGS)[number]]?: boolean };

/** Exactly one field is set. */
export interface Layer4 {
  readonly TCP?: Ports & { readonly flags?: TcpFlags };
  readonly UDP?: Ports;
  readonly SCTP?: Ports;
  readonly ICMPv4?: { readonly type?: number; readonly code?: number };
  readonly ICMPv6?: { readonly type?: number; readonly code?: number };
}

export interface Http {
  readonly code?: number;
  readonly method?: string;
  readonly url?: string;
  readonly protocol?: string;
  readonly headers?: readonly { readonly key: string; readonly value: string }[];
}

export interface Layer7 {
  readonly type: 'REQUEST' | 'RESPONSE' | 'SAMPLE';
  readonly latency_ns?: string;
  readonly http?: Http;
}

export interface Policy {
  readonly name: string;
  readonly namespace?: string;
  readonly labels?: readonly string[];
  readonly revision?: string;
  readonly kind?: string;
}

/** One flow.Flow. Zero and empty values are left out, as in proto3. */
export interface Flow {
  readonly time: Timestamp;
  readonly uuid?: string;
  readonly verdict: Verdict;
  readonly drop_reason?: number;
  readonly IP?: {
    readonly source: string;
    readonly destination: string;
    readonly ipVersion?: 'IPv4' | 'IPv6';
    readonly encrypted?: boolean;
  };
  readonly l4?: Layer4;
  readonly source?: Endpoint;
  readonly destination?: Endpoint;
  readonly Type: FlowType;
  readonly node_name?: string;
  readonly source_names?: readonly string[];
  readonly destination_names?: readonly string[];
  readonly l7?: Layer7;
  readonly reply?: boolean;
  readonly event_type: { readonly type: number; readonly sub_type?: number };
  readonly source_service?: { readonly name: string; readonly namespace: string };
  readonly destination_service?: { readonly name: string; readonly namespace: string };
  readonly traffic_direction?: TrafficDirection;
  readonly policy_match_type?: number;
  readonly trace_observation_point?: TracePoint;
  /** A name of the DropReason enum; a number if the enum has no name for it. */
  readonly drop_reason_desc?: string | number;
  /** Absent: not known. */
  readonly is_reply?: { readonly value: boolean };
  readonly interface?: { readonly index?: number; readonly name?: string };
  readonly trace_context?: { readonly parent: { readonly trace_id: string } };
  readonly Summary?: string;
  readonly egress_allowed_by?: readonly Policy[];
  readonly ingress_allowed_by?: readonly Policy[];
  readonly egress_denied_by?: readonly Policy[];
  readonly ingress_denied_by?: readonly Policy[];
}

/** flow.LostEvent. */
export interface LostEvent {
  readonly source: LostSource;
  readonly num_events_lost: string;
}

/** observer.GetFlowsResponse. */
export interface FlowsResponse {
  readonly flow?: Flow;
  readonly lost_events?: LostEvent;
  readonly node_status?: { readonly state_change?: string; readonly node_names?: readonly string[] };
  readonly node_name?: string;
  readonly time?: Timestamp;
}

/** observer.GetFlowsRequest. */
export interface FlowsRequest {
  readonly number?: string | number;
  readonly first?: boolean;
  readonly follow?: boolean;
  readonly blacklist?: readonly FlowFilter[];
  readonly whitelist?: readonly FlowFilter[];
  readonly since?: Timestamp;
  readonly until?: Timestamp;
}

/** flow.FlowFilter: fields that are set must all hold; of the values of one field, any. */
export interface FlowFilter {
  source_ip?: readonly string[];
  source_pod?: readonly string[];
  destination_ip?: readonly string[];
  destination_pod?: readonly string[];
  verdict?: readonly string[];
  event_type?: readonly { readonly type?: number; readonly match_sub_type?: boolean; readonly sub_type?: number }[];
  source_fqdn?: readonly string[];
  destination_fqdn?: readonly string[];
  http_status_code?: readonly string[];
  source_label?: readonly string[];
  destination_label?: readonly string[];
  protocol?: readonly string[];
  source_port?: readonly string[];
  destination_port?: readonly string[];
  reply?: readonly boolean[];
  source_service?: readonly string[];
  destination_service?: readonly string[];
  dns_query?: readonly string[];
  source_identity?: readonly number[];
  destination_identity?: readonly number[];
  http_method?: readonly string[];
  http_path?: readonly string[];
  tcp_flags?: readonly TcpFlags[];
  node_name?: readonly string[];
  ip_version?: readonly string[];
  source_workload?: readonly { readonly name?: string; readonly kind?: string }[];
  destination_workload?: readonly { readonly name?: string; readonly kind?: string }[];
  trace_id?: readonly string[];
  uuid?: readonly string[];
  traffic_direction?: readonly string[];
  http_url?: readonly string[];
  http_header?: readonly { readonly key?: string; readonly value?: string }[];
  drop_reason_desc?: readonly (string | number)[];
  source_ip_xlated?: readonly string[];
  interface?: readonly { readonly index?: number; readonly name?: string }[];
  node_labels?: readonly string[];
  source_cluster_name?: readonly string[];
  destination_cluster_name?: readonly string[];
  ip_trace_id?: readonly string[];
  encrypted?: readonly boolean[];
}

/** Nanoseconds since 1970. */
export function timestampNs(time: Timestamp): bigint {
  return BigInt(time.seconds) * 1_000_000_000n + BigInt(time.nanos ?? 0);
}

/** The timestamp of `ns` nanoseconds since 1970. */
export function toTimestamp(ns: bigint): Timestamp {
  const seconds = Number(ns / 1_000_000_000n);
  const nanos = Number(ns % 1_000_000_000n);
  return nanos === 0 ? { seconds } : { seconds, nanos };
}
