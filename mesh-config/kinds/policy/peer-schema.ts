// Who may be at the other end, as Cilium policies write it.

import { z } from 'zod';
import { objectOf } from '../../schema/fields.ts';
import { dnsLabel, dnsSubdomain } from '../../schema/names.ts';
import { endpointSelector, labelSelector, nodeSelector, serviceSelector } from '../selector.ts';
import { parsePrefix } from './prefix.ts';

/** Characters of a name or pattern (RFC 1035, section 2.3.4). */
const MAX_NAME = 255;
const NAME_RULE = 'must be a DNS name: letters, digits, "-", "_" and "."';
const PATTERN_RULE = 'must be a DNS name in which "*" may stand for letters, digits, "-" and "_"';

const ENTITIES = [
  'all',
  'world',
  'cluster',
  'cluster-mesh',
  'host',
  'remote-node',
  'kube-apiserver',
  'ingress',
  'init',
  'health',
  'unmanaged',
  'none',
] as const;

/** "10.0.0.0/8", of either family. */
export const cidr = z
  .string()
  .superRefine((text, context) => {
    const parsed = parsePrefix(text);
    if (!parsed.ok) context.addIssue({ code: 'custom', message: parsed.error });
  })
  .meta({ format: 'cidr' });

const cidrRule = objectOf(
  {
    cidr: cidr.optional().describe('A prefix.'),
    cidrGroupRef: dnsSubdomain.optional().describe('Name of a CiliumCIDRGroup.'),
    cidrGroupSelector: labelSelector.optional().describe('Selects CiliumCIDRGroups by their labels.'),
    except: z.array(cidr).optional().describe('Prefixes inside that are left out of this entry.'),
  },
  { nulls: 'refused', exactlyOne: ['cidr', 'cidrGroupRef', 'cidrGroupSelector'] },
);
export type WrittenCidrRule = z.infer<typeof cidrRule>;

/** A name or a pattern of names: in toFQDNs and in DNS rules. */
export const nameSelector = objectOf(
  {
    matchName: z
      .string()
      .max(MAX_NAME, `is longer than ${MAX_NAME} characters`)
      .regex(/^[-a-zA-Z0-9_]+([.][-a-zA-Z0-9_]+)*[.]?$/, NAME_RULE)
      .optional()
      .describe('This name.'),
    matchPattern: z
      .string()
      .max(MAX_NAME, `is longer than ${MAX_NAME} characters`)
      .regex(/^[-a-zA-Z0-9_*]+([.][-a-zA-Z0-9_*]+)*[.]?$/, PATTERN_RULE)
      .optional()
      .describe('Names like this: "*" covers no dot, a leading "**." any number of labels, "*" alone every name.'),
  },
  { nulls: 'refused', exactlyOne: ['matchName', 'matchPattern'] },
);
export type WrittenName = z.infer<typeof nameSelector>;

const service = objectOf(
  {
    k8sService: objectOf({ serviceName: dnsLabel, namespace: dnsLabel.optional() }, { nulls: 'refused' })
      .optional()
      .describe('A service by its name.'),
    k8sServiceSelector: objectOf({ selector: serviceSelector, namespace: dnsLabel.optional() }, { nulls: 'refused' })
      .optional()
      .describe('Services by their labels; without namespace, those of every namespace.'),
  },
  { nulls: 'refused', exactlyOne: ['k8sService', 'k8sServiceSelector'] },
);
export type WrittenService = z.infer<typeof service>;

const anything = z.array(z.record(z.string(), z.unknown())).optional();
const removed = z
  .array(z.record(z.string(), z.unknown()))
  .max(0, 'must be empty: requirements are gone from the language, write them into each selector of peers')
  .optional()
  .describe('Removed: must be empty.');

const endpoints = z.array(endpointSelector).optional().describe('Workloads by their labels.');
const entities = z.array(z.enum(ENTITIES)).optional().describe('Groups with a fixed meaning.');
const cidrs = z.array(cidr).optional().describe('Addresses outside the cluster.');
const cidrRules = z.array(cidrRule).optional().describe('Addresses outside the cluster, with exceptions.');
const nodes = z.array(nodeSelector).optional().describe('Nodes of the cluster by their labels.');
const groups = anything.describe('Groups of a cloud provider: not supported yet.');

export const fromPeers = {
  fromEndpoints: endpoints,
  fromEntities: entities,
  fromCIDR: cidrs,
  fromCIDRSet: cidrRules,
  fromNodes: nodes,
  fromGroups: groups,
  fromRequires: removed,
};

export const toPeers = {
  toEndpoints: endpoints,
  toEntities: entities,
  toCIDR: cidrs,
  toCIDRSet: cidrRules,
  toServices: z.array(service).optional().describe('The backends of services.'),
  toNodes: nodes,
  toGroups: groups,
  toRequires: removed,
};

/** In allow rules only: a name that is not resolved yet would deny nothing. */
export const toNames = {
  toFQDNs: z.array(nameSelector).optional().describe('Addresses that DNS gave for these names.'),
};
