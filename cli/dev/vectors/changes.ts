// Where Weir decides otherwise than the reference on purpose: cases by name, what Weir says instead, and why. A case that
// is not listed is held to the file.

import type { Expectation, ObjectCase } from './format.ts';

/** Objects that the reference refuses or accepts otherwise. `error` recognizes the same case under another name. */
interface ObjectChange {
  readonly accepted: boolean;
  readonly why: string;
  readonly error?: RegExp;
}

const OBJECTS: Readonly<Record<string, ObjectChange>> = {
  'l7-dns-port-range': {
    accepted: true,
    why: 'the ruleset of each key of a range has the DNS rules',
    error: /DNS rules do not support port ranges/,
  },
  'l7-in-ingressdeny': {
    accepted: true,
    why: 'requests are denied, too',
    error: /extra:\[spec\.(in|e)gressDeny\.\d+\.toPorts\.\d+\.rules\.(http|dns)\.[^\]]*\]/,
  },
  'l7-http-bad-host-regex': { accepted: false, why: 'the proxy could not match the host: the rule would mean nothing' },
};

/** Whether Weir accepts the object, and why, if the file says otherwise. */
export function objectExpectation(one: ObjectCase): { readonly accepted: boolean; readonly why?: string } {
  const change =
    OBJECTS[one.name] ??
    Object.values(OBJECTS).find(({ error }) => error?.test(`${one.error}\n${one.schemaError ?? ''}`));
  return change ?? { accepted: one.rejectedBy === 'none' };
}

/** Flows for which the reference gives an error because two rules cannot be merged for their endpoint. */
interface Decided {
  readonly why: string;
  /** By "from -> to direction". */
  readonly flows: Readonly<Record<string, Expectation>>;
}

const NO_POLICY: Expectation = { verdict: 'allow', reason: 'no-policy' };
const DENIED: Expectation = { verdict: 'deny', reason: 'default-deny' };

const DECIDED: Readonly<Record<string, Decided>> = {
  'conflict-http-dns-two-policies': {
    why: 'each connection is held to the rules of the protocol that it turns out to speak; others of the endpoint are not affected',
    flows: {
      'alpha/web -> alpha/api egress': redirect('http', { rules: [{ method: 'GET' }] }),
      'alpha/web -> alpha/db egress': DENIED,
      'alpha/api -> alpha/web ingress': NO_POLICY,
    },
  },
  'conflict-sni-dns-same-selector': {
    why: 'each connection is held to the rules of the protocol that it turns out to speak',
    flows: { 'alpha/web -> 192.0.2.10 egress': redirect('tls', { serverNames: ['www.example.com'] }) },
  },
};

function redirect(parser: string, l7: { rules?: Record<string, unknown>[]; serverNames?: string[] }): Expectation {
  const { rules = [], serverNames = [] } = l7;
  return { verdict: 'redirect', reason: 'policy', l7: { parser, wildcard: false, rules, serverNames, denied: [] } };
}

/** What is expected of Weir for a flow. 'error' is left where it decides by itself and nobody has said how. */
export function flowExpectation(
  caseName: string,
  flow: { readonly from: string; readonly to: string; readonly direction: string },
  expected: Expectation,
): Expectation {
  if (expected.verdict !== 'error') return expected;
  return DECIDED[caseName]?.flows[`${flow.from} -> ${flow.to} ${flow.direction}`] ?? expected;
}
