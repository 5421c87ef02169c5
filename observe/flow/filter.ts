// Flow filters: from flow.FlowFilter to predicates. Every field is either understood or refused by name.

import { err, ok, type Result } from '#common/result.ts';
import { type Condition, compileAddresses, compileMembers, compileRegex, conditionOfEach } from './filter-values.ts';
import { compileSelectors } from './label-selector.ts';
import { type Flow, type FlowFilter, type FlowsRequest, TCP_FLAGS } from './model.ts';

export type { Condition } from './filter-values.ts';

/** Most filters, and most values in one field, that a client may send. */
const LIMIT = 256;

type Compile<Field extends keyof FlowFilter> = (
  values: NonNullable<FlowFilter[Field]>,
) => Result<Condition, string> | undefined;

/**
 * The predicate of a request's filters: any of the whitelist (if there is one) and none of the blacklist. The error
 * names the field and the value that cannot be used.
 */
export function compileFilters(request: Pick<FlowsRequest, 'whitelist' | 'blacklist'>): Result<Condition, string> {
  const whitelist = compileAny(request.whitelist ?? []);
  if (!whitelist.ok) return whitelist;
  const blacklist = compileAny(request.blacklist ?? []);
  if (!blacklist.ok) return blacklist;
  const open = (request.whitelist ?? []).length === 0;
  return ok((flow) => (open || whitelist.value(flow)) && !blacklist.value(flow));
}

function compileAny(filters: readonly FlowFilter[]): Result<Condition, string> {
  if (filters.length > LIMIT) return err(`Cannot filter flows: ${filters.length} filters, at most ${LIMIT}`);
  const conditions: Condition[] = [];
  for (const filter of filters) {
    const condition = compileFilter(filter);
    if (!condition.ok) return condition;
    conditions.push(condition.value);
  }
  return ok((flow) => conditions.some((holds) => holds(flow)));
}

/** The predicate of one filter: all of its fields hold. */
export function compileFilter(filter: FlowFilter): Result<Condition, string> {
  const conditions: Condition[] = [];
  for (const [field, values] of Object.entries(filter) as [keyof FlowFilter, readonly never[] | undefined][]) {
    if (values === undefined || values.length === 0) continue;
    if (values.length > LIMIT) return err(`Cannot filter by ${field}: ${values.length} values, at most ${LIMIT}`);
    const compiled = (FIELDS[field] as Compile<typeof field> | undefined)?.(values);
    if (compiled === undefined) return err(`Cannot filter by ${field}: not supported`);
    if (!compiled.ok) return err(`Cannot filter by ${field}: ${compiled.error}`);
    conditions.push(compiled.value);
  }
  return ok((flow) => conditions.every((holds) => holds(flow)));
}

const unsupported = (): undefined => undefined;
const ports = (flow: Flow) => flow.l4?.TCP ?? flow.l4?.UDP ?? flow.l4?.SCTP;

const FIELDS: { readonly [Field in keyof Required<FlowFilter>]: Compile<Field> } = {
  source_ip: (values) => compileAddresses(values, (flow) => flow.IP?.source),
  destination_ip: (values) => compileAddresses(values, (flow) => flow.IP?.destination),
  source_pod: (values) => compileNames(values, (flow) => [flow.source?.namespace, flow.source?.pod_name]),
  destination_pod: (values) =>
    compileNames(values, (flow) => [flow.destination?.namespace, flow.destination?.pod_name]),
  source_service: (values) =>
    compileNames(values, (flow) => [flow.source_service?.namespace, flow.source_service?.name]),
  destination_service: (values) =>
    compileNames(values, (flow) => [flow.destination_service?.namespace, flow.destination_service?.name]),
  source_fqdn: (values) => conditionOfEach(values, (name) => (flow) => flow.source_names?.includes(name) === true),
  destination_fqdn: (values) =>
    conditionOfEach(values, (name) => (flow) => flow.destination_names?.includes(name) === true),
  source_label: (values) => compileSelectors(values, (flow) => flow.source?.labels),
  destination_label: (values) => compileSelectors(values, (flow) => flow.destination?.labels),
  source_identity: (values) => compileMembers(values, (flow) => flow.source?.identity ?? 0),
  destination_identity: (values) => compileMembers(values, (flow) => flow.destination?.identity ?? 0),
  source_workload: (values) => compileWorkloads(values, (flow) => flow.source?.workloads),
  destination_workload: (values) => compileWorkloads(values, (flow) => flow.destination?.workloads),
  source_port: (values) => compilePorts(values, (flow) => ports(flow)?.source_port),
  destination_port: (values) => compilePorts(values, (flow) => ports(flow)?.destination_port),
  protocol: compileProtocols,
  verdict: (values) => compileMembers(values, (flow) => flow.verdict),
  drop_reason_desc: (values) => compileMembers(values, (flow) => flow.drop_reason_desc),
  traffic_direction: (values) =>
    compileMembers(values, (flow) => flow.traffic_direction ?? 'TRAFFIC_DIRECTION_UNKNOWN'),
  ip_version: (values) => compileMembers(values, (flow) => flow.IP?.ipVersion ?? 'IP_NOT_USED'),
  node_name: (values) => compileMembers(values, (flow) => flow.node_name),
  uuid: (values) => compileMembers(values, (flow) => flow.uuid),
  trace_id: (values) => compileMembers(values, (flow) => flow.trace_context?.parent.trace_id),
  reply: (values) =>
    conditionOfEach(
      values,
      (reply) => (flow) => flow.is_reply !== undefined && (flow.is_reply.value ?? false) === reply,
    ),
  event_type: (values) =>
    conditionOfEach(values, (wanted) => ({ event_type: event }) => {
      if (event.type !== (wanted.type ?? 0)) return false;
      return !wanted.match_sub_type || (event.sub_type ?? 0) === (wanted.sub_type ?? 0);
    }),
  tcp_flags: (values) =>
    conditionOfEach(values, (wanted) => (flow) => {
      const flags = flow.l4?.TCP?.flags;
      return flags !== undefined && TCP_FLAGS.every((flag) => !wanted[flag] || flags[flag] === true);
    }),
  interface: (values) =>
    conditionOfEach(values, (wanted) => ({ interface: seen }) => {
      const named = !wanted.name || seen?.name === wanted.name;
      return seen !== undefined && named && (!wanted.index || seen.index === wanted.index);
    }),
  http_method: (values) =>
    compileMembers(
      values.map((method) => method.toUpperCase()),
      (flow) => flow.l7?.http?.method?.toUpperCase(),
    ),
  http_status_code: compileStatusCodes,
  http_path: (values) => compileRegex(values, (flow) => pathOf(flow.l7?.http?.url)),
  http_url: (values) => compileRegex(values, (flow) => flow.l7?.http?.url),
  http_header: (values) =>
    conditionOfEach(values, (wanted) => (flow) => {
      const headers = flow.l7?.http?.headers ?? [];
      return headers.some((h) => h.key.toLowerCase() === wanted.key?.toLowerCase() && h.value === (wanted.value ?? ''));
    }),
  dns_query: unsupported,
  source_ip_xlated: unsupported,
  node_labels: unsupported,
  source_cluster_name: unsupported,
  destination_cluster_name: unsupported,
  ip_trace_id: unsupported,
  encrypted: unsupported,
};

