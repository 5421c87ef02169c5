// Names of things in flows, as people read them.

import { dropReasonText } from './drop-reasons.ts';
import { EVENT, type Flow, MATCH_TYPES, TCP_FLAGS, type TcpFlags, TRACE_POINTS } from './model.ts';

/** Names of the reserved identities, by number. */
const RESERVED_NAMES = [
  'unknown',
  'host',
  'world',
  'unmanaged',
  'health',
  'init',
  'remote-node',
  'kube-apiserver',
  'ingress',
  'world-ipv4',
  'world-ipv6',
] as const;

/** "(host)" for a reserved identity, "(ID:1234)" otherwise. */
export function identityText(identity: number): string {
  const name = RESERVED_NAMES[identity];
  return name === undefined ? `(ID:${identity})` : `(${name})`;
}

/** The label of a reserved identity ("reserved:host"); undefined for others. */
export function reservedLabel(identity: number): string | undefined {
  const name = RESERVED_NAMES[identity];
  return name === undefined || identity === 0 ? undefined : `reserved:${name}`;
}

/** "to-proxy", "Policy denied", "policy-verdict:L3-L4 INGRESS", "http-request". */
export function flowTypeText(flow: Flow): string {
  if (flow.l7 !== undefined) return `${flow.l7.http ? 'http' : 'l7'}-${flow.l7.type.toLowerCase()}`;
  const subType = flow.event_type?.sub_type ?? 0;
  switch (flow.event_type?.type) {
    case EVENT.trace:
      return TRACE_POINTS.find((p) => p.subType === subType)?.text ?? `trace ${subType}`;
    case EVENT.drop:
      return dropReasonText(subType, flow.drop_reason_desc);
    case EVENT.policyVerdict: {
      const match = MATCH_TYPES[flow.policy_match_type ?? 0] ?? String(flow.policy_match_type);
      return `policy-verdict:${match} ${flow.traffic_direction ?? 'TRAFFIC_DIRECTION_UNKNOWN'}`;
    }
    default:
      return 'UNKNOWN';
  }
}

/** The verdict; policy verdicts are ALLOWED, DENIED or AUDITED. With policies it says by which. */
export function verdictText(flow: Flow, withPolicies: boolean): string {
  if (flow.event_type?.type !== EVENT.policyVerdict) {
    const what = flow.verdict === 'DROPPED' ? 'denied' : 'allowed';
    return `${flow.verdict ?? 'VERDICT_UNKNOWN'}${by(flow, what, withPolicies)}`;
  }
  switch (flow.verdict) {
    case 'FORWARDED':
    case 'REDIRECTED':
      return `ALLOWED${by(flow, 'allowed', withPolicies)}`;
    case 'DROPPED':
    case 'ERROR':
      return `DENIED${by(flow, 'denied', withPolicies)}`;
    case 'AUDIT':
      return `AUDITED${by(flow, 'denied', withPolicies)}`;
    default:
      return flow.verdict;
  }
}

function by(flow: Flow, what: 'allowed' | 'denied', withPolicies: boolean): string {
  if (!withPolicies) return '';
  // A request is decided for both ends at once; everything else is about one.
  const isRequest = flow.l7 !== undefined;
  const sides =
    flow.traffic_direction === 'EGRESS' ? (['egress', 'ingress'] as const) : (['ingress', 'egress'] as const);
  const policies = sides.slice(0, isRequest ? 2 : 1).flatMap((side) => flow[`${side}_${what}_by`] ?? []);
  const names = new Set(policies.map(({ name, kind }) => (kind ? `${name} (${kind})` : name)));
  return names.size === 0 ? '' : ` BY ${[...names].join(', ')}`;
}

const FLAG_ORDER = ['SYN', 'ACK', 'RST', 'FIN', 'PSH', 'URG', 'ECE', 'CWR', 'NS'] as const;

/** "TCP Flags: SYN, ACK". */
export function tcpSummary(flags: TcpFlags): string {
  return `TCP Flags: ${FLAG_ORDER.filter((flag) => flags[flag]).join(', ')}`;
}

/** The flags byte of a TCP header, decoded; only what is set is there. */
export function tcpFlags(byte: number): TcpFlags {
  return Object.fromEntries(TCP_FLAGS.flatMap((flag, bit) => ((byte >> bit) & 1 ? [[flag, true]] : [])));
}

/** Makes text from the wire harmless on a terminal: control characters become \xNN. */
export function printable(text: string): string {
  return text.replace(/[\x00-\x1f\x7f-\x9f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
