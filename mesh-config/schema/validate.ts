// Validates a value against a schema and words what zod found for people.

import type { z } from 'zod';
import type { Path } from '../yaml.ts';
import { isRecord, prune } from './fields.ts';
import { type Report, show } from './report.ts';
import { didYouMean } from './suggest.ts';

/**
 * The value in the schema's type, or undefined with the reasons in `report`. Every unknown field, unsupported field and
 * invalid value is reported, not only the first.
 */
export function validate<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  at: { path: Path; report: Report },
): z.infer<Schema> | undefined {
  const { kept: pruned, complete } = prune(schema, value, at);
  const parsed = schema.safeParse(pruned);
  if (parsed.success) return complete ? parsed.data : undefined;
  for (const issue of parsed.error.issues) {
    const inside = issue.path.map((step) => (typeof step === 'symbol' ? String(step) : step));
    at.report.problem([...at.path, ...inside], reasonOf(issue, valueAt(pruned, inside)));
  }
  return undefined;
}

function reasonOf(issue: z.core.$ZodIssue, value: unknown): string {
  switch (issue.code) {
    case 'invalid_type':
      if (value === undefined) return 'required, but missing';
      return issue.expected === 'string' && (typeof value === 'number' || typeof value === 'boolean')
        ? `must be a string: write "${value}" in quotes`
        : `must be ${article(issue.expected)}, not ${value === null ? 'null: leave the field out if that is meant' : show(value)}`;
    case 'invalid_value': {
      // A text of the schema's own goes on after the value; those of the library do not.
      if (!issue.message.startsWith('Invalid')) return `${show(value)} ${issue.message}`;
      const values = issue.values.map(String);
      if (value === undefined) return `required, but missing: one of ${values.join(', ')}`;
      return `${show(value)} is none of ${values.join(', ')}${didYouMean(String(value), values)}`;
    }
    case 'invalid_key':
      return issue.issues[0]?.message ?? issue.message;
    case 'invalid_union':
      return value === undefined ? 'required, but missing' : unionReason(issue, value);
    default:
      return value === undefined || isRecord(value) || Array.isArray(value)
        ? issue.message
        : `${show(value)} ${issue.message}`;
  }
}

/** The reason of the one alternative whose type fits; if none fits, all types that would. */
function unionReason(issue: z.core.$ZodIssueInvalidUnion, value: unknown): string {
  const fitting = issue.errors.find((alternative) => alternative.every((e) => e.code !== 'invalid_type'));
  const first = fitting?.[0];
  if (first) return reasonOf(first, value);
  const types = issue.errors.flatMap((alternative) =>
    alternative.map((e) => (e.code === 'invalid_type' ? article(e.expected) : '')),
  );
  return `must be ${types.join(' or ')}, not ${show(value)}`;
}

function article(type: string): string {
  switch (type) {
    case 'array':
      return 'a list';
    case 'int':
      return 'a whole number';
    case 'object':
    case 'record':
      return 'an object';
    default:
      return `a ${type}`;
  }
}

function valueAt(value: unknown, path: Path): unknown {
  let node = value;
  for (const step of path) {
    if (Array.isArray(node)) node = node[Number(step)];
    else if (isRecord(node) && Object.hasOwn(node, step)) node = node[step];
    else return undefined;
  }
  return node;
}
