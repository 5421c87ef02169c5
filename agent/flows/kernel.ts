// Flows from the kernel's flow events.

import {
  ACTION_ALLOW,
  ACTION_AUDIT,
  ACTION_DENY,
  ACTION_REDIRECT,
  DROP_POLICY_DENIED,
  DROP_POLICY_DENY,
  DROP_REASONS,
  FLOW_CHANGED,
  FLOW_CLOSED,
  FLOW_DROP,
  FLOW_NEW,
  type FlowEvent,
  POLICY_EGRESS,
} from '#bpf/abi.ts';
import { identity } from '#common/ids.ts';
import { EVENT, type Flow, TRACE_POINTS, type TracePoint, type Verdict } from '#observe/flow/model.ts';
import type { Question } from '../policy/entry-index.ts';
import { baseFlow, type Ends, endsOf, type FlowContext, PROTOCOL, reversed } from './base.ts';

/** Reasons that are a policy's verdict, so that the drop has a policy-verdict flow as well. */
const POLICY_DROPS: ReadonlySet<number> = new Set([DROP_POLICY_DENIED, DROP_POLICY_DENY]);

const VERDICTS: Readonly<Record<number, Verdict>> = {
  [ACTION_ALLOW]: 'FORWARDED',
  [ACTION_DENY]: 'DROPPED',
  [ACTION_REDIRECT]: 'REDIRECTED',
  [ACTION_AUDIT]: 'AUDIT',
};

/**
 * The flows that one event stands for, in order. New and changed connections: a policy verdict for each side whose
 * policy was asked and is enforced, then where the packet went. Closed TCP connections: the closing packet. Drops: the
 * policy verdict if a policy was the reason, then the drop.
 */
export function kernelFlows(event: FlowEvent, context: FlowContext): Flow[] {
  const timeNs = context.wallNs(event.timeNs);
  switch (event.kind) {
    case FLOW_NEW:
    case FLOW_CHANGED: {
      const verdicts = verdictFlows(event, context, timeNs);
      return isStopped(event) ? verdicts : [...verdicts, traceFlow(event, context, timeNs)];
    }
    case FLOW_CLOSED:
      return event.protocol === PROTOCOL.tcp ? [traceFlow(event, context, timeNs)] : [];
    case FLOW_DROP:
      return dropFlows(event, context, timeNs);
    default:
      return [];
  }
}

// A denied packet went nowhere, nor did one of a connection that must be made anew to go through the proxy: a drop event
// tells of both.
function isStopped({ egressAction, ingressAction, steered }: FlowEvent): boolean {
  if (egressAction === ACTION_DENY || ingressAction === ACTION_DENY) return true;
  return steered === 0 && (egressAction === ACTION_REDIRECT || ingressAction === ACTION_REDIRECT);
}

/** What one direction's policy said, as the kernel reported it. */
function sideOf(event: FlowEvent, direction: 'ingress' | 'egress') {
  return direction === 'ingress'
    ? { action: event.ingressAction, match: event.ingressMatch, cookie: event.ingressCookie }
    : { action: event.egressAction, match: event.egressMatch, cookie: event.egressCookie };
}

/** What policy was asked; undefined: the event does not say (an answer's ports are the other way round, ICMP has none). */
function questionOf(event: FlowEvent, direction: 'ingress' | 'egress'): Question | undefined {
  const { protocol, destinationPort: port } = event;
  if (event.isReply === 1 || port === 0) return undefined;
  const [source, destination] = [identity(event.sourceIdentity), identity(event.destinationIdentity)];
  const [subject, peer] = direction === 'ingress' ? [destination, source] : [source, destination];
  return { subject, direction, peer, l4: { protocol, port, bits: 24 } };
}

function verdictFlows(event: FlowEvent, context: FlowContext, timeNs: bigint): Flow[] {
  const flows: Flow[] = [];
  const subjects = { egress: event.source, ingress: event.destination } as const;
  for (const direction of ['egress', 'ingress'] as const) {
    const side = sideOf(event, direction);
    const verdict = VERDICTS[side.action];
    if (verdict === undefined) continue;
    // Without policy an endpoint's packets are allowed by a built-in entry (cookie 0): nothing that a person decided.
    const enforced = context.names.enforced(subjects[direction], direction) ?? side.cookie !== 0;
    if (!enforced && side.action === ACTION_ALLOW) continue;
    flows.push(verdictFlow(event, context, { direction, verdict, timeNs }));
  }
  return flows;
}

