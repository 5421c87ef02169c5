// v1 Service: ClusterIP and headless.

import { z } from 'zod';
import { familyOf, parseAddress } from '#common/ip.ts';
import type { Protocol, ServicePort } from '../model.ts';
import { ignored, type Notes, notesFor, objectOf, unsupported } from '../schema/fields.ts';
import { dnsLabel, labels, portName, portNumber } from '../schema/names.ts';
import { type Report, show } from '../schema/report.ts';
import { defineKind, metadataOf, statusNote, typeFields } from './kind.ts';

const portSchema = objectOf(
  {
    name: dnsLabel.optional(),
    port: portNumber,
    targetPort: z.union([portNumber, portName]).optional(),
    protocol: z.enum(['TCP', 'UDP', 'SCTP']).optional(),
  },
  {
    notes: {
      appProtocol: ignored('it is a hint that changes nothing here'),
      nodePort: unsupported({ harmless: [0] }),
    },
  },
);

const specNotes: Notes = {
  ...notesFor(
    ['externalIPs', 'loadBalancerSourceRanges', 'sessionAffinityConfig'],
    unsupported({ harmless: ['empty'] }),
  ),
  ...notesFor(
    ['externalName', 'loadBalancerIP', 'loadBalancerClass', 'externalTrafficPolicy'],
    unsupported({ harmless: [''] }),
  ),
  healthCheckNodePort: unsupported({ harmless: [0] }),
  sessionAffinity: unsupported({ harmless: ['None'], why: 'every connection goes to any backend' }),
  internalTrafficPolicy: unsupported({ harmless: ['Cluster'], why: 'every connection goes to any backend' }),
  publishNotReadyAddresses: unsupported({ harmless: [false], why: 'only ready pods are backends' }),
  allocateLoadBalancerNodePorts: ignored('it has a meaning only for load balancers'),
  trafficDistribution: ignored('it is a preference between zones'),
  ...notesFor(['ipFamilies', 'ipFamilyPolicy'], ignored('a Service has an address of each family')),
};

const clusterIp = z.union([
  z.literal(['None', '']),
  z.string().refine((text) => parseAddress(text).ok, 'is not an IP address'),
]);

const specSchema = objectOf(
  {
    type: z.string().optional(),
    selector: labels.optional(),
    clusterIP: clusterIp.optional(),
    clusterIPs: z.array(clusterIp).max(2, 'at most one address of each family').optional(),
    ports: z.array(portSchema).optional(),
  },
  { notes: specNotes },
);
type Spec = z.infer<typeof specSchema>;

const schema = objectOf(
  { ...typeFields('v1', 'Service'), metadata: metadataOf(dnsLabel), spec: specSchema },
  { notes: statusNote },
);

export const serviceKind = defineKind({
  apiVersion: 'v1',
  kind: 'Service',
  namespaced: true,
  schema,
  lower({ spec }, meta, { report }) {
    if (spec.type !== undefined && spec.type !== 'ClusterIP') {
      report.problem(['spec', 'type'], `type ${show(spec.type)} is not supported yet, only ClusterIP is`);
    }
    const clusterIps = lowerAddresses(spec, report);
    if (clusterIps !== 'None' && (spec.ports ?? []).length === 0) {
      report.problem(['spec', 'ports'], 'required: only a headless Service may have no ports');
    }
    const selector = Object.keys(spec.selector ?? {}).length > 0 ? spec.selector : undefined;
    return { kind: 'Service', ...meta, selector, clusterIps, ports: lowerPorts(spec, report) };
  },
});

function lowerAddresses(spec: Spec, report: Report): readonly string[] | 'None' {
  const one = spec.clusterIP ?? '';
  const all = (spec.clusterIPs ?? []).filter((text) => text !== '');
  if (one !== '' && all.length > 0 && one !== all[0]) {
    report.problem(['spec', 'clusterIP'], `${show(one)} differs from the first of clusterIPs, ${show(all[0])}`);
  }
  const addresses = all.length > 0 ? all : one === '' ? [] : [one];
  if (addresses.includes('None')) {
    if (addresses.length > 1) report.problem(['spec', 'clusterIPs'], '"None" stands alone');
    return 'None';
  }
  const families = addresses.map((text) => {
    const parsed = parseAddress(text);
    return parsed.ok ? familyOf(parsed.value) : undefined;
  });
  if (families.length === 2 && families[0] === families[1]) {
    report.problem(['spec', 'clusterIPs'], 'at most one address of each family');
  }
  return addresses;
}

function lowerPorts(spec: Spec, report: Report): readonly ServicePort[] {
  const written = spec.ports ?? [];
  const names = new Set<string>();
  const numbers = new Set<string>();
  return written.map((port, i) => {
    const protocol: Protocol = port.protocol ?? 'TCP';
    const name = port.name ?? '';
    const number = `${port.port}/${protocol}`;
    if (name === '' && written.length > 1) {
      report.problem(['spec', 'ports', i, 'name'], 'required when a Service has several ports');
    }
    if (name !== '' && names.has(name)) report.problem(['spec', 'ports', i, 'name'], `${show(name)} is used twice`);
    if (numbers.has(number)) report.problem(['spec', 'ports', i, 'port'], `${number} is used twice`);
    names.add(name);
    numbers.add(number);
    return { name, port: port.port, targetPort: port.targetPort ?? port.port, protocol };
  });
}
