// A ruleset, read for one peer, in the words of the cases.

import { type L7Reading, readRuleset } from '#agent/policy/reading.ts';
import type { L7RuleLists } from '#agent/ruleset-rows.ts';
import type { Desired } from '#agent/tables.ts';
import { identity } from '#common/ids.ts';
import type { HttpRule, KafkaRule, NamePattern } from '#mesh-config/model.ts';
import { canonical, type L7Verdict, setOf } from './verdict.ts';

type ParserName = NonNullable<L7Reading['parser']>;

const PARSERS: readonly ParserName[] = ['http', 'kafka', 'generic', 'tls', 'dns'];

/** What the ruleset says of a peer's requests. Throws if it does not fit an entry that sends the peer to the proxy. */
export function requestsOf(desired: Pick<Desired, 'rulesets'>, id: number | undefined, peer: number): L7Verdict {
  const ruleset = desired.rulesets.get(String(id));
  if (!ruleset) throw new Error(`Cannot read ruleset ${id}: there is none`);
  const reading = readRuleset(ruleset, identity(peer));
  if (reading.refused) throw new Error(`Cannot read ruleset ${id}: it refuses the peer, whom its entry redirects`);
  const parser = reading.parser ?? PARSERS.find((one) => reading.denied.some((lists) => hasRules(lists, one)));
  if (parser === undefined) throw new Error(`Cannot read ruleset ${id}: no parser has rules`);
  const name =
    parser === 'generic' ? [reading, ...reading.denied].flatMap((lists) => lists.generic)[0]?.parser : parser;
  const denied = reading.denied.flatMap((lists) => rulesOf(lists, parser));
  return {
    parser: name ?? parser,
    wildcard: reading.wildcard,
    rules: setOf(rulesOf(reading, parser).map(canonical)),
    serverNames: setOf(reading.serverNames.map((one) => one.name)),
    denied: setOf(denied.map(canonical)),
  };
}

function hasRules(lists: L7RuleLists, parser: ParserName): boolean {
  return lists[parser === 'tls' ? 'serverNames' : parser].length > 0;
}

function rulesOf(lists: L7RuleLists, parser: ParserName): readonly object[] {
  switch (parser) {
    case 'http':
      return lists.http.map(httpRule);
    case 'kafka':
      return lists.kafka.map(kafkaRule);
    case 'dns':
      return lists.dns.map(nameRule);
    case 'generic':
      return lists.generic.flatMap(({ rule }) => (rule ? [rule] : []));
    case 'tls':
      return [];
  }
}

function httpRule({ method, path, host, headers, headerMatches = [] }: HttpRule): object {
  const texts = headers.map(({ name, value }) => (value === undefined ? name : `${name}: ${value}`));
  const matches = headerMatches.map(({ name, value = '', mismatch }) =>
    written({ name, value, mismatch: mismatch === 'FAIL' ? '' : mismatch }),
  );
  return {
    ...written({ method, path, host }),
    ...(texts.length > 0 ? { headers: texts } : {}),
    ...(matches.length > 0 ? { headerMatches: matches } : {}),
  };
}

function kafkaRule({ role, apiKey, apiVersion, clientId, topic }: KafkaRule): object {
  const version = apiVersion === undefined ? '' : String(apiVersion);
  return written({ role, apiKey, apiVersion: version, clientID: clientId, topic });
}

function nameRule(rule: NamePattern): object {
  return rule.kind === 'name' ? { matchName: rule.name } : { matchPattern: rule.pattern };
}

/** The fields that say something. */
function written(fields: Readonly<Record<string, string>>): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== ''));
}
