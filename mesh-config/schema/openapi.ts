// A kind's schema in the language of CustomResourceDefinitions: structural OpenAPI v3.
//
//  1. Every node has a type, but for those that hold an integer or a string, and those that hold anything.
//  2. An API server drops fields that its schema does not list. Those that are known and have no meaning here are listed, so
//     that whoever reads the object can refuse it by name; those that belong elsewhere are refused by the schema.
//  3. What the language cannot say (which keys a map may have, what a text means) is checked by the reader alone.

import { z } from 'zod';
import { objectOptions } from './fields.ts';

/** A node of a schema. */
export type OpenApi = Readonly<Record<string, unknown>>;

type Draft = Record<string, unknown>;

const ANYTHING = { 'x-kubernetes-preserve-unknown-fields': true };
/** An API server has a schema of its own for it. */
const METADATA = { type: 'object' };

/** The schema of an object with apiVersion, kind and metadata. */
export function openApiOf(schema: z.ZodType): OpenApi {
  const root = z.toJSONSchema(schema, {
    target: 'openapi-3.0',
    io: 'input',
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema }) => makeStructural(zodSchema as unknown as z.ZodType, jsonSchema as Draft),
  }) as Draft;
  const properties = { ...(root.properties as Draft), metadata: METADATA };
  for (const name of ['apiVersion', 'kind']) Object.assign(properties, { [name]: { type: 'string' } });
  const required = (root.required as readonly string[]).filter((name) => name !== 'apiVersion' && name !== 'kind');
  return { ...root, properties, required };
}

function makeStructural(schema: z.ZodType, node: Draft): void {
  if (schema instanceof z.ZodObject) makeObject(schema, node);
  else if (schema instanceof z.ZodUnion) makeIntOrString(node);
  else if (schema instanceof z.ZodUnknown) Object.assign(node, ANYTHING);
  else if (schema instanceof z.ZodRecord) delete node.propertyNames;
  else if (schema instanceof z.ZodNumber) dropLimitsOfJavaScript(node);
}

function dropLimitsOfJavaScript(node: Draft): void {
  if (node.minimum === Number.MIN_SAFE_INTEGER) delete node.minimum;
  if (node.maximum === Number.MAX_SAFE_INTEGER) delete node.maximum;
}

function makeObject(schema: z.ZodObject, node: Draft): void {
  const { notes, exactlyOne, atLeastOne } = objectOptions(schema);
  const required = (name: string): OpenApi => ({ required: [name] });
  delete node.additionalProperties;
  if (exactlyOne.length > 0) node.oneOf = exactlyOne.map(required);
  if (atLeastOne.length > 0) node.anyOf = atLeastOne.map(required);
  const misplaced = Object.keys(notes).filter((name) => notes[name]?.kind === 'misplaced');
  if (misplaced.length > 0) node.not = { anyOf: misplaced.map(required) };
  const properties = node.properties as Draft;
  for (const [name, note] of Object.entries(notes)) {
    const why = note.why === '' ? '' : `: ${note.why}`;
    const what = { ignored: 'Ignored', unsupported: 'Not supported yet', misplaced: 'Not possible here' }[note.kind];
    properties[name] = { description: `${what}${why}.`, ...ANYTHING };
  }
}

/** The only union that the language has. Limits of numbers do not bind strings, nor do patterns bind numbers. */
function makeIntOrString(node: Draft): void {
  const alternatives = node.anyOf as readonly Draft[];
  const types = alternatives.map(({ type }) => type);
  if (types.length !== 2 || !types.includes('integer') || !types.includes('string')) {
    throw new Error(`Cannot write a schema: a union of ${types.join(' and ')} is not structural`);
  }
  for (const { type: _, ...limits } of alternatives) Object.assign(node, limits);
  node.anyOf = [{ type: 'integer' }, { type: 'string' }];
  node['x-kubernetes-int-or-string'] = true;
}
