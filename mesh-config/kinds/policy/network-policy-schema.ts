// networking.k8s.io/v1 NetworkPolicy: what may be written. A null is refused in every part, because a field that is absent
// often means "everybody".

import { z } from 'zod';
import { objectOf } from '../../schema/fields.ts';
import { dnsSubdomain } from '../../schema/names.ts';
import { metadataOf, statusNote, typeFields } from '../kind.ts';
import { labelSelector } from '../selector.ts';
import { cidr } from './peer-schema.ts';

const peer = objectOf(
  {
    podSelector: labelSelector.optional(),
    namespaceSelector: labelSelector.optional(),
    ipBlock: objectOf({ cidr, except: z.array(cidr).optional() }, { nulls: 'refused' }).optional(),
  },
  { nulls: 'refused', atLeastOne: ['podSelector', 'namespaceSelector', 'ipBlock'] },
);
export type WrittenPeer = z.infer<typeof peer>;

const portNumber = z.int().min(0, 'must be from 0 to 65535').max(65535, 'must be from 0 to 65535');
const port = objectOf(
  {
    port: z.union([portNumber, z.string().min(1, 'is no port: write a number or a name')]).optional(),
    endPort: portNumber.optional(),
    protocol: z.enum(['TCP', 'UDP', 'SCTP']).optional(),
  },
  { nulls: 'refused' },
);
export type WrittenPolicyPort = z.infer<typeof port>;

const peers = z.array(peer).optional();
const ports = z.array(port).optional();
const ingress = objectOf({ from: peers, ports }, { nulls: 'refused' });
const egress = objectOf({ to: peers, ports }, { nulls: 'refused' });

const spec = objectOf(
  {
    podSelector: labelSelector.optional(),
    policyTypes: z.array(z.enum(['Ingress', 'Egress'])).optional(),
    ingress: z.array(ingress).optional(),
    egress: z.array(egress).optional(),
  },
  { nulls: 'refused' },
);

/** The whole object. */
export const kubernetesPolicySchema = objectOf(
  { ...typeFields('networking.k8s.io/v1', 'NetworkPolicy'), metadata: metadataOf(dnsSubdomain), spec },
  { notes: statusNote, nulls: 'refused' },
);
export type WrittenSpec = z.infer<typeof spec>;
