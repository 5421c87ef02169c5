// Observed flows -> who talked to whom: the connections and requests that passed, each once.

import { EVENT, type Flow, timestampNs } from '#observe/flow/model.ts';
import type { DraftParty } from './draft.ts';
import { namespaceOf } from './draft.ts';
import { requestOf } from './past.ts';
import type { Port, ProtocolName } from './port.ts';

/** Two ends that talked on one port, with the requests that were seen. */
export interface Conversation {
  readonly from: ObservedParty;
  readonly to: ObservedParty;
  readonly port: Port;
  readonly requests: readonly { readonly method: string; readonly path: string }[];
  /** Some connections did not go through the proxy: nobody knows what was asked on them. */
  readonly unseen: boolean;
}

export interface ObservedParty extends DraftParty {
  /** Workload or pod, without namespace; '': no pod. */
  readonly name: string;
  readonly pod: string;
}

export interface Observed {
  readonly conversations: readonly Conversation[];
  /** Flows that were counted in. */
  readonly flows: number;
  /** Flows that went to a service's address or had no ends that policy knows: nothing can be said of them. */
  readonly unknown: number;
  /** Of the first and the last flow, in ns since 1970; undefined: no flow. */
  readonly beganNs: bigint | undefined;
  readonly endedNs: bigint | undefined;
}

export interface ObservedOptions {
  /** Count what was refused, too. */
  readonly includeDenied: boolean;
  /** Look at requests, not only at ports. */
  readonly http: boolean;
}

interface Talk extends Omit<Conversation, 'requests' | 'unseen'> {
  readonly requests: Map<string, { readonly method: string; readonly path: string }>;
  /** It went on without the proxy, or the proxy let a request pass. */
  passed: boolean;
  unseen: boolean;
  /** The proxy refused a request. */
  refused: boolean;
}

const PASSED: ReadonlySet<string> = new Set(['FORWARDED', 'REDIRECTED', 'AUDIT']);

/** Reads flows, of which replies and, without `includeDenied`, refusals count for nothing. */
export function observedOf(flows: Iterable<Flow>, options: ObservedOptions): Observed {
  const talks = new Map<string, Talk>();
  const times: bigint[] = [];
  let unknown = 0;
  for (const flow of flows) {
    // A verdict of one end says nothing of the other; where the packet went is a flow of its own.
    if (flow.is_reply?.value !== false || flow.event_type.type === EVENT.policyVerdict) continue;
    const isRefusedRequest = flow.l7 !== undefined && !PASSED.has(flow.verdict);
    if (!PASSED.has(flow.verdict) && !options.includeDenied && !isRefusedRequest) continue;
    const port = portOf(flow);
    if (port === undefined) continue;
    const from = partyOf(flow.source, { address: flow.IP?.source, names: flow.source_names });
    const to = partyOf(flow.destination, { address: flow.IP?.destination, names: flow.destination_names });
    if (from === undefined || to === undefined) {
      unknown++;
      continue;
    }
    times.push(timestampNs(flow.time));
    const key = [partyKey(from), partyKey(to), port.protocol, port.port].join(' ');
    const talk: Talk = talks.get(key) ?? {
      from,
      to,
      port,
      requests: new Map(),
      passed: false,
      unseen: false,
      refused: false,
    };
    talks.set(key, talk);
    if (isRefusedRequest && !options.includeDenied) talk.refused = true;
    else count(flow, talk, options);
  }
  const sorted = times.sort((a, b) => (a < b ? -1 : 1));
  const conversations = [...talks]
    // Of a connection to the proxy alone nobody knows whether anything came through.
    .filter(([, { passed, refused }]) => passed || !refused)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, { from, to, port, unseen, requests }]) => ({
      from,
      to,
      port,
      unseen,
      requests: sortedRequests(requests),
    }));
  return { conversations, flows: times.length, unknown, beganNs: sorted[0], endedNs: sorted.at(-1) };
}

function count(flow: Flow, talk: Talk, { http }: ObservedOptions): void {
  const isProxied = flow.trace_observation_point === 'TO_PROXY';
  if (!isProxied) talk.passed = true;
  if (!isProxied && flow.l7 === undefined) talk.unseen = true;
  const request = http ? requestOf(flow) : undefined;
  if (!request) return;
  const { method, path } = request;
  talk.requests.set(`${method} ${path}`, { method, path });
}

function sortedRequests(requests: Talk['requests']): Conversation['requests'] {
  const key = (one: { readonly method: string; readonly path: string }): string => `${one.path} ${one.method}`;
  return [...requests.values()].sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

/** The same for pods that policy cannot tell apart, and for one address outside. */
export function partyKey({ labels, address }: ObservedParty): string {
  return namespaceOf(labels) === undefined ? `${labels.join(',')}|${address}` : labels.join(',');
}

function portOf({ l4 }: Flow): Port | undefined {
  for (const protocol of ['TCP', 'UDP', 'SCTP'] as const satisfies readonly ProtocolName[]) {
    const port = l4?.[protocol]?.destination_port;
    if (port !== undefined && port > 0) return { protocol, port };
  }
  if (l4?.ICMPv4) return { protocol: 'ICMP', port: l4.ICMPv4.type ?? 0 };
  return l4?.ICMPv6 && { protocol: 'ICMPv6', port: l4.ICMPv6.type ?? 0 };
}

function partyOf(
  endpoint: Flow['source'],
  seen: { readonly address: string | undefined; readonly names: readonly string[] | undefined },
): ObservedParty | undefined {
  const labels = [...(endpoint?.labels ?? [])].sort();
  if (labels.length === 0) return undefined;
  const isPod = namespaceOf(labels) !== undefined;
  const pod = endpoint?.pod_name ?? '';
  return {
    labels,
    name: isPod ? (endpoint?.workloads?.[0]?.name ?? pod) : '',
    pod,
    ...(seen.address === undefined ? {} : { address: seen.address }),
    ...(seen.names?.length && !isPod ? { names: seen.names } : {}),
  };
}