/**
 * "[namespace/]name-prefix". Without a slash the namespace is "default"; "/prefix" is any namespace and "namespace/" is
 * any name in it.
 */
function compileNames(
  values: readonly string[],
  read: (flow: Flow) => readonly [string | undefined, string | undefined],
): Result<Condition, string> {
  if (values.some((value) => value === '')) return err('an empty name');
  return conditionOfEach(values, (value) => {
    const slash = value.indexOf('/');
    const namespace = slash < 0 ? 'default' : value.slice(0, slash);
    const prefix = value.slice(slash + 1);
    return (flow) => {
      const [seenNamespace = '', seenName = ''] = read(flow);
      if (namespace !== '' && seenNamespace !== namespace) return false;
      return seenName !== '' && seenName.startsWith(prefix);
    };
  });
}

function compileWorkloads(
  values: readonly { readonly name?: string; readonly kind?: string }[],
  read: (flow: Flow) => readonly { readonly name: string; readonly kind: string }[] | undefined,
): Result<Condition, string> {
  return conditionOfEach(values, (wanted) => (flow) => {
    const matches = (w: { readonly name: string; readonly kind: string }): boolean =>
      (!wanted.name || w.name === wanted.name) && (!wanted.kind || w.kind === wanted.kind);
    return read(flow)?.some(matches) === true;
  });
}

function compilePorts(values: readonly string[], read: (flow: Flow) => number | undefined): Result<Condition, string> {
  const wrong = values.find((value) => !/^\d{1,5}$/.test(value) || Number(value) > 65_535);
  if (wrong !== undefined) return err(`"${wrong}" is not a port`);
  return compileMembers(values.map(Number), read);
}

const PROTOCOLS: Readonly<Record<string, Condition>> = {
  tcp: (flow) => flow.l4?.TCP !== undefined,
  udp: (flow) => flow.l4?.UDP !== undefined,
  sctp: (flow) => flow.l4?.SCTP !== undefined,
  icmpv4: (flow) => flow.l4?.ICMPv4 !== undefined,
  icmpv6: (flow) => flow.l4?.ICMPv6 !== undefined,
  icmp: (flow) => flow.l4?.ICMPv4 !== undefined || flow.l4?.ICMPv6 !== undefined,
  http: (flow) => flow.l7?.http !== undefined,
};

function compileProtocols(values: readonly string[]): Result<Condition, string> {
  const wrong = values.find((value) => !Object.hasOwn(PROTOCOLS, value.toLowerCase()));
  if (wrong !== undefined) return err(`"${wrong}" is none of ${Object.keys(PROTOCOLS).join(', ')}`);
  return conditionOfEach(values, (value) => PROTOCOLS[value.toLowerCase()] as Condition);
}

function compileStatusCodes(values: readonly string[]): Result<Condition, string> {
  const wrong = values.find((value) => !/^[1-5]([0-9]{2}|[0-9]?\+)$/.test(value));
  if (wrong !== undefined) return err(`"${wrong}" is neither a status code ("404") nor a prefix ("4+")`);
  return conditionOfEach(values, (value) => (flow) => {
    const code = flow.l7?.http?.code;
    if (!code) return false;
    return value.endsWith('+') ? String(code).startsWith(value.slice(0, -1)) : String(code) === value;
  });
}

function pathOf(url: string | undefined): string | undefined {
  if (url === undefined) return undefined;
  const target = url.replace(/^[a-z]+:\/\/[^/?#]*/i, '');
  return target.replace(/[?#].*$/s, '');
}
