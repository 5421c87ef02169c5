// From a flow that was observed to the question that would ask about it again.

import { err, ok, type Result } from '#common/result.ts';
import type { Endpoint, Flow, Policy } from '#observe/flow/model.ts';
import type { HttpRequest, Question } from './model.ts';

/** What was recorded of the flow when it happened. */
export interface PastFlow {
  readonly uuid: string;
  readonly verdict: string;
  readonly summary: string;
  readonly allowedBy: readonly Policy[];
  readonly deniedBy: readonly Policy[];
}

/** The question about a flow's connection, from the end that began it; the error says why there is none. */
export function questionOf(flow: Flow): Result<Question, string> {
  const port = portOf(flow);
  if (port === undefined) return err('it has neither ports nor an ICMP type');
  const isReply = flow.is_reply?.value === true;
  const ends = [partyText(flow.source, flow.IP?.source), partyText(flow.destination, flow.IP?.destination)];
  const [from, to] = isReply ? ends.reverse() : ends;
  if (from === undefined || to === undefined) return err('it has no addresses');
  const request = requestOf(flow);
  return ok({ from, to, port, ...(request ? { request } : {}) });
}

/** What the flow says of itself. */
export function pastFlow(flow: Flow): PastFlow {
  return {
    uuid: flow.uuid ?? '',
    verdict: flow.verdict,
    summary: flow.Summary ?? '',
    allowedBy: [...(flow.egress_allowed_by ?? []), ...(flow.ingress_allowed_by ?? [])],
    deniedBy: [...(flow.egress_denied_by ?? []), ...(flow.ingress_denied_by ?? [])],
  };
}

function partyText(endpoint: Endpoint | undefined, address: string | undefined): string | undefined {
  return endpoint?.pod_name ? `${endpoint.namespace ?? 'default'}/${endpoint.pod_name}` : address;
}

// Of a reply the server's port is the sender's.
function portOf({ l4, is_reply }: Flow): string | undefined {
  for (const protocol of ['TCP', 'UDP', 'SCTP'] as const) {
    const ports = l4?.[protocol];
    if (ports) return `${(is_reply?.value ? ports.source_port : ports.destination_port) ?? 0}/${protocol}`;
  }
  if (l4?.ICMPv4) return `${l4.ICMPv4.type ?? 0}/ICMP`;
  return l4?.ICMPv6 && `${l4.ICMPv6.type ?? 0}/ICMPv6`;
}

/** The request of an HTTP flow. */
export function requestOf(flow: Flow): HttpRequest | undefined {
  const http = flow.l7?.http;
  if (!http?.method) return undefined;
  const [, host = '', path = ''] = /^(?:https?:\/\/([^/]*))?(.*)$/.exec(http.url ?? '') ?? [];
  const headers = (http.headers ?? []).map(({ key, value }) => ({ name: key, value }));
  return { method: http.method, path: path || '/', host, headers };
}
