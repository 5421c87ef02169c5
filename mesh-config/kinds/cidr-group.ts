// CiliumCIDRGroup: prefixes that policies refer to by name or by labels.

import { z } from 'zod';
import { objectOf } from '../schema/fields.ts';
import { dnsSubdomain } from '../schema/names.ts';
import { clusterMetadataOf, defineKind, type Kind, statusNote, typeFields } from './kind.ts';
import { cidr } from './policy/peer-schema.ts';
import { cidrOf } from './policy/peers.ts';

const spec = objectOf(
  { externalCIDRs: z.array(cidr).describe('Prefixes outside the cluster.') },
  // An empty group is nobody, but a missing list is a mistake.
  { nulls: 'refused' },
);

/** Both versions of the kind are the same. */
export const cidrGroupKinds: readonly Kind[] = ['cilium.io/v2', 'cilium.io/v2alpha1'].map((apiVersion) =>
  defineKind({
    apiVersion,
    kind: 'CiliumCIDRGroup',
    namespaced: false,
    schema: objectOf(
      { ...typeFields(apiVersion, 'CiliumCIDRGroup'), metadata: clusterMetadataOf(dnsSubdomain), spec },
      { notes: statusNote },
    ),
    lower: ({ spec: { externalCIDRs } }, meta, { report, placeOf }) => ({
      kind: 'CiliumCIDRGroup',
      ...meta,
      cidrs: externalCIDRs.flatMap(
        (text, i) => cidrOf(text, { path: ['spec', 'externalCIDRs', i], report, placeOf }) ?? [],
      ),
    }),
  }),
);
