// The names of a service (https://github.com/kubernetes/dns, specification 1.1).

import type { Address } from '#common/ip.ts';
import type { ServiceObject } from '#mesh-config/model.ts';
import { CLUSTER_DOMAIN } from '../layout.ts';
import type { DnsRow } from '../tables.ts';

/** A ready pod behind a service. */
export interface DnsEndpoint {
  readonly pod: string;
  readonly addresses: readonly Address[];
  /** Target port by service port name and protocol, "name/protocol". */
  readonly ports: ReadonlyMap<string, number>;
}

/** Rows of a service with ClusterIPs. */
export function clusterIpNames(service: ServiceObject, clusterIps: readonly Address[]): readonly DnsRow[] {
  const name = nameOf(service);
  const rows: DnsRow[] = [{ name, addresses: clusterIps, srv: [] }];
  for (const port of service.ports) {
    if (port.name !== '') rows.push(srvRow(service, port, [{ target: name, port: port.port }]));
  }
  return rows;
}

/** Rows of a headless service: its pods, together and one by one. */
export function headlessNames(service: ServiceObject, endpoints: readonly DnsEndpoint[]): readonly DnsRow[] {
  const name = nameOf(service);
  const podName = (endpoint: DnsEndpoint): string => `${endpoint.pod}.${name}`;
  const rows: DnsRow[] = [
    { name, addresses: endpoints.flatMap((e) => e.addresses), srv: [] },
    ...endpoints.map((e) => ({ name: podName(e), addresses: e.addresses, srv: [] })),
  ];
  for (const port of service.ports) {
    if (port.name === '') continue;
    const targets = endpoints.flatMap((e) => {
      const target = e.ports.get(`${port.name}/${port.protocol}`);
      return target === undefined ? [] : [{ target: podName(e), port: target }];
    });
    rows.push(srvRow(service, port, targets));
  }
  return rows;
}

function nameOf(service: ServiceObject): string {
  return `${service.name}.${service.namespace}.svc.${CLUSTER_DOMAIN}`.toLowerCase();
}

function srvRow(service: ServiceObject, port: ServiceObject['ports'][number], targets: DnsRow['srv']): DnsRow {
  const name = `_${port.name}._${port.protocol}.${nameOf(service)}`.toLowerCase();
  return { name, addresses: [], srv: targets };
}
