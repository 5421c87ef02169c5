// The files of cases: policies, workloads and flows with the verdicts that are expected, or objects that are refused.
// A field that is not known is an error: what it would change must not be left out of the comparison unseen.

import { z } from 'zod';
import { isRecord } from '#mesh-config/schema/fields.ts';

const text = z.string();
const texts = z.array(z.string());
const labels = orEmpty(z.record(z.string(), z.string()), {});
const object = z.record(z.string(), z.unknown());
const number = z.number().int().min(0).max(65535);

const requests = z.strictObject({
  parser: text,
  wildcard: z.boolean(),
  rules: orEmpty(z.array(object), []),
  serverNames: orEmpty(texts, []),
  /** Requests that are refused whatever allows them. */
  denied: orEmpty(z.array(object), []),
});

const expectation = z.discriminatedUnion('verdict', [
  z.strictObject({ verdict: z.literal('error'), by: texts.optional(), error: text }),
  z.strictObject({
    verdict: z.enum(['allow', 'deny']),
    reason: z.enum(['no-policy', 'policy', 'policy-deny', 'default-deny']),
    /** For people; another order of the same rules may name others. */
    by: texts.optional(),
  }),
  z.strictObject({ verdict: z.literal('redirect'), reason: z.literal('policy'), by: texts.optional(), l7: requests }),
]);

const flow = z
  .strictObject({
    from: text,
    to: text,
    protocol: z.enum(['TCP', 'UDP', 'SCTP', 'ICMP', 'ICMPv6']),
    port: number,
    egress: expectation.optional(),
    ingress: expectation.optional(),
    /** What an older version says; not compared. */
    'v1.19.4': z
      .strictObject({
        egress: text.optional(),
        ingress: text.optional(),
        egressL7: requests.optional(),
        ingressL7: requests.optional(),
      })
      .optional(),
  })
  .refine(({ egress, ingress }) => egress ?? ingress, 'expects nothing: neither egress nor ingress');

const endpoint = z.strictObject({
  name: text,
  namespace: text,
  labels,
  namespaceLabels: labels,
  serviceAccount: text.default('default'),
  namedPorts: orEmpty(z.array(z.strictObject({ name: text, port: number, protocol: text.default('TCP') })), []),
  ips: texts,
  /** Its labels are not known yet. */
  init: z.boolean().default(false),
});

const node = z.strictObject({
  name: text,
  ips: texts,
  local: z.boolean().default(false),
  kubeApiserver: z.boolean().default(false),
});

const world = z.strictObject({
  fqdn: orEmpty(z.record(z.string(), texts), {}),
  nodes: orEmpty(z.array(node), []),
  /** Addresses of API servers outside the cluster. */
  kubeApiserver: orEmpty(texts, []),
  cidrGroups: orEmpty(z.record(z.string(), texts), {}),
});

const flowsCase = z.strictObject({
  name: text,
  engine: text,
  note: text.optional(),
  tags: texts.optional(),
  mode: z.enum(['default', 'always', 'never']),
  policies: z.array(object),
  endpoints: z.array(endpoint),
  world,
  flows: z.array(flow),
});

const objectCase = z.strictObject({
  name: text,
  engine: text,
  note: text.optional(),
  tags: texts.optional(),
  object,
  /** What decoding or checking said; "": accepted. */
  error: text,
  /** What the schema of the object's kind said. */
  schemaError: text.optional(),
  rejectedBy: z.enum(['decode', 'engine', 'schema', 'none']),
});

/** Policies, workloads and flows with their expected verdicts. */
export type FlowsCase = z.infer<typeof flowsCase>;
/** An object that is refused, or accepted though it looks wrong. */
export type ObjectCase = z.infer<typeof objectCase>;
export type CaseEndpoint = FlowsCase['endpoints'][number];
export type CaseFlow = FlowsCase['flows'][number];
export type Expectation = z.infer<typeof expectation>;
export type Requests = z.infer<typeof requests>;

export type Case =
  | { readonly kind: 'flows'; readonly name: string; readonly value: FlowsCase }
  | { readonly kind: 'object'; readonly name: string; readonly value: ObjectCase }
  | { readonly kind: 'unreadable'; readonly name: string; readonly reason: string };

/** Reads a file's text. A case that has another form than it should stands for itself, as unreadable. Throws if it is no list. */
export function parseCases(json: string): readonly Case[] {
  const value: unknown = JSON.parse(json);
  if (!Array.isArray(value)) throw new Error('it is not a list of cases');
  return value.map((one: unknown, i): Case => {
    const name = isRecord(one) && typeof one.name === 'string' ? one.name : `case ${i + 1}`;
    const read = isRecord(one) && 'object' in one ? parse('object', objectCase, one) : parse('flows', flowsCase, one);
    return { name, ...read } as Case;
  });
}

function parse<Kind extends string, Schema extends z.ZodType>(kind: Kind, schema: Schema, value: unknown) {
  const parsed = schema.safeParse(value);
  if (parsed.success) return { kind, value: parsed.data };
  return { kind: 'unreadable', reason: z.prettifyError(parsed.error).replaceAll('\n', '; ') };
}

/** The directions that a flow has an expectation for. */
export function expectationsOf(flow: CaseFlow): readonly (readonly ['ingress' | 'egress', Expectation])[] {
  const both = [['egress', flow.egress] as const, ['ingress', flow.ingress] as const];
  return both.flatMap(([direction, expected]) => (expected ? [[direction, expected] as const] : []));
}

/** A field that may be missing, or null as some writers leave an empty one. */
function orEmpty<Schema extends z.ZodType>(schema: Schema, empty: z.infer<Schema>) {
  return schema.nullish().transform((value): z.infer<Schema> => value ?? empty);
}
