// proto3 JSON of flow responses, one object a line as `hubble observe -o json` prints it.

import type { Flow, FlowsResponse, Timestamp } from './model.ts';

/** Fields of flow.Flow in the order of its JSON. */
const FLOW_FIELDS: readonly (keyof Flow)[] = [
  'time',
  'uuid',
  'verdict',
  'drop_reason',
  'IP',
  'l4',
  'source',
  'destination',
  'Type',
  'node_name',
  'source_names',
  'destination_names',
  'l7',
  'reply',
  'event_type',
  'source_service',
  'destination_service',
  'traffic_direction',
  'policy_match_type',
  'trace_observation_point',
  'drop_reason_desc',
  'is_reply',
  'interface',
  'trace_context',
  'Summary',
  'egress_allowed_by',
  'ingress_allowed_by',
  'egress_denied_by',
  'ingress_denied_by',
];

type Json = string | number | boolean | Json[] | { [key: string]: Json };

/** The JSON object of one GetFlowsResponse: {"flow": …, "node_name": …, "time": …}. */
export function responseToJson(response: FlowsResponse): Record<string, unknown> {
  const { flow, lost_events, node_status, node_name, time } = response;
  return {
    ...(flow ? { flow: flowToJson(flow) } : {}),
    ...(lost_events ? { lost_events: prune(lost_events) ?? {} } : {}),
    ...(node_status ? { node_status: prune(node_status) ?? {} } : {}),
    ...(node_name ? { node_name } : {}),
    ...(time ? { time: rfc3339(time) } : {}),
  };
}

/** The JSON object of one flow. */
export function flowToJson(flow: Flow): Record<string, unknown> {
  const json: Record<string, unknown> = {};
  for (const field of FLOW_FIELDS) {
    const value = field === 'time' || field === 'is_reply' ? wellKnown(flow, field) : prune(flow[field]);
    if (value !== undefined) json[field] = value;
  }
  return json;
}

// Wrappers and timestamps have a JSON form of their own; false in a wrapper is a value, not an absent field.
function wellKnown(flow: Flow, field: 'time' | 'is_reply'): string | boolean | undefined {
  if (field === 'time') return flow.time ? rfc3339(flow.time) : undefined;
  return flow.is_reply ? flow.is_reply.value === true : undefined;
}

/** Leaves out zero and empty values, as proto3 JSON does. A message that is present stays, even if it is empty. */
function prune(value: unknown): Json | undefined {
  if (value === undefined || value === null || value === '' || value === 0 || value === false || value === '0') {
    return undefined;
  }
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.map((item) => prune(item) ?? item);
  if (typeof value === 'object') {
    const json: { [key: string]: Json } = {};
    for (const [key, item] of Object.entries(value)) {
      const kept = prune(item);
      if (kept !== undefined) json[key] = kept;
    }
    return json;
  }
  return value as string | number | boolean;
}

/** "2026-01-02T15:04:05.123Z", with as many groups of three digits as are needed. */
export function rfc3339(time: Timestamp): string {
  const seconds = new Date(Number(time.seconds) * 1_000).toISOString().slice(0, 19);
  const nanos = String(time.nanos ?? 0).padStart(9, '0');
  const digits = nanos.endsWith('000000') ? 3 : nanos.endsWith('000') ? 6 : 9;
  return `${seconds}${time.nanos ? `.${nanos.slice(0, digits)}` : ''}Z`;
}
