// Flows as lines: -o compact, dict and json.

import { unreachable } from '#common/result.ts';
import { responseToJson } from './json.ts';
import type { Endpoint, Flow, FlowsResponse, Timestamp } from './model.ts';
import { flowTypeText, identityText, printable, verdictText } from './text.ts';

export type FlowOutput = 'compact' | 'dict' | 'json';

export interface PrintOptions {
  readonly output: FlowOutput;
  /** Name the policies behind each policy verdict. */
  readonly policyNames: boolean;
  readonly nodeName: boolean;
  /** Addresses instead of names. */
  readonly numeric: boolean;
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const;

/** The text of one response, with newline; undefined if there is nothing to show. */
export function printResponse(response: FlowsResponse, options: PrintOptions): string | undefined {
  if (options.output === 'json') return `${JSON.stringify(responseToJson(response))}\n`;
  const { flow, lost_events: lost } = response;
  if (lost) return `EVENTS LOST: ${lost.source} ${lost.num_events_lost}\n`;
  if (!flow) return undefined;
  switch (options.output) {
    case 'compact':
      return compactLine(flow, options);
    case 'dict':
      return dictBlock(flow, options);
    default:
      return unreachable(options.output);
  }
}

/** One line: time, both ends with identities, arrow, type, verdict, summary. Ends with a newline. */
export function compactLine(flow: Flow, options: PrintOptions): string {
  const node = options.nodeName ? ` [${flow.node_name ?? ''}]` : '';
  const reply = flow.is_reply === undefined ? undefined : flow.is_reply.value === true;
  const [source, destination] = ends(flow, options.numeric);
  const from = `${source} ${identityText(flow.source?.identity ?? 0)}`;
  const to = `${destination} ${identityText(flow.destination?.identity ?? 0)}`;
  // The line reads from the initiator to the responder; the arrow says who sent.
  const line = reply ? `${to} <- ${from}` : `${from} ${reply === undefined ? '<>' : '->'} ${to}`;
  const what = `${flowTypeText(flow)} ${verdictText(flow, options.policyNames)} (${flow.Summary ?? ''})`;
  return `${printable(`${stamp(flow.time)}${node}: ${line} ${what}`)}\n`;
}

function dictBlock(flow: Flow, options: PrintOptions): string {
  const [source, destination] = ends(flow, options.numeric);
  const rows: [string, string][] = [
    ['TIMESTAMP', stamp(flow.time)],
    ...(options.nodeName ? [['NODE', flow.node_name ?? ''] as [string, string]] : []),
    ['SOURCE', source],
    ['DESTINATION', destination],
    ['TYPE', flowTypeText(flow)],
    ['VERDICT', verdictText(flow, options.policyNames)],
    ['SUMMARY', flow.Summary ?? ''],
  ];
  const lines = rows.map(([key, value]) => `${key.padStart(11)}: ${printable(value)}`);
  return `${lines.join('\n')}\n------------\n`;
}

function ends(flow: Flow, numeric: boolean): [string, string] {
  const ports = flow.l4?.TCP ?? flow.l4?.UDP ?? flow.l4?.SCTP;
  return [
    host(flow.IP?.source, flow.source, {
      service: flow.source_service,
      names: flow.source_names,
      port: ports?.source_port,
      numeric,
    }),
    host(flow.IP?.destination, flow.destination, {
      service: flow.destination_service,
      names: flow.destination_names,
      port: ports?.destination_port,
      numeric,
    }),
  ];
}

interface HostDetails {
  readonly service: Flow['source_service'];
  readonly names: readonly string[] | undefined;
  readonly port: number | undefined;
  readonly numeric: boolean;
}

function host(ip = '', endpoint: Endpoint | undefined, details: HostDetails): string {
  const name = details.numeric ? undefined : hostName(endpoint, details);
  if (!details.port) return name ?? ip;
  return `${name ?? (ip.includes(':') ? `[${ip}]` : ip)}:${details.port}`;
}

function hostName(endpoint: Endpoint | undefined, { service, names }: HostDetails): string | undefined {
  if (endpoint?.pod_name) return join(endpoint.namespace, endpoint.pod_name);
  if (service?.name) return join(service.namespace, service.name);
  return names?.length ? names.join(',') : undefined;
}

function join(namespace: string | undefined, name: string): string {
  return namespace ? `${namespace}/${name}` : name;
}

/** "Jan 02 15:04:05.000", UTC. */
function stamp(time: Timestamp | undefined): string {
  if (time === undefined) return 'N/A';
  const date = new Date(Number(time.seconds) * 1_000 + Math.floor((time.nanos ?? 0) / 1e6));
  const two = (n: number): string => String(n).padStart(2, '0');
  const clock = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`;
  const ms = String(date.getUTCMilliseconds()).padStart(3, '0');
  return `${MONTHS[date.getUTCMonth()]} ${two(date.getUTCDate())} ${clock}.${ms}`;
}
