// What every kind of object has: apiVersion, kind, metadata, and a way to become a model object.

import { z } from 'zod';
import type { MeshObject, Meta, Origin, RulePlace } from '../model.ts';
import { ignored, type Notes, notesFor, objectOf, unsupported } from '../schema/fields.ts';
import { annotations, dnsLabel, labels } from '../schema/names.ts';
import type { Report } from '../schema/report.ts';
import { validate } from '../schema/validate.ts';
import type { Path } from '../yaml.ts';
import { refuseOwnAnnotations } from './annotations.ts';

/** What is switched on where objects are read. */
export interface ReadOptions {
  /** Peers may be nodes by their labels (fromNodes, toNodes). Off: such a policy is refused. */
  readonly nodePeers: boolean;
}

/** Where an object comes from, and where to say what is wrong with it. */
export interface Source {
  readonly origin: Origin;
  readonly report: Report;
  readonly options: ReadOptions;
  /** Where in the file the object's field at `path` stands. */
  placeOf(path: Path): RulePlace;
}

/** A reader for one kind. */
export interface Kind {
  readonly apiVersion: string;
  readonly kind: MeshObject['kind'];
  readonly namespaced: boolean;
  readonly schema: z.ZodType;
  /** The object as YAML gave it -> model. undefined: refused, the reasons are in its report. */
  read(value: unknown, source: Source): MeshObject | undefined;
}

const BOOKKEEPING = ignored('it is the bookkeeping of an API server');

const metadataNotes: Notes = {
  ...notesFor(['uid', 'resourceVersion', 'generation', 'creationTimestamp', 'managedFields', 'selfLink'], BOOKKEEPING),
  ...notesFor(['ownerReferences', 'finalizers'], ignored('objects are removed when they leave the folder')),
  generateName: unsupported({ why: 'write a name', harmless: [''] }),
  deletionTimestamp: unsupported({ why: 'the object was being deleted when it was saved' }),
  deletionGracePeriodSeconds: unsupported({ why: 'the object was being deleted when it was saved' }),
};

/** `status` of every kind. */
export const statusNote: Notes = { status: ignored('a cluster writes it, not a user') };

/** metadata of an object in a namespace. */
export function metadataOf(name: z.ZodType<string>) {
  return objectOf(
    { name, namespace: dnsLabel.optional(), labels: labels.optional(), annotations: annotations.optional() },
    { notes: metadataNotes },
  );
}

/** metadata of a cluster-scoped object. */
export function clusterMetadataOf(name: z.ZodType<string>) {
  return objectOf(
    { name, labels: labels.optional(), annotations: annotations.optional() },
    {
      notes: { ...metadataNotes, namespace: unsupported({ why: 'the object is not in a namespace', harmless: [''] }) },
    },
  );
}

interface WrittenMetadata {
  readonly name: string;
  readonly namespace?: string | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

/** Builds the kind from its schema and the function that turns a valid object into the model's. */
export function defineKind<Schema extends z.ZodType<{ metadata: WrittenMetadata }>>(definition: {
  readonly apiVersion: string;
  readonly kind: MeshObject['kind'];
  readonly namespaced: boolean;
  readonly schema: Schema;
  /** What the schema cannot say is reported by `report.problem`; the object is refused then, whatever is returned. */
  readonly lower: (value: z.infer<Schema>, meta: Meta, source: Source) => MeshObject;
}): Kind {
  return {
    apiVersion: definition.apiVersion,
    kind: definition.kind,
    namespaced: definition.namespaced,
    schema: definition.schema,
    read(value, source) {
      const { origin, report } = source;
      const valid = validate(definition.schema, value, { path: [], report });
      if (valid === undefined) return undefined;
      const { name, namespace = 'default', labels: own = {}, annotations: notes = {} } = valid.metadata;
      const meta: Meta = {
        namespace: definition.namespaced ? namespace : '',
        name,
        labels: own,
        annotations: notes,
        origin,
      };
      if (definition.kind !== 'Pod') refuseOwnAnnotations(notes, { path: ['metadata', 'annotations'], report });
      return definition.lower(valid, meta, source);
    },
  };
}

/** `apiVersion` and `kind`, which the dispatcher has already compared. */
export function typeFields(apiVersion: string, kind: string) {
  return { apiVersion: z.literal(apiVersion), kind: z.literal(kind) };
}
