// Rows for `weir get`: one builder for each kind.

import type { ListKind, ListReply, ListRequest } from '#api/node.ts';
import { LIST_KINDS } from '#api/node.ts';
import { type Address, formatAddress } from '#common/ip.ts';
import { err, ok, type Result } from '#common/result.ts';
import type { ServiceObject } from '#mesh-config/model.ts';
import { selects } from '../services/resolve.ts';
import type { EndpointRow, EnforcementRow, FrontendRow, Tables } from '../tables.ts';
import { podView } from './pods.ts';
import { policyStatuses } from './policies.ts';
import type { NodeProviders } from './providers.ts';

export interface ListSources {
  readonly node: string;
  readonly tables: Tables;
  readonly providers: NodeProviders;
}

/** A field that is no column may be anything that JSON can say. */
type Row = Readonly<Record<string, unknown>>;

interface Kind {
  readonly columns: readonly string[];
  readonly wideColumns: readonly string[];
  rows(sources: ListSources, namespace: string): Row[];
}

/** The rows of one kind. The error says that there is no such kind. */
export function listRows(request: ListRequest, sources: ListSources): Result<ListReply, string> {
  if (!(LIST_KINDS as readonly string[]).includes(request.kind)) {
    return err(`Cannot list "${request.kind}": not one of ${LIST_KINDS.join(', ')}`);
  }
  const { columns, wideColumns, rows } = KINDS[request.kind as ListKind];
  return ok({ columns, wideColumns, rowsJson: rows(sources, request.namespace).map((row) => JSON.stringify(row)) });
}

const KINDS: Readonly<Record<ListKind, Kind>> = {
  pods: {
    columns: ['namespace', 'name', 'ready', 'status', 'restarts', 'ip', 'node'],
    wideColumns: ['ipv6', 'identity', 'workload', 'pid', 'message'],
    rows: podRows,
  },
  services: {
    columns: ['namespace', 'name', 'type', 'clusterIp', 'ports', 'backends'],
    wideColumns: ['backendAddresses'],
    rows: serviceRows,
  },
  policies: {
    columns: ['namespace', 'name', 'kind', 'status', 'endpoints', 'revision', 'location'],
    wideColumns: ['directions', 'entries', 'hits', 'message'],
    rows: policyRows,
  },
  endpoints: {
    columns: ['endpoint', 'policyIngress', 'policyEgress', 'identity', 'labels', 'ipv6', 'ipv4', 'status'],
    wideColumns: ['pod', 'interface', 'containerId'],
    rows: endpointRows,
  },
  identities: { columns: ['id', 'labels'], wideColumns: ['endpoints'], rows: identityRows },
};

function podRows({ node, tables, providers }: ListSources, namespace: string): Row[] {
  const rows: Row[] = [];
  for (const [key, row] of tables.inputs.pods.entries()) {
    const { object, workload } = row;
    if (!within(namespace, object.namespace)) continue;
    const view = podView(row, providers.runtime.statuses.get(key));
    const endpoint = tables.inputs.endpoints.get(key);
    rows.push({
      namespace: object.namespace,
      name: object.name,
      ready: `${view.readyContainers}/${view.containers}`,
      status: view.status,
      restarts: view.restarts,
      ip: text(endpoint?.ip4 ?? endpoint?.ip6),
      node,
      ipv6: text(endpoint?.ip6),
      identity: tables.desired.enforcement.get(key)?.identity ?? null,
      workload: `${workload.kind}/${workload.name}`,
      pid: view.pid,
      message: view.message,
    });
  }
  return sorted(rows);
}

function serviceRows({ tables }: ListSources, namespace: string): Row[] {
  const frontends = Map.groupBy(tables.desired.frontends.values(), (frontend) => frontend.name);
  const rows: Row[] = [];
  for (const [key, service] of tables.inputs.services.entries()) {
    if (!within(namespace, service.namespace)) continue;
    const own = frontends.get(key) ?? [];
    const { pods, addresses } = service.clusterIps === 'None' ? headless(tables, service) : backendsOf(tables, own);
    rows.push({
      namespace: service.namespace,
      name: service.name,
      type: 'ClusterIP',
      clusterIp: service.clusterIps === 'None' ? ['None'] : [...new Set(own.map((f) => formatAddress(f.address)))],
      ports: service.ports.map((port) => `${port.port}/${port.protocol}${port.name && ` (${port.name})`}`),
      backends: pods,
      backendAddresses: addresses,
    });
  }
  return sorted(rows);
}

