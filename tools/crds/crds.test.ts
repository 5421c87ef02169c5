// The definitions against the rules for structural schemas, and against policies whose fate is known.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { isIPv4, isIPv6 } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { compilePattern } from '#mesh-config/match/program.ts';
import { generateCrds } from './generate.ts';

interface Schema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema;
  readonly items?: Schema;
  readonly required?: readonly string[];
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly format?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly not?: Schema;
  readonly 'x-kubernetes-int-or-string'?: boolean;
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean;
}

const SPECIFICATION =
  'https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/';
const KNOWN = [
  ...['type', 'description', 'properties', 'additionalProperties', 'items', 'required', 'enum', 'pattern', 'format'],
  ...['minimum', 'maximum', 'minLength', 'maxLength', 'minItems', 'maxItems', 'anyOf', 'oneOf', 'not'],
  ...['x-kubernetes-int-or-string', 'x-kubernetes-preserve-unknown-fields'],
];

const schemas = new Map<string, Schema>();
for (const text of generateCrds().values()) {
  const { spec } = parse(text);
  for (const version of spec.versions) {
    schemas.set(`${spec.group}/${version.name} ${spec.names.kind}`, version.schema.openAPIV3Schema);
  }
}

describe(`schemas are structural (${SPECIFICATION})`, () => {
  for (const [name, schema] of schemas) {
    test(name, () => assert.deepEqual(structuralProblems(schema, ''), []));
  }
  test('and what is not is seen', () => {
    const bad: Schema = { type: 'object', properties: { a: {} }, additionalProperties: { type: 'string' } };
    assert.deepEqual(structuralProblems(bad, ''), ['"": properties and additionalProperties', '"/a": no type']);
  });
});

test('the kinds and versions are those of the group', () => {
  assert.deepEqual([...schemas.keys()].sort(), [
    'cilium.io/v2 CiliumCIDRGroup',
    'cilium.io/v2 CiliumClusterwideNetworkPolicy',
    'cilium.io/v2 CiliumNetworkPolicy',
    'cilium.io/v2alpha1 CiliumCIDRGroup',
  ]);
});

describe('an API server with these definitions', () => {
  const policy = (rule: object): object => ({
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumNetworkPolicy',
    metadata: { name: 'a' },
    spec: { endpointSelector: {}, ...rule },
  });
  const cases: { name: string; object: object; problem: RegExp | undefined }[] = [
    { name: 'takes a policy', object: policy({ ingress: [{}] }), problem: undefined },
    { name: 'takes an ICMP type by number', object: policy({ ingress: [icmp(8)] }), problem: undefined },
    { name: 'takes an ICMP type by name', object: policy({ ingress: [icmp('EchoRequest')] }), problem: undefined },
    {
      name: 'refuses an ICMP type that is too large',
      object: policy({ ingress: [icmp(256)] }),
      problem: /type: over 255/,
    },
    { name: 'refuses a rule without direction', object: policy({}), problem: /spec: anyOf/ },
    { name: 'refuses a null', object: policy({ ingress: null }), problem: /ingress: no array/ },
    { name: 'drops an unknown field', object: policy({ ingres: [{}], egress: [{}] }), problem: /ingres: unknown/ },
    {
      name: 'refuses a field that belongs elsewhere',
      object: policy({ egressDeny: [{ toFQDNs: [] }] }),
      problem: /egressDeny\[0\]: not/,
    },
    {
      name: 'keeps a field that is refused by name',
      object: policy({ ingress: [{ toPorts: [{ listener: { name: 'x' } }] }] }),
      problem: undefined,
    },
  ];
  for (const { name, object, problem } of cases) {
    test(name, () => {
      const found = problemsOf(object as { apiVersion: string; kind: string }).join('\n');
      if (problem === undefined) assert.equal(found, '');
      else assert.match(found, problem);
    });
  }

  function icmp(type: unknown): object {
    return { icmps: [{ fields: [{ type }] }] };
  }
});

const VECTORS = process.env.WEIR_POLICY_VECTORS ?? join(import.meta.dirname, '../../../shared/vectors/policy');
const skip = !existsSync(VECTORS) && `no ${VECTORS}`;

