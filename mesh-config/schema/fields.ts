// Objects with a closed set of fields: those with a meaning here (a zod shape), those that Kubernetes or Cilium know but
// that have no meaning here (notes), and everything else, which is a mistake.

import { z } from 'zod';
import type { Path } from '../yaml.ts';
import { type Report, show } from './report.ts';
import { didYouMean } from './suggest.ts';

/** What happens to a field that is known but has no meaning in Weir. */
export type Note =
  | { readonly kind: 'ignored'; readonly why: string }
  | { readonly kind: 'misplaced'; readonly why: string }
  | { readonly kind: 'unsupported'; readonly why: string; readonly harmless: readonly unknown[] };

export type Notes = Readonly<Record<string, Note>>;

/** Accepted with a warning: leaving it out changes neither what runs nor what is allowed. */
export function ignored(why: string): Note {
  return { kind: 'ignored', why };
}

/**
 * Refused by name. `harmless`: values that mean the same as leaving the field out; 'empty' stands for {} and [].
 */
export function unsupported(options: { why?: string; harmless?: readonly unknown[] } = {}): Note {
  return { kind: 'unsupported', why: options.why ?? '', harmless: options.harmless ?? [] };
}

/** Refused by name: the field has a meaning, but in another place. */
export function misplaced(why: string): Note {
  return { kind: 'misplaced', why };
}

/** The same note for several fields. */
export function notesFor(names: readonly string[], note: Note): Notes {
  return Object.fromEntries(names.map((name) => [name, note]));
}

export interface ObjectOptions {
  readonly notes: Notes;
  /** 'absent': a field that is null is left out, as an API server does. 'refused': where "absent" means "everybody". */
  readonly nulls: 'absent' | 'refused';
  /** Of these fields exactly one must be there; none named: no such rule. */
  readonly exactlyOne: readonly string[];
  /** Of these fields one or more must be there. */
  readonly atLeastOne: readonly string[];
}

const DEFAULTS: ObjectOptions = { notes: {}, nulls: 'absent', exactlyOne: [], atLeastOne: [] };
/** A registry, because what is derived from a schema (with a description, say) keeps its entry. */
const optionsOf = z.registry<ObjectOptions>();

/** A zod object that refuses unknown fields, and knows the fields of `notes`. */
export function objectOf<Shape extends z.ZodRawShape>(shape: Shape, options: Partial<ObjectOptions> = {}) {
  const all: ObjectOptions = { ...DEFAULTS, ...options };
  const schema = z.strictObject(shape).superRefine((value, context) => {
    const reason = choiceProblem(Object.keys(value), all);
    if (reason !== undefined) context.addIssue({ code: 'custom', message: reason });
  });
  optionsOf.add(schema, all);
  return schema;
}

/** What was said of an object's fields, for those who write the schema in another language. */
export function objectOptions(schema: z.ZodType): ObjectOptions {
  return optionsOf.get(schema) ?? DEFAULTS;
}

function choiceProblem(present: readonly string[], { exactlyOne, atLeastOne }: ObjectOptions): string | undefined {
  const list = (names: readonly string[]): string => names.map(show).join(', ');
  const chosen = exactlyOne.filter((name) => present.includes(name));
  if (exactlyOne.length > 0 && chosen.length === 0) return `must have one of ${list(exactlyOne)}`;
  if (chosen.length > 1) return `has ${list(chosen)}, but only one of ${list(exactlyOne)} is possible`;
  if (atLeastOne.length > 0 && !atLeastOne.some((name) => present.includes(name))) {
    return `must have at least one of ${list(atLeastOne)}`;
  }
  return undefined;
}

/**
 * Goes through `value` along `schema`: reports unknown, unsupported and ignored fields. Returns a copy without them and
 * without nulls, for the schema to validate. `complete`: nothing was left out that the user meant.
 */
export function prune(
  schema: z.ZodType,
  value: unknown,
  at: { path: Path; report: Report },
): { kept: unknown; complete: boolean } {
  let complete = true;
  const refuse = (path: Path, reason: string): void => {
    complete = false;
    at.report.problem(path, reason);
  };
  const kept = walk(schema, value, at.path, { problem: refuse, warn: at.report.warn });
  return { kept, complete };
}

function walk(schema: z.ZodType, value: unknown, path: Path, report: Report): unknown {
  const inner = unwrap(schema);
  if (inner instanceof z.ZodArray && Array.isArray(value)) {
    return value.map((item, i) => walk(inner.element as z.ZodType, item, [...path, i], report));
  }
  if (!(inner instanceof z.ZodObject) || !isRecord(value)) return value;
  const shape = inner.shape as Readonly<Record<string, z.ZodType>>;
  const { notes, nulls } = objectOptions(inner);
  const kept: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(value)) {
    const known = Object.hasOwn(shape, name) ? shape[name] : undefined;
    if (known === undefined) reportField(name, member, { path: [...path, name], report, notes, shape });
    else if (member !== null || nulls === 'refused') kept[name] = walk(known, member, [...path, name], report);
  }
  return kept;
}

function reportField(
  name: string,
  value: unknown,
  at: { path: Path; report: Report; notes: Notes; shape: Readonly<Record<string, z.ZodType>> },
): void {
  const note = Object.hasOwn(at.notes, name) ? at.notes[name] : undefined;
  if (note === undefined) {
    // Names that would be refused anyway are no good advice, unless nothing else is near.
    const hint = didYouMean(name, Object.keys(at.shape)) || didYouMean(name, Object.keys(at.notes));
    at.report.problem(at.path, `unknown field ${show(name)}${hint || possible(Object.keys(at.shape))}`);
  } else if (note.kind === 'ignored') {
    if (value !== null) at.report.warn(at.path, `"${name}" is ignored: ${note.why}`);
  } else if (note.kind === 'misplaced') {
    at.report.problem(at.path, `"${name}" is not possible here: ${note.why}`);
  } else if (value !== null && !note.harmless.some((h) => (h === 'empty' ? isEmpty(value) : h === value))) {
    at.report.problem(at.path, `"${name}" is not supported yet${note.why === '' ? '' : `: ${note.why}`}`);
  }
}

/** More fields than these are looked up in a manual. */
const MAX_LISTED = 12;

function possible(names: readonly string[]): string {
  return names.length > MAX_LISTED ? '' : `: possible are ${names.map(show).join(', ')}`;
}

function unwrap(schema: z.ZodType): z.ZodType {
  let inner = schema;
  while (inner instanceof z.ZodOptional || inner instanceof z.ZodNullable) inner = inner.unwrap() as z.ZodType;
  return inner;
}

function isEmpty(value: unknown): boolean {
  return Array.isArray(value) ? value.length === 0 : isRecord(value) && Object.keys(value).length === 0;
}

/** A plain object, as YAML maps become. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
