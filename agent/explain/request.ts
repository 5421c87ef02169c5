// What the proxy would do with a request, by the ruleset of one side: the pure twin of the proxy's enforcement.

import { compileHttpRules, type RequestView } from '#mesh-config/match/http.ts';
import type { HeaderMatch, HttpRule } from '#mesh-config/model.ts';
import type { L7RuleLists, PeerRules, RulesetRow } from '../ruleset-rows.ts';
import type { HttpRequest, RequestAnswer, RequestRules } from './model.ts';
import type { World } from './world.ts';

type PolicyRule = HttpRule & { readonly policy: string };

/** What a ruleset says of one peer. */
export function rulesForPeer(ruleset: RulesetRow, peer: number): readonly PeerRules[] {
  return ruleset.rules.filter(({ peers }) => peers === 'any' || (peers as readonly number[]).includes(peer));
}

/** All of it as texts, for people. */
export function describeRules(ruleset: RulesetRow, peer: number): RequestRules {
  const own = rulesForPeer(ruleset, peer);
  const parsers = Object.entries({ http: 0, kafka: 0, dns: 0, generic: 0 }).flatMap(([parser]) => {
    const kind = parser as 'http' | 'kafka' | 'dns' | 'generic';
    return own.some((rules) => rules[kind].length > 0) ? [parser] : [];
  });
  if (own.some((rules) => rules.serverNames.length > 0)) parsers.push('tls');
  return {
    parsers,
    everything:
      own.some((rules) => rules.wildcard) &&
      parsers.every((parser) => own.some((rules) => (rules.lifts as readonly string[]).includes(parser))),
    allowed: [...new Set(own.flatMap(ruleTexts))].sort(),
    refused: [...new Set(own.flatMap((rules) => ruleTexts(rules.denied)))].sort(),
  };
}

/** Whether the request of `peer` passes, and by which rule. */
export function answerRequest(
  request: HttpRequest,
  ruleset: RulesetRow,
  { peer, world }: { readonly peer: number; readonly world: World },
): RequestAnswer {
  const own = rulesForPeer(ruleset, peer);
  const names = (keys: readonly string[]) => [...new Set(keys)].filter((key) => key !== '').map(world.policy);
  if (own.some((rules) => rules.refused)) {
    return { verdict: 'deny', reason: 'a deny rule refuses every request of this peer', policies: [] };
  }
  const refusing = firstMatch(
    own.flatMap((rules) => rules.denied.http),
    request,
  );
  if (refusing) {
    const policies = names([refusing.policy]);
    return { verdict: 'deny', reason: 'a deny rule matches the request', rule: httpRuleText(refusing), policies };
  }
  const lifting = own.filter((rules) => rules.wildcard && liftsHttp(rules, ruleset));
  if (lifting.length > 0) {
    const policies = names(lifting.flatMap((rules) => rules.policies));
    return { verdict: 'allow', reason: 'every request of this peer passes', policies };
  }
  const rules = own.flatMap((one) => one.http);
  const allowing = firstMatch(rules, request);
  if (allowing) {
    const policies = names([allowing.policy]);
    return { verdict: 'allow', reason: 'a rule matches the request', rule: httpRuleText(allowing), policies };
  }
  const reason = rules.length === 0 ? 'no HTTP rule is for this peer' : 'no HTTP rule matches it';
  return { verdict: 'deny', reason, policies: names(rules.map((rule) => rule.policy)) };
}

/** A plain allow stands for every request unless HTTP rules bind although it is there. */
function liftsHttp(rules: PeerRules, ruleset: RulesetRow): boolean {
  return rules.lifts.includes('http') || !ruleset.rules.some((one) => one.http.length > 0);
}

function firstMatch(rules: readonly PolicyRule[], request: HttpRequest): PolicyRule | undefined {
  const possible = rules.filter((rule) => (rule.headerMatches ?? []).every((one) => headerHolds(one, request)));
  return possible.length === 0 ? undefined : possible[compileHttpRules(possible).match(viewOf(request))];
}

/** Only a mismatch that fails keeps a rule from matching; all others change or note the request. */
function headerHolds({ name, value, mismatch }: HeaderMatch, { headers }: HttpRequest): boolean {
  if (mismatch !== 'FAIL') return true;
  const found = headers.filter((header) => header.name.toLowerCase() === name.toLowerCase());
  return found.some((header) => value === undefined || header.value === value);
}

function viewOf({ method, path, host, headers }: HttpRequest): RequestView {
  const parts = [method, path, host].map((text) => Buffer.from(text));
  const [methodLength = 0, pathLength = 0, hostLength = 0] = parts.map((part) => part.length);
  const methodEnd = methodLength;
  const pathEnd = methodEnd + pathLength;
  const hostEnd = pathEnd + hostLength;
  return {
    buffer: Buffer.concat(parts),
    methodStart: 0,
    methodEnd,
    pathStart: methodEnd,
    pathEnd,
    hostStart: pathEnd,
    hostEnd,
    header: (name) => headers.find((header) => header.name.toLowerCase() === name)?.value,
  };
}

function ruleTexts(rules: L7RuleLists): string[] {
  return [
    ...rules.http.map(httpRuleText),
    ...rules.kafka.map((rule) => `kafka ${pairs({ ...rule, policy: '' })}`),
    ...rules.dns.map((rule) => `dns ${rule.kind === 'name' ? rule.name : rule.pattern}`),
    ...rules.generic.map(({ parser, rule }) => `${parser} ${rule ? pairs(rule) : 'everything it can read'}`),
    ...rules.serverNames.map(({ name }) => `server name ${name}`),
  ];
}

/** "GET /v1/.* host=a.example X-Token: *". */
export function httpRuleText({ method, path, host, headers, headerMatches = [] }: HttpRule): string {
  const words = [method || 'any method', path || 'any path', host && `host=${host}`];
  for (const { name, value } of headers) words.push(value === undefined ? `${name}: *` : `${name}: ${value}`);
  for (const { name, value, mismatch } of headerMatches) {
    words.push(`${name}${value === undefined ? '' : `=${value}`}${mismatch === 'FAIL' ? '' : ` (else ${mismatch})`}`);
  }
  return words.filter((word) => word !== '').join(' ');
}

function pairs(rule: Readonly<Record<string, unknown>>): string {
  const said = Object.entries(rule).filter(([, value]) => value !== '' && value !== undefined);
  return said.map(([key, value]) => `${key}=${value}`).join(' ');
}
