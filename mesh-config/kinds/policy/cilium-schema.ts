// cilium.io/v2 CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy: what may be written. A null is refused in every part
// of a rule, because a field that is absent often means "everybody".

import { z } from 'zod';
import { ignored, misplaced, type Notes, objectOf } from '../../schema/fields.ts';
import { dnsSubdomain } from '../../schema/names.ts';
import { clusterMetadataOf, metadataOf, statusNote, typeFields } from '../kind.ts';
import { endpointSelector, nodeSelector } from '../selector.ts';
import { fromPeers, toNames, toPeers } from './peer-schema.ts';
import { allowedTraffic, deniedTraffic } from './ports-schema.ts';

const authentication = objectOf({ mode: z.enum(['disabled', 'required', 'test-always-fail']) }, { nulls: 'refused' })
  .optional()
  .describe('Only "disabled" is supported yet.');

const denyNotes: Notes = { authentication: misplaced('only allow rules may ask for it') };

const ingress = objectOf(
  { ...fromPeers, ...allowedTraffic, authentication },
  { notes: { toFQDNs: misplaced('names are for egress') }, nulls: 'refused' },
);
const egress = objectOf({ ...toPeers, ...toNames, ...allowedTraffic, authentication }, { nulls: 'refused' });
const ingressDeny = objectOf({ ...fromPeers, ...deniedTraffic }, { notes: denyNotes, nulls: 'refused' });
const egressDeny = objectOf(
  { ...toPeers, ...deniedTraffic },
  {
    notes: { ...denyNotes, toFQDNs: misplaced('a name that is not resolved yet would deny nothing') },
    nulls: 'refused',
  },
);
export type WrittenIngress = z.infer<typeof ingress> | z.infer<typeof ingressDeny>;
export type WrittenEgress = z.infer<typeof egress> | z.infer<typeof egressDeny>;

const label = objectOf({ key: z.string(), value: z.string().optional(), source: z.string().optional() });

/** Characters of a text for flows. */
const MAX_LOG = 32;
const log = objectOf(
  {
    value: z
      .string()
      .max(MAX_LOG, `is longer than ${MAX_LOG} characters`)
      .regex(/^\P{C}*$/u, 'must be printable')
      .optional(),
  },
  { nulls: 'refused' },
);

const DIRECTIONS = ['ingress', 'ingressDeny', 'egress', 'egressDeny'];

const commonFields = {
  ingress: z.array(ingress).optional().describe('Who may come in. [{}] lets nobody in.'),
  ingressDeny: z.array(ingressDeny).optional().describe('Who may not come in, whatever else allows it.'),
  egress: z.array(egress).optional().describe('Where to go out. [{}] lets nothing out.'),
  egressDeny: z.array(egressDeny).optional().describe('Where not to go out, whatever else allows it.'),
  enableDefaultDeny: objectOf({ ingress: z.boolean().optional(), egress: z.boolean().optional() }, { nulls: 'refused' })
    .optional()
    .describe('Whether what no rule speaks of is denied in a direction. Default: where the rule has entries.'),
  description: z.string().optional().describe('A free text.'),
  labels: z.array(label).optional().describe('Free labels of the policy.'),
  log: log.optional().describe('A text for flows: ignored, flows do not carry it.'),
};

const rule = objectOf(
  {
    endpointSelector: endpointSelector.describe('The workloads of the namespace that the rule is for.'),
    ...commonFields,
  },
  {
    notes: { nodeSelector: misplaced('only CiliumClusterwideNetworkPolicy may have it') },
    nulls: 'refused',
    atLeastOne: DIRECTIONS,
  },
);

const clusterRule = objectOf(
  {
    endpointSelector: endpointSelector.optional().describe('The workloads that the rule is for.'),
    nodeSelector: nodeSelector.optional().describe('The nodes that the rule is for.'),
    ...commonFields,
  },
  {
    nulls: 'refused',
    exactlyOne: ['endpointSelector', 'nodeSelector'],
    atLeastOne: DIRECTIONS,
  },
);
export type WrittenRule = z.infer<typeof rule> | z.infer<typeof clusterRule>;

const notes: Notes = { ...statusNote, description: ignored('the description belongs inside spec') };

function specsOf<Rule extends z.ZodType>(one: Rule) {
  return {
    spec: one.optional().describe('The rule.'),
    specs: z.array(one).optional().describe('Further rules.'),
  };
}

/** The whole objects. */
export const networkPolicySchema = objectOf(
  { ...typeFields('cilium.io/v2', 'CiliumNetworkPolicy'), metadata: metadataOf(dnsSubdomain), ...specsOf(rule) },
  { notes, nulls: 'refused', atLeastOne: ['spec', 'specs'] },
);

export const clusterwidePolicySchema = objectOf(
  {
    ...typeFields('cilium.io/v2', 'CiliumClusterwideNetworkPolicy'),
    metadata: clusterMetadataOf(dnsSubdomain),
    ...specsOf(clusterRule),
  },
  { notes, nulls: 'refused', atLeastOne: ['spec', 'specs'] },
);