function verdictFlow(
  event: FlowEvent,
  context: FlowContext,
  details: { readonly direction: 'ingress' | 'egress'; readonly verdict: Verdict; readonly timeNs: bigint },
): Flow {
  const { direction, verdict, timeNs } = details;
  const side = sideOf(event, direction);
  const policies = context.names.policies(side.cookie, questionOf(event, direction));
  const what = verdict === 'DROPPED' || verdict === 'AUDIT' ? 'denied' : 'allowed';
  return {
    ...baseFlow(context, endsOf(event, context.names), { timeNs, tcpFlagsByte: event.tcpFlags }),
    verdict,
    ...(verdict === 'DROPPED' ? dropReason(event.reason || DROP_POLICY_DENIED) : {}),
    Type: 'L3_L4',
    event_type: { type: EVENT.policyVerdict },
    traffic_direction: direction === 'ingress' ? 'INGRESS' : 'EGRESS',
    ...(side.match ? { policy_match_type: side.match } : {}),
    is_reply: { value: event.kind === FLOW_DROP && event.isReply === 1 },
    ...(policies ? { [`${direction}_${what}_by`]: policies } : {}),
  };
}

function traceFlow(event: FlowEvent, context: FlowContext, timeNs: bigint): Flow {
  const isReply = event.isReply === 1;
  const asSeen = endsOf(event, context.names);
  const ends = isReply ? reversed(asSeen) : asSeen;
  const point = tracePoint(event, ends, context);
  const subType = TRACE_POINTS.find((p) => p.point === point)?.subType ?? 0;
  return {
    ...baseFlow(context, ends, { timeNs, tcpFlagsByte: event.tcpFlags }),
    verdict: 'FORWARDED',
    Type: 'L3_L4',
    event_type: { type: EVENT.trace, ...(subType ? { sub_type: subType } : {}) },
    traffic_direction: isIngress(event, context) ? 'INGRESS' : 'EGRESS',
    trace_observation_point: point,
    is_reply: { value: isReply },
    ...interfaceOf(event, context),
  };
}

// A steered connection counts for the side that wants the proxy, any other for the node's view of it.
function isIngress(event: FlowEvent, { names }: FlowContext): boolean {
  return event.steered === 1 ? event.ingressAction === ACTION_REDIRECT : names.isLocal(event.destination);
}

function tracePoint(event: FlowEvent, ends: Ends, { names }: FlowContext): TracePoint {
  if (event.steered === 1) return 'TO_PROXY';
  const receiver = names.endpointAt(ends.destination);
  if (receiver === undefined) return 'TO_STACK';
  // An endpoint without an interface is an address of the node itself.
  return receiver.device === undefined ? 'TO_HOST' : 'TO_ENDPOINT';
}

function dropFlows(event: FlowEvent, context: FlowContext, timeNs: bigint): Flow[] {
  const direction = event.direction === POLICY_EGRESS ? 'egress' : 'ingress';
  const isPolicy = POLICY_DROPS.has(event.reason);
  const verdicts = isPolicy ? [verdictFlow(event, context, { direction, verdict: 'DROPPED', timeNs })] : [];
  // What is dropped at the receiver had passed the sender's policy.
  if (isPolicy && direction === 'ingress' && event.isReply === 0) {
    verdicts.unshift(...verdictFlows(event, context, timeNs).filter((flow) => flow.traffic_direction === 'EGRESS'));
  }
  // Before policy was asked nobody knows whether the packet was an answer.
  const known = isPolicy || event.isReply === 1;
  const denying = isPolicy
    ? context.names.policies(sideOf(event, direction).cookie, questionOf(event, direction))
    : undefined;
  return [
    ...verdicts,
    {
      ...baseFlow(context, endsOf(event, context.names), { timeNs, tcpFlagsByte: event.tcpFlags }),
      verdict: 'DROPPED',
      ...dropReason(event.reason),
      Type: 'L3_L4',
      event_type: { type: EVENT.drop, sub_type: event.reason },
      ...(event.direction ? { traffic_direction: direction === 'ingress' ? 'INGRESS' : 'EGRESS' } : {}),
      ...(known ? { is_reply: { value: event.isReply === 1 } } : {}),
      ...(denying ? { [`${direction}_denied_by`]: denying } : {}),
      ...interfaceOf(event, context),
    },
  ];
}

function dropReason(reason: number): Pick<Flow, 'drop_reason' | 'drop_reason_desc'> {
  return { drop_reason: reason, drop_reason_desc: DROP_REASONS[reason]?.flowName ?? reason };
}

function interfaceOf(event: FlowEvent, { names }: FlowContext): Pick<Flow, 'interface'> {
  if (event.ifindex === 0) return {};
  const devices = [names.endpointAt(event.source)?.device, names.endpointAt(event.destination)?.device];
  const name = devices.find((device) => device?.ifindex === event.ifindex)?.name;
  return { interface: { index: event.ifindex, ...(name ? { name } : {}) } };
}
