// Kubernetes label selectors ("class in (a, b), org=empire, !debug") over labels of the form "source:key=value".

import { err, ok, type Result } from '#common/result.ts';
import { type Condition, conditionOfEach } from './filter-values.ts';
import type { Flow } from './model.ts';

interface Label {
  readonly source: string;
  readonly key: string;
  readonly value: string;
}

interface Requirement {
  readonly source: string; // 'any': every source
  readonly key: string;
  /** undefined: presence is enough. */
  readonly values: readonly string[] | undefined;
  readonly negated: boolean;
}

/** Any of the selectors holds for the labels that `read` gives. */
export function compileSelectors(
  values: readonly string[],
  read: (flow: Flow) => readonly string[] | undefined,
): Result<Condition, string> {
  const selectors: (readonly Requirement[])[] = [];
  for (const value of values) {
    const selector = parseSelector(value);
    if (!selector.ok) return selector;
    selectors.push(selector.value);
  }
  return conditionOfEach(selectors, (requirements) => (flow) => {
    const labels = (read(flow) ?? []).map(parseLabel);
    return labels.length > 0 && requirements.every((requirement) => holds(requirement, labels));
  });
}

/** Reads a selector; all of its requirements must hold. */
export function parseSelector(text: string): Result<readonly Requirement[], string> {
  const requirements: Requirement[] = [];
  // Commas separate requirements, except within the parentheses of a set.
  for (const part of text.split(/,(?![^()]*\))/)) {
    const requirement = parseRequirement(part.trim());
    if (requirement === undefined) return err(`"${text}" is not a label selector at "${part.trim()}"`);
    requirements.push(requirement);
  }
  return ok(requirements);
}

const KEY = '[A-Za-z0-9_./:-]+';
const SET = new RegExp(`^(${KEY})\\s+(in|notin)\\s*\\(([^)]*)\\)$`);
const EQUAL = new RegExp(`^(${KEY})\\s*(==|=|!=)\\s*([A-Za-z0-9_./:-]*)$`);
const EXISTS = new RegExp(`^(!?)\\s*(${KEY})$`);

function parseRequirement(text: string): Requirement | undefined {
  const set = SET.exec(text);
  if (set) {
    const values = (set[3] ?? '').split(',').map((value) => value.trim());
    return { ...parseKey(set[1] ?? ''), values, negated: set[2] === 'notin' };
  }
  const equal = EQUAL.exec(text);
  if (equal) return { ...parseKey(equal[1] ?? ''), values: [equal[3] ?? ''], negated: equal[2] === '!=' };
  const exists = EXISTS.exec(text);
  if (exists) return { ...parseKey(exists[2] ?? ''), values: undefined, negated: exists[1] === '!' };
  return undefined;
}

function parseKey(text: string): { source: string; key: string } {
  const colon = text.indexOf(':');
  return colon < 0 ? { source: 'any', key: text } : { source: text.slice(0, colon), key: text.slice(colon + 1) };
}

function parseLabel(text: string): Label {
  const equals = text.indexOf('=');
  const { source, key } = parseKey(equals < 0 ? text : text.slice(0, equals));
  return { source, key, value: equals < 0 ? '' : text.slice(equals + 1) };
}

function holds(requirement: Requirement, labels: readonly Label[]): boolean {
  const found = labels.some(
    (label) =>
      label.key === requirement.key &&
      (requirement.source === 'any' || requirement.source === label.source) &&
      (requirement.values === undefined || requirement.values.includes(label.value)),
  );
  return found !== requirement.negated;
}
