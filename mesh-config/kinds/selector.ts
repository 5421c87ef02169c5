// Label selectors: those of Kubernetes objects, and those of policies, whose keys may name the source of a label.

import { z } from 'zod';
import type { Requirement } from '../model.ts';
import { objectOf } from '../schema/fields.ts';
import { labelKey, labelValue } from '../schema/names.ts';
import { type Report, show } from '../schema/report.ts';
import { didYouMean } from '../schema/suggest.ts';
import type { Path } from '../yaml.ts';

const operators = z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']);

function selectorOf(key: z.ZodType<string, string>) {
  return objectOf(
    {
      matchLabels: z.record(key, labelValue).optional(),
      matchExpressions: z
        .array(objectOf({ key, operator: operators, values: z.array(labelValue).optional() }, { nulls: 'refused' }))
        .optional(),
    },
    // matchLabels without a value looks like a restriction and would be none.
    { nulls: 'refused' },
  );
}

/** LabelSelector of Kubernetes. */
export const labelSelector = selectorOf(labelKey);

/** Sources of labels that exist, whether or not something that can be selected has them. */
const SOURCES = [
  ...['any', 'k8s', 'reserved', 'node', 'cidr', 'cidrgroup', 'fqdn'],
  ...['unspec', 'cni', 'gen', 'directory', 'container'],
];

/** Keys with the sources of labels that what is selected can have. */
function sourcedKey(sources: readonly string[]) {
  return z.string().superRefine((text, context) => {
    const { source, key } = splitSource(text);
    const parsed = labelKey.safeParse(key);
    if (!parsed.success) context.addIssue(parsed.error.issues[0]?.message ?? 'is no label key');
    if (sources.includes(source)) return;
    const possible = sources.map((name) => `"${name}"`).join(', ');
    context.addIssue(
      SOURCES.includes(source)
        ? `names labels of the source "${source}", which nothing has that can be selected here, only ${possible}`
        : `names an unknown label source "${source}"${didYouMean(source, SOURCES)}`,
    );
  });
}

/** EndpointSelector of a policy: keys "source:key" or "key", which is the same as "any:key". */
export const endpointSelector = selectorOf(sourcedKey(['any', 'k8s', 'reserved']));
/** The same for nodes. Their labels have one source, whatever the key says; besides they have reserved ones. */
export const nodeSelector = selectorOf(sourcedKey(['any', 'k8s', 'node', 'reserved']));
/** The same for services, which have no reserved labels. */
export const serviceSelector = selectorOf(sourcedKey(['any', 'k8s']));
export type WrittenSelector = z.infer<typeof labelSelector>;

/** "k8s:app" -> k8s, app; "app" -> any, app. */
export function splitSource(text: string): { source: string; key: string } {
  const colon = text.indexOf(':');
  return colon < 0 ? { source: 'any', key: text } : { source: text.slice(0, colon), key: text.slice(colon + 1) };
}

/** Requirements of a Kubernetes selector. All keys get the source k8s. */
export function lowerPlainSelector(selector: WrittenSelector, at: { path: Path; report: Report }): Requirement[] {
  return lower(selector, at, (key) => ({ source: 'k8s', key }));
}

/** Requirements of a policy's selector, in the order written, before any namespace is added. */
export function lowerSourcedSelector(selector: WrittenSelector, at: { path: Path; report: Report }): Requirement[] {
  return lower(selector, at, splitSource);
}

/** Requirements on nodes. */
export function lowerNodeSelector(selector: WrittenSelector, at: { path: Path; report: Report }): Requirement[] {
  return lower(selector, at, (text) => {
    const { source, key } = splitSource(text);
    return { source: source === 'reserved' ? source : 'node', key };
  });
}

function lower(
  selector: WrittenSelector,
  at: { path: Path; report: Report },
  split: (key: string) => { source: string; key: string },
): Requirement[] {
  const requirements: Requirement[] = Object.entries(selector.matchLabels ?? {}).map(([key, value]) => ({
    ...split(key),
    operator: 'In',
    values: [value],
  }));
  (selector.matchExpressions ?? []).forEach(({ key, operator, values = [] }, i) => {
    const path = [...at.path, 'matchExpressions', i, 'values'];
    const wantsValues = operator === 'In' || operator === 'NotIn';
    if (wantsValues && values.length === 0) at.report.problem(path, `required with the operator ${show(operator)}`);
    if (!wantsValues && values.length > 0) at.report.problem(path, `must be empty with the operator ${show(operator)}`);
    requirements.push({ ...split(key), operator, values });
  });
  return requirements;
}
