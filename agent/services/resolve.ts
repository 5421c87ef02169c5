// What one service means, given its addresses and the ready endpoints that it selects. Pure.

import { type Address, type Family, familyOf, formatAddress } from '#common/ip.ts';
import type { Labels, ServiceObject, ServicePort } from '#mesh-config/model.ts';
import { protocolNumbers } from '../policy/l4.ts';
import type { DnsRow, EndpointRow } from '../tables.ts';
import { clusterIpNames, type DnsEndpoint, headlessNames } from './dns.ts';

/** A backend without its id. */
export interface BackendAddress {
  /** "address port protocol". */
  readonly key: string;
  readonly address: Address;
  readonly port: number;
  readonly protocol: number;
}

export interface ResolvedFrontend {
  readonly key: string; // "address port protocol"
  readonly address: Address;
  readonly port: number;
  readonly protocol: number;
  readonly backends: readonly BackendAddress[];
}

export interface ResolvedService {
  readonly frontends: readonly ResolvedFrontend[];
  readonly names: readonly DnsRow[];
}

/** Whether `service` selects pods with `labels`. A service without selector selects none. */
export function selects(service: ServiceObject, labels: Labels): boolean {
  return (
    service.selector !== undefined && Object.entries(service.selector).every(([key, value]) => labels[key] === value)
  );
}

/** Frontends and names of a service at `clusterIps` (none: headless). `endpoints` are ready and selected. */
export function resolveService(
  service: ServiceObject,
  clusterIps: readonly Address[],
  endpoints: readonly EndpointRow[],
): ResolvedService {
  const sorted = [...endpoints].sort((a, b) => (a.pod < b.pod ? -1 : 1));
  if (service.clusterIps === 'None') {
    return {
      frontends: [],
      names: headlessNames(
        service,
        sorted.map((e) => dnsEndpoint(service, e)),
      ),
    };
  }
  const frontends = clusterIps.flatMap((address) =>
    service.ports.flatMap((port) =>
      protocolNumbers(port.protocol).map((protocol) => ({
        ...withKey({ address, port: port.port, protocol }),
        backends: backendsOf(port, { protocol, family: familyOf(address) }, sorted),
      })),
    ),
  );
  return { frontends, names: clusterIpNames(service, clusterIps) };
}

function backendsOf(
  port: ServicePort,
  { protocol, family }: { readonly protocol: number; readonly family: Family },
  endpoints: readonly EndpointRow[],
): readonly BackendAddress[] {
  return endpoints.flatMap((endpoint) => {
    const address = family === 4 ? endpoint.ip4 : endpoint.ip6;
    const target = targetPort(port, endpoint);
    return address && target !== undefined ? [withKey({ address, port: target, protocol })] : [];
  });
}

/** The number of a service port on one pod; a name that the pod does not have is none. */
function targetPort(port: ServicePort, endpoint: EndpointRow): number | undefined {
  if (typeof port.targetPort === 'number') return port.targetPort;
  return endpoint.namedPorts.find((p) => p.name === port.targetPort && p.protocol === port.protocol)?.port;
}

function dnsEndpoint(service: ServiceObject, endpoint: EndpointRow): DnsEndpoint {
  const ports = service.ports.flatMap((port) => {
    const target = targetPort(port, endpoint);
    return target === undefined ? [] : [[`${port.name}/${port.protocol}`, target] as const];
  });
  const addresses = [endpoint.ip4, endpoint.ip6].filter((ip) => ip !== undefined);
  return { pod: endpoint.pod, addresses, ports: new Map(ports) };
}

function withKey<T extends { readonly address: Address; readonly port: number; readonly protocol: number }>(
  at: T,
): T & { readonly key: string } {
  return { ...at, key: `${formatAddress(at.address)} ${at.port} ${at.protocol}` };
}
