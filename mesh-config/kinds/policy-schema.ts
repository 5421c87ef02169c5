// cilium.io/v2 CiliumNetworkPolicy: what may be written. A null is refused in every part of a rule, because a field that
// is absent often means "everybody".

import { z } from 'zod';
import { ignored, type Notes, notesFor, objectOf, unsupported } from '../schema/fields.ts';
import { dnsSubdomain } from '../schema/names.ts';
import { metadataOf, statusNote, typeFields } from './kind.ts';
import { endpointSelector } from './selector.ts';

/** Cilium's limit; it keeps one entry of a rule from filling the policy map. */
const MAX_PORTS = 40;
/** Characters of one regular expression. */
const MAX_PATTERN = 4096;

const pattern = z.string().max(MAX_PATTERN, `is longer than ${MAX_PATTERN} characters`);

const httpSchema = objectOf(
  {
    method: pattern.optional(),
    path: pattern.optional(),
    host: pattern.optional(),
    headers: z.array(z.string()).optional(),
  },
  { notes: { headerMatches: unsupported() }, nulls: 'refused' },
);
export type WrittenHttpRule = z.infer<typeof httpSchema>;

const portSchema = objectOf(
  {
    port: z.string(),
    endPort: z.int().min(0, 'must be from 0 to 65535').max(65535, 'must be from 0 to 65535').optional(),
    protocol: z.enum(['TCP', 'UDP', 'SCTP', 'ANY']).optional(),
  },
  { nulls: 'refused' },
);
export type WrittenPort = z.infer<typeof portSchema>;

const toPortsSchema = objectOf(
  {
    ports: z.array(portSchema).max(MAX_PORTS, `lists more than ${MAX_PORTS} ports`).optional(),
    rules: objectOf(
      { http: z.array(httpSchema).optional() },
      { notes: notesFor(['dns', 'kafka', 'l7proto', 'l7'], unsupported()), nulls: 'refused' },
    ).optional(),
  },
  {
    notes: notesFor(['terminatingTLS', 'originatingTLS', 'serverNames', 'listener'], unsupported()),
    nulls: 'refused',
  },
);
export type WrittenToPorts = z.infer<typeof toPortsSchema>;

const peers = z.array(endpointSelector).optional();
const toPorts = z.array(toPortsSchema).optional();

const ingressSchema = objectOf(
  { fromEndpoints: peers, toPorts },
  {
    notes: notesFor(
      ['fromRequires', 'fromCIDR', 'fromCIDRSet', 'fromEntities', 'fromGroups', 'fromNodes', 'icmps', 'authentication'],
      unsupported(),
    ),
    nulls: 'refused',
  },
);

const egressSchema = objectOf(
  { toEndpoints: peers, toPorts },
  {
    notes: {
      ...notesFor(['toRequires', 'toCIDR', 'toCIDRSet', 'toEntities', 'toServices', 'toGroups'], unsupported()),
      ...notesFor(['toNodes', 'toFQDNs', 'icmps', 'authentication'], unsupported()),
    },
    nulls: 'refused',
  },
);

const ruleNotes: Notes = {
  ...notesFor(['ingressDeny', 'egressDeny'], unsupported()),
  nodeSelector: unsupported({ why: 'only CiliumClusterwideNetworkPolicy may have it' }),
  log: ignored('flows do not carry it'),
};

const label = objectOf({
  key: z.string(),
  value: z.string().optional(),
  source: z.string().optional(),
});

const ruleSchema = objectOf(
  {
    endpointSelector,
    ingress: z.array(ingressSchema).optional(),
    egress: z.array(egressSchema).optional(),
    enableDefaultDeny: objectOf(
      { ingress: z.boolean().optional(), egress: z.boolean().optional() },
      { nulls: 'refused' },
    ).optional(),
    description: z.string().optional(),
    labels: z.array(label).optional(),
  },
  { notes: ruleNotes, nulls: 'refused' },
);
export type WrittenRule = z.infer<typeof ruleSchema>;

/** The whole object. */
export const policySchema = objectOf(
  {
    ...typeFields('cilium.io/v2', 'CiliumNetworkPolicy'),
    metadata: metadataOf(dnsSubdomain),
    spec: ruleSchema.optional(),
    specs: z.array(ruleSchema).optional(),
  },
  { notes: { ...statusNote, description: ignored('the description belongs inside spec') }, nulls: 'refused' },
);
