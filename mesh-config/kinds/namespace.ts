// v1 Namespace.

import { ignored, objectOf } from '../schema/fields.ts';
import { dnsLabel } from '../schema/names.ts';
import { clusterMetadataOf, defineKind, statusNote, typeFields } from './kind.ts';

const schema = objectOf(
  { ...typeFields('v1', 'Namespace'), metadata: clusterMetadataOf(dnsLabel) },
  { notes: { ...statusNote, spec: ignored('it holds only finalizers, which belong to an API server') } },
);

export const namespaceKind = defineKind({
  apiVersion: 'v1',
  kind: 'Namespace',
  namespaced: false,
  schema,
  lower: (_value, meta) => ({ kind: 'Namespace', ...meta }),
});