/** How many pods are behind a service, and their addresses, of which a pod may have several. */
interface Backends {
  readonly pods: number;
  readonly addresses: readonly string[];
}

function backendsOf({ inputs, desired }: Tables, frontends: readonly FrontendRow[]): Backends {
  const ids = new Set(frontends.flatMap((frontend) => frontend.backends));
  const rows = [...ids].flatMap((id) => desired.backends.get(String(id)) ?? []);
  const owners = new Map(
    [...inputs.endpoints.entries()].flatMap(([key, row]) => ips(row).map((ip) => [ip, key] as const)),
  );
  const pods = new Set(rows.map(({ address }) => owners.get(formatAddress(address)) ?? formatAddress(address)));
  const addresses = rows.map((row) => {
    const address = formatAddress(row.address);
    return `${address.includes(':') ? `[${address}]` : address}:${row.port}`;
  });
  return { pods: pods.size, addresses };
}

/** A headless service has no frontends: its names lead to the ready pods that it selects. */
function headless({ inputs }: Tables, service: ServiceObject): Backends {
  const pods = [...inputs.endpoints.values()].filter(
    (row) => row.namespace === service.namespace && row.ready && selects(service, row.labels),
  );
  return { pods: pods.length, addresses: pods.flatMap(ips) };
}

function ips({ ip4, ip6 }: EndpointRow): string[] {
  return [ip4, ip6].filter((ip) => ip !== undefined).map(formatAddress);
}

function policyRows({ tables, providers }: ListSources, namespace: string): Row[] {
  return policyStatuses(tables, providers, namespace).map((row) => ({ ...row }));
}

function endpointRows({ tables }: ListSources, namespace: string): Row[] {
  const rows: Row[] = [];
  for (const [key, endpoint] of tables.inputs.endpoints.entries()) {
    if (!within(namespace, endpoint.namespace)) continue;
    const enforcement = tables.desired.enforcement.get(key);
    // The node's own resolver has an identity and no enforcement: policy does not apply to the node.
    const identity = enforcement?.identity ?? tables.desired.endpoints.get(key)?.identity;
    rows.push({
      endpoint: endpoint.id,
      policyIngress: enforcementText(enforcement, 'ingress'),
      policyEgress: enforcementText(enforcement, 'egress'),
      identity: identity ?? null,
      labels: endpointLabels(tables, endpoint, identity),
      ipv6: text(endpoint.ip6),
      ipv4: text(endpoint.ip4),
      status: identity === undefined ? 'waiting-for-identity' : endpoint.ready ? 'ready' : 'not-ready',
      pod: key,
      interface: endpoint.device?.name ?? '',
      containerId: endpoint.device?.containerId ?? '',
    });
  }
  return rows.sort((a, b) => Number(a.endpoint) - Number(b.endpoint));
}

/** What is enforced and audited is not enforced after all, but somebody wants it to be. */
function enforcementText(row: EnforcementRow | undefined, direction: 'ingress' | 'egress'): string {
  if (!row?.[direction]) return 'Disabled';
  return row.audit ? 'Disabled (Audit)' : 'Enabled';
}

function endpointLabels(tables: Tables, endpoint: EndpointRow, identity: number | undefined): readonly string[] {
  const row = identity === undefined ? undefined : tables.desired.identities.get(String(identity));
  return row?.labels ?? Object.entries(endpoint.labels).map(([key, value]) => `k8s:${key}=${value}`);
}

function identityRows({ tables }: ListSources): Row[] {
  const endpoints = Map.groupBy(tables.desired.enforcement.values(), (row) => row.identity);
  const rows = [...tables.desired.identities.values()].map(({ identity, labels }) => ({
    id: identity as number,
    labels,
    endpoints: (endpoints.get(identity) ?? []).map((row) => row.endpoint),
  }));
  return rows.sort((a, b) => a.id - b.id);
}

function within(wanted: string, namespace: string): boolean {
  return wanted === '' || wanted === namespace;
}

function text(address: Address | undefined): string {
  return address === undefined ? '' : formatAddress(address);
}

function sorted(rows: Row[]): Row[] {
  const key = (row: Row): string => `${row.namespace}/${row.name}`;
  return rows.sort((a, b) => (key(a) < key(b) ? -1 : 1));
}
