// A ruleset as it is for one peer: what people and tests are told, and what a proxy makes of it.

import type { Identity } from '#common/ids.ts';
import type { HttpRule } from '#mesh-config/model.ts';
import type { L7RuleLists, Parser, PeerRules, RulesetRow } from '../ruleset-rows.ts';

/** What the proxy does with a peer's connections on the ports of a ruleset. */
export interface L7Reading extends L7RuleLists {
  /** The strongest parser that has rules for the peer; undefined: none has. A generic one goes by its own name. */
  readonly parser: Parser | undefined;
  /** Every request that the parser reads is allowed. */
  readonly wildcard: boolean;
  /** Nothing is allowed. */
  readonly refused: boolean;
  readonly denied: readonly L7RuleLists[];
}

/** Strongest first. */
const STRENGTH: readonly Parser[] = ['http', 'kafka', 'generic', 'tls', 'dns'];

/** Puts together what a ruleset says of one peer. */
export function readRuleset(ruleset: Pick<RulesetRow, 'rules'>, peer: Identity): L7Reading {
  const own = ruleset.rules.filter(({ peers }) => peers === 'any' || peers.includes(peer));
  const parser = STRENGTH.find((candidate) => own.some((rules) => hasRules(rules, candidate)));
  const lifted = parser
    ? own.some((rules) => rules.lifts.includes(parser) || hasMatchAll(rules, parser))
    : own.some((rules) => rules.wildcard);
  return {
    parser,
    wildcard: lifted,
    refused: own.some((rules) => rules.refused) || own.length === 0,
    http: own.flatMap((rules) => rules.http),
    kafka: own.flatMap((rules) => rules.kafka),
    dns: own.flatMap((rules) => rules.dns),
    generic: own.flatMap((rules) => rules.generic),
    serverNames: own.flatMap((rules) => rules.serverNames),
    denied: own.map((rules) => rules.denied).filter((denied) => STRENGTH.some((p) => hasRules(denied, p))),
  };
}

function hasRules(rules: L7RuleLists, parser: Parser): boolean {
  return rules[parser === 'tls' ? 'serverNames' : parser].length > 0;
}

/** A rule without any condition; one on headers that only asks for something to happen counts as a condition too. */
function isAnyRequest({ method, path, host, headers, headerMatches = [] }: HttpRule): boolean {
  return method === '' && path === '' && host === '' && headers.length === 0 && headerMatches.length === 0;
}

function hasMatchAll(rules: PeerRules, parser: Parser): boolean {
  switch (parser) {
    case 'http':
      return rules.http.some(isAnyRequest);
    case 'kafka':
      return rules.kafka.some(
        (r) => r.role === '' && r.apiKey === '' && r.apiVersion === undefined && r.clientId === '' && r.topic === '',
      );
    case 'dns':
      return rules.dns.some((r) => r.kind === 'pattern' && /^\*+$/.test(r.pattern));
    case 'generic':
      return rules.generic.some((r) => r.rule === undefined);
    case 'tls':
      return false;
  }
}
