// What a span says, by OpenTelemetry's semantic conventions for HTTP (1.x, stable) and Kubernetes, and Weir's own names.

import type { HttpExchange, Party, SpanKind, SpanRecord } from './span.ts';

/** Attribute names and values in a fixed order. */
export type Attributes = readonly (readonly [name: string, value: string | number])[];
/** Takes one attribute after the other. */
export type Put = (name: string, value: string | number) => void;

/** Methods that may be a span's name; all others are "_OTHER", so that a caller cannot make names up. */
const KNOWN_METHODS: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'CONNECT',
  'OPTIONS',
  'TRACE',
  'PATCH',
  'QUERY',
]);

/** Longest value taken from a request, in characters. */
const VALUE_LIMIT = 2048;

/** Span name: the method; paths are not of low cardinality. */
export function spanName(exchange: HttpExchange): string {
  return KNOWN_METHODS.has(exchange.method) ? exchange.method : 'HTTP';
}

/** The end that a span is of. */
export function ownParty({ kind, exchange }: SpanRecord): Party {
  return kind === 'CLIENT' ? exchange.source : exchange.destination;
}

/** The end that a span talks to. */
export function otherParty({ kind, exchange }: SpanRecord): Party {
  return kind === 'CLIENT' ? exchange.destination : exchange.source;
}

/** Service name of an end: its workload, else its pod, else its address. */
export function serviceName(party: Party): string {
  return party.workload || party.pod || party.address;
}

/** Attributes that are the same for all spans of one end: they belong to the resource where a format has one. */
export function resourceAttributes(party: Party): Attributes {
  const pairs: [string, string | number][] = [];
  if (party.namespace) pairs.push(['service.namespace', party.namespace], ['k8s.namespace.name', party.namespace]);
  if (party.pod) pairs.push(['k8s.pod.name', party.pod]);
  if (party.workload) pairs.push(['weir.workload', party.workload]);
  return pairs;
}

/**
 * error.type of a span, undefined where it is no error: a response of 5xx, for the CLIENT of 4xx as well, or no response
 * ("General logic" of the HTTP span conventions).
 */
export function errorType(kind: SpanKind, exchange: HttpExchange): string | undefined {
  const wasForwarded = exchange.verdict === 'FORWARDED' || exchange.verdict === 'AUDITED';
  if (exchange.status === 0) return wasForwarded ? undefined : exchange.reason || '_OTHER';
  if (exchange.status >= (kind === 'CLIENT' ? 400 : 500)) return String(exchange.status);
  return undefined;
}

/** Puts the attributes of one request, the same for both of its spans. */
export function putExchange(exchange: HttpExchange, put: Put): void {
  const { path, query } = splitTarget(exchange.target);
  const server = splitHost(exchange.host);
  const known = KNOWN_METHODS.has(exchange.method);
  put('http.request.method', known ? exchange.method : '_OTHER');
  if (!known) put('http.request.method_original', limited(exchange.method));
  put('url.scheme', 'http');
  put('url.path', limited(path));
  if (query !== undefined) put('url.query', limited(query));
  put('server.address', limited(server.name || exchange.destination.address));
  put('server.port', server.port ?? exchange.destinationPort);
  if (exchange.protocolVersion) put('network.protocol.version', exchange.protocolVersion);
  if (exchange.status !== 0) put('http.response.status_code', exchange.status);
  put('weir.verdict', exchange.verdict);
  if (exchange.policies.length > 0) put('weir.policy', exchange.policies.join(','));
  if (exchange.reason) put('weir.reason', exchange.reason);
}

/** Puts the attributes of the connection for one kind of span. */
export function putConnection(kind: SpanKind, exchange: HttpExchange, put: Put): void {
  const { source, sourcePort, destination, destinationPort } = exchange;
  if (kind === 'CLIENT') {
    put('url.full', fullUrl(exchange));
    put('network.peer.address', destination.address);
    put('network.peer.port', destinationPort);
    return;
  }
  put('client.address', source.address);
  put('client.port', sourcePort);
  put('network.peer.address', source.address);
  put('network.peer.port', sourcePort);
}

/** What putExchange puts. */
export const exchangeAttributes = (exchange: HttpExchange): Attributes => gathered((put) => putExchange(exchange, put));

/** What putConnection puts. */
export const connectionAttributes = (kind: SpanKind, exchange: HttpExchange): Attributes =>
  gathered((put) => putConnection(kind, exchange, put));

function gathered(putAll: (put: Put) => void): Attributes {
  const pairs: [string, string | number][] = [];
  putAll((name, value) => pairs.push([name, value]));
  return pairs;
}

/** Who talks to whom, the same for both spans of all requests between two ends. */
export function identityAttributes(source: Party, destination: Party): Attributes {
  return [
    ['weir.source.identity', source.identity],
    ['weir.source.workload', serviceName(source)],
    ['weir.destination.identity', destination.identity],
    ['weir.destination.workload', serviceName(destination)],
  ];
}

/** url.full, which the conventions ask of a CLIENT span. */
function fullUrl({ target, host, destination, destinationPort }: HttpExchange): string {
  if (!target.startsWith('/')) return limited(target);
  const name = destination.address.includes(':') ? `[${destination.address}]` : destination.address;
  return limited(`http://${host || `${name}:${destinationPort}`}${target}`);
}

/** Path and query of a request target; of the absolute form too, without its scheme and authority. */
export function splitTarget(target: string): { readonly path: string; readonly query: string | undefined } {
  let from = 0;
  if (!target.startsWith('/')) {
    const scheme = target.indexOf('://');
    if (scheme >= 0) {
      const end = target.slice(scheme + 3).search(/[/?]/);
      from = end < 0 ? target.length : scheme + 3 + end;
    }
  }
  const question = target.indexOf('?', from);
  if (question < 0) return { path: target.slice(from) || '/', query: undefined };
  return { path: target.slice(from, question) || '/', query: target.slice(question + 1) };
}

interface HostParts {
  readonly name: string;
  readonly port: number | undefined;
}

// One request is often to the host of the one before it.
let lastHost = '';
let lastParts: HostParts = { name: '', port: undefined };

/** Name and port of a Host header; the name of an IPv6 literal without brackets. */
export function splitHost(host: string): HostParts {
  if (host === lastHost) return lastParts;
  const match = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d{1,5}))?$/.exec(host);
  lastHost = host;
  lastParts = match
    ? { name: match[1] ?? match[2] ?? '', port: match[3] === undefined ? undefined : Number(match[3]) }
    : { name: host, port: undefined };
  return lastParts;
}

function limited(value: string): string {
  return value.length <= VALUE_LIMIT ? value : value.slice(0, VALUE_LIMIT);
}
