// A verdict, expected or got: how it is compared and shown.

import type { Expectation } from './format.ts';

/** What the proxy is told, in the words of the cases. */
export interface L7Verdict {
  readonly parser: string;
  readonly wildcard: boolean;
  /** JSON texts, sorted, each once. */
  readonly rules: readonly string[];
  readonly serverNames: readonly string[];
  /** Requests that are refused though something allows them. */
  readonly denied: readonly string[];
}

/** What is said of one direction of a flow. */
export interface Verdict {
  readonly verdict: 'allow' | 'deny' | 'redirect';
  readonly reason: 'no-policy' | 'policy' | 'policy-deny' | 'default-deny';
  /** Of a redirect; undefined: not known to the one who was asked. */
  readonly l7?: L7Verdict | undefined;
  /** What decided, for people. */
  readonly by: string;
}

/** The expectation as a verdict; undefined: the reference gives none. */
export function expectedVerdict(expected: Expectation): Verdict | undefined {
  if (expected.verdict === 'error') return undefined;
  const { verdict, reason, by = [] } = expected;
  if (expected.verdict !== 'redirect') return { verdict, reason, by: by.join() };
  const { parser, wildcard, rules, serverNames, denied } = expected.l7;
  const texts = (list: typeof rules): readonly string[] =>
    setOf(list.map((rule) => canonical(asWritten(parser, rule))));
  const names = setOf(serverNames.map(lowerName));
  const l7 = { parser, wildcard, rules: texts(rules), serverNames: names, denied: texts(denied) };
  return { verdict, reason, l7, by: by.join() };
}

/**
 * Whether they say the same. What a wildcard lets pass is everything, so its rules do not matter. Requests that one side
 * does not know are not compared.
 */
export function agrees(expected: Verdict, got: Verdict): boolean {
  if (expected.verdict !== got.verdict || expected.reason !== got.reason) return false;
  const [a, b] = [expected.l7, got.l7];
  if (!a || !b) return true;
  if (a.parser !== b.parser || a.wildcard !== b.wildcard || !sameTexts(a.denied, b.denied)) return false;
  return a.wildcard || (sameTexts(a.rules, b.rules) && sameTexts(a.serverNames, b.serverNames));
}

/** "redirect/policy http [{"method":"GET"}]". */
export function showVerdict({ verdict, reason, l7 }: Verdict): string {
  const names = l7 && l7.serverNames.length > 0 ? ` names ${l7.serverNames.join(',')}` : '';
  const denied = l7 && l7.denied.length > 0 ? ` but not [${l7.denied.join(', ')}]` : '';
  const requests = l7 ? ` ${l7.parser}${l7.wildcard ? ' *' : ''} [${l7.rules.join(', ')}]${names}${denied}` : '';
  return `${verdict}/${reason}${requests}`;
}

/** JSON with the keys of objects in order. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

/** A rule as cases have it, which is as its author wrote it: what may be written in several ways is written in one. */
function asWritten(parser: string, rule: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const change = (field: string, to: (text: string) => unknown): object =>
    typeof rule[field] === 'string' ? { [field]: to(rule[field]) } : {};
  switch (parser) {
    case 'http':
      return { ...rule, ...(Array.isArray(rule.headers) ? { headers: rule.headers.map(headerText) } : {}) };
    case 'dns':
      return { ...rule, ...change('matchName', lowerName), ...change('matchPattern', lowerName) };
    case 'kafka':
      return {
        ...rule,
        ...change('apiKey', (text) => text.toLowerCase()),
        ...change('role', (text) => text.toLowerCase()),
      };
    default:
      return rule;
  }
}

/** "Name value" means "Name: value". */
function headerText(header: unknown): unknown {
  return typeof header === 'string' ? header.replace(/^([^ ]*[^ :]):* /, '$1: ') : header;
}

function lowerName(name: string): string {
  return name.toLowerCase().replace(/\.$/, '');
}

/** Sorted, each once. */
export function setOf(texts: readonly string[]): readonly string[] {
  return [...new Set(texts)].sort();
}

function sameTexts(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, i) => text === b[i]);
}
