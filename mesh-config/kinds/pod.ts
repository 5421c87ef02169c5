// v1 Pod, and the pod template of a Deployment. Containers run as processes of this machine.

import { z } from 'zod';
import type { Container, PodSpec, Protocol } from '../model.ts';
import { objectOf } from '../schema/fields.ts';
import { dnsLabel, portName, portNumber, processText } from '../schema/names.ts';
import { type Report, show } from '../schema/report.ts';
import type { Path } from '../yaml.ts';
import { lowerPodAnnotations } from './annotations.ts';
import { expandVariables } from './expand.ts';
import { defineKind, metadataOf, statusNote, typeFields } from './kind.ts';
import { containerNotes, containerPortNotes, envNotes, podNotes } from './pod-notes.ts';

const envSchema = objectOf(
  {
    name: z.string().regex(/^[ -<>-~]+$/, 'must be printable ASCII without "="'),
    value: processText.optional(),
  },
  { notes: envNotes },
);

const portSchema = objectOf(
  {
    name: portName.optional(),
    containerPort: portNumber,
    protocol: z.enum(['TCP', 'UDP', 'SCTP']).optional(),
  },
  { notes: containerPortNotes },
);

const containerSchema = objectOf(
  {
    name: dnsLabel,
    command: z.array(processText).optional(),
    args: z.array(processText).optional(),
    env: z.array(envSchema).optional(),
    workingDir: processText.refine((dir) => dir === '' || dir.startsWith('/'), 'must be an absolute path').optional(),
    ports: z.array(portSchema).optional(),
  },
  { notes: containerNotes },
);

/** spec of a Pod, or of a pod template. */
export const podSpecSchema = objectOf(
  {
    serviceAccountName: dnsLabel.or(z.literal('')).optional(),
    serviceAccount: dnsLabel.or(z.literal('')).optional(),
    containers: z.array(containerSchema).min(1, 'a pod needs at least one container'),
    restartPolicy: z.enum(['Always', 'OnFailure', 'Never']).optional(),
  },
  { notes: podNotes },
);
export type WrittenPodSpec = z.infer<typeof podSpecSchema>;

const schema = objectOf(
  { ...typeFields('v1', 'Pod'), metadata: metadataOf(dnsLabel), spec: podSpecSchema },
  { notes: statusNote },
);

export const podKind = defineKind({
  apiVersion: 'v1',
  kind: 'Pod',
  namespaced: true,
  schema,
  lower: (value, meta, { report }) => ({
    kind: 'Pod',
    ...meta,
    ...lowerPodAnnotations(meta.annotations, { path: ['metadata', 'annotations'], report }),
    spec: lowerPodSpec(value.spec, { path: ['spec'], report }),
  }),
});

/** A valid pod spec -> model. */
export function lowerPodSpec(spec: WrittenPodSpec, at: { path: Path; report: Report }): PodSpec {
  const { serviceAccountName = '', serviceAccount = '' } = spec;
  if (serviceAccountName !== '' && serviceAccount !== '' && serviceAccountName !== serviceAccount) {
    at.report.problem([...at.path, 'serviceAccount'], `differs from serviceAccountName, ${show(serviceAccountName)}`);
  }
  const names = new Set<string>();
  const portNames = new Set<string>();
  const containers = spec.containers.map((container, i): Container => {
    const path = [...at.path, 'containers', i];
    if (names.has(container.name)) at.report.problem([...path, 'name'], `${show(container.name)} is used twice`);
    names.add(container.name);
    if ((container.command ?? []).length === 0 || container.command?.[0] === '') {
      at.report.problem(
        [...path, 'command'],
        'required: containers run as processes of this machine, so what an image would start must be written out',
      );
    }
    const ports = (container.ports ?? []).map((port, j) => {
      const name = port.name ?? '';
      if (name !== '' && portNames.has(name)) {
        at.report.problem([...path, 'ports', j, 'name'], `${show(name)} is used twice`);
      }
      portNames.add(name);
      const protocol: Protocol = port.protocol ?? 'TCP';
      return { name, port: port.containerPort, protocol };
    });
    return { name: container.name, ...lowerProcess(container), ports };
  });
  return {
    serviceAccount: serviceAccountName || serviceAccount || 'default',
    containers,
    restartPolicy: spec.restartPolicy ?? 'Always',
  };
}

/** What is started: `$(NAME)` in command, args and env stands for a variable of the container. */
function lowerProcess(container: z.infer<typeof containerSchema>): Omit<Container, 'name' | 'ports'> {
  const values = new Map<string, string>();
  for (const { name, value = '' } of container.env ?? []) values.set(name, expandVariables(value, values));
  return {
    command: (container.command ?? []).map((text) => expandVariables(text, values)),
    args: (container.args ?? []).map((text) => expandVariables(text, values)),
    env: [...values].map(([name, value]) => ({ name, value })),
    workingDir: container.workingDir ?? '',
  };
}
