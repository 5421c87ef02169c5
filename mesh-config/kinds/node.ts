// v1 Node: labels and addresses of the machines that policies may name.

import { z } from 'zod';
import { type Address, parseAddress } from '#common/ip.ts';
import { ignored, notesFor, objectOf } from '../schema/fields.ts';
import { dnsSubdomain } from '../schema/names.ts';
import { show } from '../schema/report.ts';
import { clusterMetadataOf, defineKind, typeFields } from './kind.ts';

const FROM_CLUSTER = ignored('a cluster writes it, not a user');

const status = objectOf(
  {
    addresses: z.array(objectOf({ type: z.string(), address: z.string() })).optional(),
  },
  {
    notes: notesFor(
      [
        ...['capacity', 'allocatable', 'phase', 'conditions', 'daemonEndpoints', 'nodeInfo', 'images', 'volumesInUse'],
        ...['volumesAttached', 'config', 'runtimeHandlers', 'features', 'declaredFeatures'],
      ],
      FROM_CLUSTER,
    ),
  },
);

const schema = objectOf(
  { ...typeFields('v1', 'Node'), metadata: clusterMetadataOf(dnsSubdomain), status: status.optional() },
  { notes: { spec: ignored('policies ask for labels and addresses only') } },
);

/** Types of addresses that are addresses; the others are names. */
const ADDRESS_TYPES = ['InternalIP', 'ExternalIP'];

export const nodeKind = defineKind({
  apiVersion: 'v1',
  kind: 'Node',
  namespaced: false,
  schema,
  lower(value, meta, { report }) {
    const addresses: Address[] = [];
    (value.status?.addresses ?? []).forEach(({ type, address }, i) => {
      if (!ADDRESS_TYPES.includes(type)) return;
      const parsed = parseAddress(address);
      if (parsed.ok) addresses.push(parsed.value);
      else report.problem(['status', 'addresses', i, 'address'], `${show(address)} is no IP address`);
    });
    return { kind: 'Node', ...meta, addresses };
  },
});
