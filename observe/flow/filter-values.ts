// How the values of filter fields are compared: one condition for each value, any of which may hold.

import { RE2JS } from 're2js';
import { type Cidr, covers, parseAddress, parseCidr } from '#common/ip.ts';
import { err, ok, type Result } from '#common/result.ts';
import type { Flow } from './model.ts';

export type Condition = (flow: Flow) => boolean;

/** Any of `make(value)` holds. */
export function conditionOfEach<T>(values: readonly T[], make: (value: T) => Condition): Result<Condition, string> {
  const conditions = values.map(make);
  return ok((flow) => conditions.some((holds) => holds(flow)));
}

/** What `read` gives is one of `values`. */
export function compileMembers<T>(
  values: readonly T[],
  read: (flow: Flow) => T | undefined,
): Result<Condition, string> {
  const set = new Set<T | undefined>(values);
  return ok((flow) => {
    const seen = read(flow);
    return seen !== undefined && set.has(seen);
  });
}

/** The address that `read` gives is one of `values`, or within one of them if they are prefixes. */
export function compileAddresses(
  values: readonly string[],
  read: (flow: Flow) => string | undefined,
): Result<Condition, string> {
  const prefixes: Cidr[] = [];
  for (const value of values) {
    const prefix = value.includes('/') ? parseCidr(value) : wholeAddress(value);
    if (!prefix.ok) return err(prefix.error);
    prefixes.push(prefix.value);
  }
  return ok((flow) => {
    const text = read(flow);
    const address = text === undefined ? undefined : parseAddress(text);
    return address?.ok === true && prefixes.some((prefix) => covers(prefix, { address: address.value, bits: 128 }));
  });
}

function wholeAddress(text: string): Result<Cidr, string> {
  const parsed = parseAddress(text);
  return parsed.ok ? ok({ address: parsed.value, bits: 128 }) : parsed;
}

/** One of the RE2 expressions is found anywhere in the text that `read` gives. */
export function compileRegex(
  values: readonly string[],
  read: (flow: Flow) => string | undefined,
): Result<Condition, string> {
  const expressions: RE2JS[] = [];
  for (const value of values) {
    try {
      expressions.push(RE2JS.compile(value));
    } catch (cause) {
      return err(`"${value}" is not a regular expression: ${(cause as Error).message}`);
    }
  }
  return ok((flow) => {
    const text = read(flow);
    return text !== undefined && expressions.some((expression) => expression.matcher(text).find());
  });
}
