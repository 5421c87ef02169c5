// Services and the ready endpoints behind them -> frontends, backends and names. A change touches the services that
// select the endpoint, and no others.

import { type Address, address, type Family, formatAddress, parseAddress } from '#common/ip.ts';
import type { ServiceObject } from '#mesh-config/model.ts';
import type { Allocator } from '../identity/allocator.ts';
import type { NodeAddresses } from '../layout.ts';
import type { Desired, EndpointRow } from '../tables.ts';
import { type ClusterIps, createClusterIps } from './cluster-ips.ts';
import { type ResolvedService, resolveService, selects } from './resolve.ts';

export interface ServiceCompute {
  /** Adds, replaces or removes service "namespace/name". */
  setService(key: string, service: ServiceObject | undefined): void;
  /** Adds, replaces or removes endpoint "namespace/pod". */
  setEndpoint(key: string, endpoint: EndpointRow | undefined): void;
  recompute(): void;
  /** Services that did not get what they asked for. */
  problems(): readonly { readonly service: string; readonly reason: string }[];
  /** ClusterIPs by service, to be remembered. */
  clusterIps(): Record<string, string[]>;
  /** Grows whenever `clusterIps` would differ. */
  readonly version: number;
}

type Rows = Pick<Desired, 'frontends' | 'backends' | 'dns'>;
interface Numbers {
  readonly services: Allocator<number>;
  readonly backends: Allocator<number>;
}

/** Service that every resolv.conf points to; it exists without an object. */
const DNS_SERVICE = 'kube-system/kube-dns';

/** Service compute that writes into `desired`. `remembered`: ClusterIPs of an earlier run, by service. */
export function createServiceCompute(
  desired: Rows,
  numbers: Numbers,
  options: { readonly addresses: NodeAddresses; readonly remembered: Readonly<Record<string, readonly string[]>> },
): ServiceCompute {
  const { addresses } = options;
  const clusterIps = createClusterIps({ 4: addresses.serviceCidr4, 6: addresses.serviceCidr6 }, [
    { key: DNS_SERVICE, address: addresses.dns4 },
    { key: DNS_SERVICE, address: addresses.dns6 },
    ...Object.entries(options.remembered).flatMap(([key, list]) => list.map((ip) => ({ key, address: address(ip) }))),
  ]);
  const builtIn = dnsService(addresses);
  const services = new Map<string, ServiceObject>([[DNS_SERVICE, builtIn]]);
  const byNamespace = new Map<string, Map<string, EndpointRow>>();
  const rows = createRows(desired, numbers);
  const problems = new Map<string, readonly string[]>();
  const dirty = new Set<string>([DNS_SERVICE]);

  const markSelecting = (endpoint: EndpointRow): void => {
    for (const [key, service] of services) {
      if (service.namespace === endpoint.namespace && selects(service, endpoint.labels)) dirty.add(key);
    }
  };
  const update = (key: string): void => {
    const service = services.get(key);
    const taken = service ? takeAddresses(clusterIps, key, service) : { addresses: [], problems: [] };
    clusterIps.release(key, taken.addresses);
    const endpoints = [...(byNamespace.get(service?.namespace ?? '')?.values() ?? [])];
    const ready = endpoints.filter((e) => service && e.ready && selects(service, e.labels));
    const more = rows.replace(key, service && resolveService(service, taken.addresses, ready));
    const all = [...taken.problems, ...more];
    if (all.length > 0) problems.set(key, all);
    else problems.delete(key);
  };

  return {
    setService(key, service) {
      const next = service ?? (key === DNS_SERVICE ? builtIn : undefined);
      if (next) services.set(key, next);
      else services.delete(key);
      dirty.add(key);
    },
    setEndpoint(key, endpoint) {
      const namespace = key.slice(0, key.indexOf('/'));
      const endpoints = byNamespace.get(namespace) ?? new Map<string, EndpointRow>();
      const before = endpoints.get(key);
      if (before) markSelecting(before);
      if (endpoint) {
        endpoints.set(key, endpoint);
        markSelecting(endpoint);
      } else endpoints.delete(key);
      if (endpoints.size > 0) byNamespace.set(namespace, endpoints);
      else byNamespace.delete(namespace);
    },
    recompute() {
      for (const key of dirty) update(key);
      dirty.clear();
    },
    problems: () => [...problems].flatMap(([service, reasons]) => reasons.map((reason) => ({ service, reason }))),
    clusterIps: () => Object.fromEntries([...clusterIps.owned()].map(([key, list]) => [key, list.map(formatAddress)])),
    get version() {
      return clusterIps.version;
    },
  };
}