/** Refused by the reference's schema, but not by this. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  'l7-in-ingressdeny': 'requests can be denied here',
  'listener-on-ingress': 'an unknown field, which stays in the object for the reader to refuse it by name',
  'icmp-v6-name-in-v4': 'what the names mean is checked by the reader',
  'listener-with-l7': 'an unknown field, which stays in the object for the reader to refuse it by name',
};

test('definitions take every policy of the vectors', { skip }, () => {
  for (const file of ['handmade', 'random-1', 'random-2', 'kafka', 'conflicts']) {
    for (const { name, policies } of JSON.parse(readFileSync(join(VECTORS, `${file}.json`), 'utf8'))) {
      for (const object of policies) assert.deepEqual(problemsOf(object), [], name);
    }
  }
});

test('definitions refuse what the reference refuses by its schema', { skip }, () => {
  for (const { name, object, schemaError } of JSON.parse(readFileSync(join(VECTORS, 'invalid.json'), 'utf8'))) {
    if (!schemaError) continue;
    assert.equal(problemsOf(object).length > 0, EXCEPTIONS[name] === undefined, `${name}: ${schemaError}`);
  }
});

/** Breaks of the rules for structural schemas, as far as schemas here could have them. */
function structuralProblems(schema: Schema, at: string): string[] {
  const problems: string[] = [];
  const add = (problem: string): void => void problems.push(`${JSON.stringify(at)}: ${problem}`);
  for (const key of Object.keys(schema)) if (!KNOWN.includes(key)) add(`has "${key}"`);
  const free = schema['x-kubernetes-int-or-string'] || schema['x-kubernetes-preserve-unknown-fields'];
  if (schema.type === undefined && !free) add('no type');
  if (schema.properties && schema.additionalProperties) add('properties and additionalProperties');
  if (schema.pattern !== undefined && !compilePattern(schema.pattern).ok) add(`pattern ${schema.pattern}`);
  for (const part of [...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.not?.anyOf ?? [])]) {
    const allowed = schema['x-kubernetes-int-or-string'] ? ['type'] : ['required'];
    for (const key of Object.keys(part)) if (!allowed.includes(key)) add(`has "${key}" in a choice`);
    for (const name of part.required ?? []) if (!schema.properties?.[name]) add(`requires "${name}", which it has not`);
  }
  const children = { ...schema.properties, ...(schema.items && { '[]': schema.items }) };
  for (const [name, child] of Object.entries(children)) problems.push(...structuralProblems(child, `${at}/${name}`));
  if (schema.additionalProperties) problems.push(...structuralProblems(schema.additionalProperties, `${at}/*`));
  return problems;
}

/** What an API server has against the object, a field that it would drop being one; [] of a kind it does not know. */
function problemsOf(object: { readonly apiVersion: string; readonly kind: string }): string[] {
  const schema = schemas.get(`${object.apiVersion} ${object.kind}`);
  if (!schema) return [];
  const { metadata: _, ...rest } = object as unknown as Record<string, unknown>;
  return check(schema, { metadata: {}, ...rest }, '');
}

function check(schema: Schema, value: unknown, at: string): string[] {
  if (schema.type === undefined && schema['x-kubernetes-preserve-unknown-fields']) return [];
  if (!typeFits(schema, value)) return [`${at}: no ${schema.type ?? 'int or string'}`];
  const problems: string[] = [];
  const need = (holds: boolean, problem: string): void => void (holds || problems.push(`${at}: ${problem}`));
  if (schema.enum) need(schema.enum.includes(value), `none of ${schema.enum.join(', ')}`);
  if (typeof value === 'string') {
    need(value.length >= (schema.minLength ?? 0) && value.length <= (schema.maxLength ?? Infinity), 'length');
    if (schema.pattern !== undefined) need(new RegExp(schema.pattern).test(value), `does not match ${schema.pattern}`);
    if (schema.format === 'cidr') need(isPrefix(value), 'no cidr');
  } else if (typeof value === 'number') {
    need(value <= (schema.maximum ?? Infinity), `over ${schema.maximum}`);
    need(value >= (schema.minimum ?? -Infinity), `under ${schema.minimum}`);
  } else if (Array.isArray(value)) {
    need(value.length <= (schema.maxItems ?? Infinity), `over ${schema.maxItems} items`);
    const { items = {} } = schema;
    problems.push(...value.flatMap((item, i) => check(items, item, `${at}[${i}]`)));
  } else if (typeof value === 'object' && value !== null) {
    problems.push(...checkObject(schema, value as Record<string, unknown>, at));
  }
  return problems;
}

function checkObject(schema: Schema, value: Readonly<Record<string, unknown>>, at: string): string[] {
  const has = (part: Schema): boolean => (part.required ?? []).every((name) => value[name] !== undefined);
  const problems = (schema.required ?? []).filter((n) => value[n] === undefined).map((n) => `${at}.${n}: required`);
  if (schema.anyOf && !schema.anyOf.some(has)) problems.push(`${at}: anyOf`);
  if (schema.oneOf && schema.oneOf.filter(has).length !== 1) problems.push(`${at}: oneOf`);
  if (schema.not?.anyOf?.some(has)) problems.push(`${at}: not`);
  for (const [name, member] of Object.entries(value)) {
    const child = schema.properties?.[name] ?? schema.additionalProperties;
    if (child) problems.push(...check(child, member, `${at}.${name}`));
    else if (at !== '.metadata') problems.push(`${at}.${name}: unknown`);
  }
  return problems;
}

function typeFits(schema: Schema, value: unknown): boolean {
  if (schema['x-kubernetes-int-or-string']) return Number.isInteger(value) || typeof value === 'string';
  switch (schema.type) {
    case 'array':
      return Array.isArray(value);
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value);
    case 'integer':
      return Number.isInteger(value);
    default:
      return typeof value === schema.type;
  }
}

/** As the format "cidr" of an API server. */
function isPrefix(text: string): boolean {
  const [address = '', length = '', ...rest] = text.split('/');
  const max = isIPv4(address) ? 32 : isIPv6(address) ? 128 : -1;
  return rest.length === 0 && /^\d{1,3}$/.test(length) && Number(length) <= max;
}
