// discovery.k8s.io/v1 EndpointSlice: addresses of services without selector.

import { z } from 'zod';
import { type Address, familyOf, parseAddress } from '#common/ip.ts';
import { ignored, notesFor, objectOf } from '../schema/fields.ts';
import { dnsSubdomain } from '../schema/names.ts';
import { show } from '../schema/report.ts';
import { defineKind, metadataOf, typeFields } from './kind.ts';

/** The label that says which service a slice belongs to. */
const SERVICE_LABEL = 'kubernetes.io/service-name';

const endpoint = objectOf(
  { addresses: z.array(z.string()).min(1, 'must list an address') },
  {
    notes: notesFor(
      ['conditions', 'hostname', 'targetRef', 'nodeName', 'zone', 'hints', 'deprecatedTopology'],
      ignored('policies ask for addresses only'),
    ),
  },
);

const schema = objectOf(
  {
    ...typeFields('discovery.k8s.io/v1', 'EndpointSlice'),
    metadata: metadataOf(dnsSubdomain),
    addressType: z.enum(['IPv4', 'IPv6', 'FQDN']),
    endpoints: z.array(endpoint).optional(),
  },
  { notes: { ports: ignored('policies ask for addresses only') } },
);

export const endpointSliceKind = defineKind({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  namespaced: true,
  schema,
  lower({ addressType, endpoints = [] }, meta, { report }) {
    const service = meta.labels[SERVICE_LABEL] ?? '';
    if (service === '') report.warn(['metadata', 'labels'], `has no label "${SERVICE_LABEL}": belongs to no service`);
    if (addressType === 'FQDN') report.warn(['addressType'], 'is "FQDN": names have no addresses here');
    const wanted = { IPv4: 4, IPv6: 6, FQDN: 0 }[addressType];
    const addresses: Address[] = [];
    endpoints.forEach((one, i) => {
      one.addresses.forEach((text, j) => {
        const parsed = parseAddress(text);
        if (wanted === 0) return;
        if (parsed.ok && familyOf(parsed.value) === wanted) addresses.push(parsed.value);
        else report.problem(['endpoints', i, 'addresses', j], `${show(text)} is no ${addressType} address`);
      });
    });
    return { kind: 'EndpointSlice', ...meta, service, addresses };
  },
});