// A service gets an address of both families, unless it names the ones it wants.
function takeAddresses(
  clusterIps: ClusterIps,
  key: string,
  service: ServiceObject,
): { readonly addresses: readonly Address[]; readonly problems: readonly string[] } {
  const addresses: Address[] = [];
  const problems: string[] = [];
  if (service.clusterIps === 'None') return { addresses, problems };
  for (const text of service.clusterIps) {
    const wanted = parseAddress(text);
    const claimed = wanted.ok ? clusterIps.claim(key, wanted.value) : wanted;
    if (claimed.ok) addresses.push(claimed.value);
    else problems.push(`Cannot use ClusterIP "${text}": ${claimed.error}`);
  }
  const families: readonly Family[] = service.clusterIps.length > 0 ? [] : [4, 6];
  for (const family of families) {
    const allocated = clusterIps.allocate(key, family);
    if (allocated.ok) addresses.push(allocated.value);
    else problems.push(allocated.error);
  }
  return { addresses, problems };
}

interface Held {
  readonly hasId: boolean;
  readonly frontends: ReadonlySet<string>;
  readonly names: ReadonlySet<string>;
  readonly backends: readonly string[];
}

const NOTHING: Held = { hasId: false, frontends: new Set(), names: new Set(), backends: [] };

// The rows of each service, with the numbers they hold. Backends are shared between services.
function createRows(
  desired: Rows,
  numbers: Numbers,
): { replace(key: string, service: ResolvedService | undefined): readonly string[] } {
  const held = new Map<string, Held>();
  return {
    replace(key, service) {
      const before = held.get(key) ?? NOTHING;
      const problems: string[] = [];
      const id = service ? numbers.services.acquire(key) : undefined;
      if (id && !id.ok) problems.push(id.error);
      const frontends = id?.ok ? (service?.frontends ?? []) : [];
      const backends = new Map<string, number>();
      for (const backend of frontends.flatMap((f) => f.backends)) {
        if (backends.has(backend.key)) continue;
        const number = numbers.backends.acquire(backend.key);
        if (!number.ok) {
          problems.push(number.error);
          continue;
        }
        const { address, port, protocol } = backend;
        backends.set(backend.key, number.value);
        const row = String(number.value);
        if (!desired.backends.get(row)) desired.backends.set(row, { id: number.value, address, port, protocol });
      }
      for (const { key: frontend, backends: wanted, ...at } of frontends) {
        const ids = wanted.flatMap((b) => backends.get(b.key) ?? []);
        desired.frontends.set(frontend, { ...at, service: id?.ok ? id.value : 0, name: key, backends: ids });
      }
      for (const row of service?.names ?? []) desired.dns.set(row.name, row);
      const after: Held = {
        hasId: id?.ok ?? false,
        frontends: new Set(frontends.map((f) => f.key)),
        names: new Set((service?.names ?? []).map((n) => n.name)),
        backends: [...backends.keys()],
      };
      for (const name of before.frontends) if (!after.frontends.has(name)) desired.frontends.delete(name);
      for (const name of before.names) if (!after.names.has(name)) desired.dns.delete(name);
      for (const backend of before.backends) {
        const number = numbers.backends.get(backend);
        if (numbers.backends.release(backend)) desired.backends.delete(String(number));
      }
      if (before.hasId) numbers.services.release(key);
      if (service) held.set(key, after);
      else held.delete(key);
      return problems;
    },
  };
}

function dnsService({ dns4, dns6 }: NodeAddresses): ServiceObject {
  return {
    kind: 'Service',
    namespace: 'kube-system',
    name: 'kube-dns',
    labels: {},
    annotations: {},
    origin: { file: '', line: 0 },
    selector: { 'k8s-app': 'kube-dns' },
    clusterIps: [formatAddress(dns4), formatAddress(dns6)],
    ports: [
      { name: 'dns', port: 53, targetPort: 53, protocol: 'UDP' },
      { name: 'dns-tcp', port: 53, targetPort: 53, protocol: 'TCP' },
    ],
  };
}
