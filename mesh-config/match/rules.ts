// Which rules hold, given the patterns of each field that match.

import type { HttpRule } from '../model.ts';

export const FIELDS = ['method', 'path', 'host'] as const;
export type FieldName = (typeof FIELDS)[number];

/** A rule's pattern for a field that may be anything. */
const ANY = -1;

export interface RuleIndex {
  /** Distinct patterns of each field; a pattern's number is its place. */
  readonly patterns: Readonly<Record<FieldName, readonly string[]>>;
  /** Rules whose method, path and host are all among the given patterns, or free; ascending. Headers are not looked at. */
  find(methods: Int32Array, paths: Int32Array, hosts: Int32Array): Int32Array;
  /** The part of `find`'s result that can be the first: up to and with the first rule that asks for no header. */
  decisive(found: Int32Array): Int32Array;
  needsHeaders(rule: number): boolean;
  /** Whether the request has the headers that the rule asks for. */
  headersHold(rule: number, view: { header(nameLowerCase: string): string | undefined }): boolean;
}

interface Header {
  readonly name: string;
  readonly value: string | undefined;
}

/** Takes the rules apart. */
export function createRuleIndex(rules: readonly HttpRule[]): RuleIndex {
  const method = numberPatterns(rules.map((rule) => rule.method));
  const path = numberPatterns(rules.map((rule) => rule.path));
  const host = numberPatterns(rules.map((rule) => rule.host));
  const headers: readonly (readonly Header[])[] = rules.map((rule) =>
    rule.headers.map(({ name, value }) => ({ name: name.toLowerCase(), value })),
  );
  const needsHeaders = (rule: number): boolean => (headers[rule]?.length ?? 0) > 0;

  return {
    patterns: { method: method.distinct, path: path.distinct, host: host.distinct },
    find(methods, paths, hosts) {
      const methodSet = new Set(methods);
      const hostSet = new Set(hosts);
      const allowed = (of: Int32Array, set: ReadonlySet<number>, rule: number): boolean => {
        const pattern = of[rule] ?? ANY;
        return pattern === ANY || set.has(pattern);
      };
      const found: number[] = [];
      const consider = (candidates: readonly number[]): void => {
        for (const rule of candidates) {
          if (allowed(method.of, methodSet, rule) && allowed(host.of, hostSet, rule)) found.push(rule);
        }
      };
      consider(path.free);
      for (const pattern of paths) consider(path.rulesOf[pattern] ?? []);
      return Int32Array.from(found).sort();
    },
    decisive(found) {
      const sure = found.findIndex((rule) => !needsHeaders(rule));
      return sure < 0 ? found : found.slice(0, sure + 1);
    },
    needsHeaders,
    headersHold(rule, view) {
      const wanted = headers[rule];
      if (wanted === undefined) return false;
      for (let i = 0; i < wanted.length; i++) {
        const header = wanted[i];
        if (header === undefined) continue;
        const value = view.header(header.name);
        if (value === undefined || (header.value !== undefined && header.value !== value)) return false;
      }
      return true;
    },
  };
}

interface Numbered {
  readonly distinct: readonly string[];
  /** Pattern of each rule, or ANY. */
  readonly of: Int32Array;
  /** Rules of each pattern. */
  readonly rulesOf: readonly (readonly number[])[];
  /** Rules with ANY. */
  readonly free: readonly number[];
}

function numberPatterns(written: readonly string[]): Numbered {
  const numbers = new Map<string, number>();
  const of = new Int32Array(written.length);
  const rulesOf: number[][] = [];
  const free: number[] = [];
  for (const [rule, text] of written.entries()) {
    if (text === '') {
      of[rule] = ANY;
      free.push(rule);
      continue;
    }
    const number = numbers.get(text) ?? rulesOf.push([]) - 1;
    numbers.set(text, number);
    of[rule] = number;
    rulesOf[number]?.push(rule);
  }
  return { distinct: [...numbers.keys()], of, rulesOf, free };
}
