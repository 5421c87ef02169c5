// apps/v1 Deployment.

import { z } from 'zod';
import type { Labels } from '../model.ts';
import { ignored, type Notes, notesFor, objectOf, unsupported } from '../schema/fields.ts';
import { annotations, dnsLabel, labels } from '../schema/names.ts';
import type { Report } from '../schema/report.ts';
import { lowerPodAnnotations } from './annotations.ts';
import { defineKind, metadataOf, statusNote, typeFields } from './kind.ts';
import { lowerPodSpec, podSpecSchema } from './pod.ts';
import { labelSelector, lowerPlainSelector } from './selector.ts';

/** Pods of one Deployment on one machine: each costs a namespace and a process. */
const MAX_REPLICAS = 1_000;

const specNotes: Notes = {
  ...notesFor(
    ['strategy', 'minReadySeconds', 'revisionHistoryLimit', 'progressDeadlineSeconds'],
    ignored('changed pods are replaced at once, and no history is kept'),
  ),
  paused: unsupported({ harmless: [false] }),
};

const templateMetadata = objectOf(
  { labels: labels.optional(), annotations: annotations.optional() },
  {
    notes: {
      ...notesFor(['name', 'namespace', 'creationTimestamp'], ignored('pods are named after their Deployment')),
      ...notesFor(['generateName', 'ownerReferences', 'finalizers'], unsupported({ harmless: ['', 'empty'] })),
    },
  },
);

const specSchema = objectOf(
  {
    replicas: z.int().min(0, 'must not be negative').max(MAX_REPLICAS, `is over ${MAX_REPLICAS}`).optional(),
    selector: labelSelector,
    template: objectOf({ metadata: templateMetadata.optional(), spec: podSpecSchema }),
  },
  { notes: specNotes },
);
type Spec = z.infer<typeof specSchema>;

const schema = objectOf(
  { ...typeFields('apps/v1', 'Deployment'), metadata: metadataOf(dnsLabel), spec: specSchema },
  { notes: statusNote },
);

export const deploymentKind = defineKind({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  namespaced: true,
  schema,
  lower({ spec }, meta, { report }) {
    const { metadata, spec: pod } = spec.template;
    const { labels: podLabels = {}, annotations: notes = {} } = metadata ?? {};
    checkSelector(spec, podLabels, report);
    if (pod.restartPolicy !== undefined && pod.restartPolicy !== 'Always') {
      report.problem(['spec', 'template', 'spec', 'restartPolicy'], 'must be Always in a Deployment');
    }
    return {
      kind: 'Deployment',
      ...meta,
      replicas: spec.replicas ?? 1,
      template: {
        labels: podLabels,
        annotations: notes,
        ...lowerPodAnnotations(notes, { path: ['spec', 'template', 'metadata', 'annotations'], report }),
        spec: lowerPodSpec(pod, { path: ['spec', 'template', 'spec'], report }),
      },
    };
  },
});

/** A Deployment that does not select its own pods would make new ones for ever. */
function checkSelector(spec: Spec, podLabels: Labels, report: Report): void {
  const path = ['spec', 'selector'];
  const requirements = lowerPlainSelector(spec.selector, { path, report });
  if (requirements.length === 0) report.problem(path, 'must not be empty');
  for (const { key, operator, values } of requirements) {
    const value = Object.hasOwn(podLabels, key) ? podLabels[key] : undefined;
    const holds = {
      In: value !== undefined && values.includes(value),
      NotIn: value === undefined || !values.includes(value),
      Exists: value !== undefined,
      DoesNotExist: value === undefined,
    }[operator];
    if (!holds) report.problem(path, `does not match the label "${key}" of spec.template.metadata.labels`);
  }
}
