// What a ruleset says: the requests that each peer may make on the ports of one key of the policy map.
//
//  1. Rules of one parser for a peer are a union, whichever selector, range or policy they come from.
//  2. What allows the same ports without rules of that parser lifts them: a plain allow of a peer or of wider ports, rules
//     of another parser. All requests are then allowed, and merely seen.
//  3. TLS names stay where the plain allow has the same selector and the same ports.
//  4. DNS rules are lifted only by what allows exactly the same ports. What is built in for want of default deny lifts
//     them too.
//  5. Two parsers for the same selector and the same ports, other than TLS names with HTTP or Kafka, do not lift each
//     other: each connection is decided by the rules of the parser that it turns out to need.
//  6. Requests that are denied are refused, whatever allows them. Peers that are denied get nothing.

import type { L7RuleLists, Parser, PeerRules } from '../ruleset-rows.ts';
import { type Cells, createCells, type Use } from './cells.ts';
import { type L4, l4Key } from './l4.ts';
import type { L7Part } from './rules.ts';
import type { CachedSelector } from './selector-cache.ts';

const PARSERS: readonly Parser[] = ['http', 'kafka', 'generic', 'tls', 'dns'];

/** The content of a ruleset from all uses that cover its key. */
export function rulesetContent(uses: readonly Use[]): readonly PeerRules[] {
  if (uses.some(({ item, part }) => part.kind === 'deny' && item.peers === 'any')) return [];
  const redirects = uses.filter(({ part }) => part.kind === 'redirect');
  const known = PARSERS.filter((parser) => redirects.some((use) => binds(use, parser)));
  const dns = dnsPeers(redirects);
  const rules: PeerRules[] = [];
  for (const [selector, group] of groups(uses)) {
    const peers = selector === 'any' ? selector : selector.sorted();
    if (peers.length === 0) continue;
    const allows = group.filter(({ part }) => part.kind === 'allow' || part.kind === 'redirect');
    const plain = allows.filter(({ part }) => part.kind === 'allow');
    const lifted = (use: Use, parser: Parser): boolean => lifts(use, parser, { group: allows, dns });
    rules.push({
      peers,
      wildcard: plain.length > 0,
      lifts: known.filter((parser) => allows.some((use) => lifted(use, parser))),
      ...ruleLists(group.filter(({ part }) => part.kind === 'redirect')),
      policies: [...new Set(plain.flatMap(({ item }) => item.origin?.policy ?? []))].sort(),
      refused: group.some(({ part }) => part.kind === 'deny'),
      denied: ruleLists(group.filter(({ part }) => part.kind === 'refuse')),
    });
    if (dns.size > 1) rules.push(...liftedDns(allows, peers, dns));
  }
  return rules;
}

type Peers = PeerRules['peers'];

/** Who has DNS rules, by the ports as they are written. */
function dnsPeers(redirects: readonly Use[]): ReadonlyMap<number, Peers> {
  const bySpan = Map.groupBy(
    redirects.filter((use) => binds(use, 'dns')),
    ({ part }) => part.span,
  );
  const peersOf = (uses: readonly Use[]): Peers => {
    if (uses.some(({ item }) => item.peers === 'any')) return 'any';
    const members = uses.flatMap(({ item }) =>
      item.peers === 'any' ? [] : item.peers.flatMap((peer) => peer.sorted()),
    );
    return [...new Set(members)].sort((a, b) => a - b);
  };
  return new Map([...bySpan].map(([span, uses]) => [span, peersOf(uses)]));
}

/** Rule 4 where DNS rules have different ports: only those who have the same ports in one of them are lifted. */
function liftedDns(allows: readonly Use[], peers: Peers, dns: ReadonlyMap<number, Peers>): readonly PeerRules[] {
  return [...dns].flatMap(([span, holders]) => {
    const same = allows.filter(({ part }) => part.span === span);
    const both = intersection(peers, holders);
    if (both.length === 0 || !same.some((use) => lifts(use, 'dns', { group: allows, dns: new Map([[span, both]]) })))
      return [];
    return [
      { ...NO_RULES, peers: both, wildcard: false, lifts: ['dns'], policies: [], refused: false, denied: NO_RULES },
    ];
  });
}

function intersection(a: Peers, b: Peers): Peers {
  if (a === 'any') return b;
  if (b === 'any') return a;
  const others = new Set(b);
  return a.filter((peer) => others.has(peer));
}

/** Uses by the selector that holds for their peers, in an order that does not depend on theirs. */
function groups(uses: readonly Use[]): readonly (readonly [CachedSelector | 'any', readonly Use[]])[] {
  const bySelector = new Map<CachedSelector | 'any', Use[]>();
  for (const use of uses) {
    for (const selector of use.item.peers === 'any' ? (['any'] as const) : use.item.peers) {
      const group = bySelector.get(selector);
      if (group) group.push(use);
      else bySelector.set(selector, [use]);
    }
  }
  return [...bySelector].sort(([a], [b]) => compare(a === 'any' ? '' : `=${a.key}`, b === 'any' ? '' : `=${b.key}`));
}

function binds({ part }: Use, parser: Parser): boolean {
  return part.l7?.parsers.includes(parser) ?? false;
}

function lifts(
  use: Use,
  parser: Parser,
  { group, dns }: { readonly group: readonly Use[]; readonly dns: ReadonlyMap<number, Peers> },
): boolean {
  if (binds(use, parser)) return false;
  if (!use.item.origin && use.item.peers === 'any') return true;
  const { l7, span } = use.part;
  const besideRules = group.some((other) => binds(other, parser) && other.part.span === span);
  if (parser === 'tls') return !besideRules; // 3
  if (parser === 'dns') return dns.size === 1 && dns.has(span) && !(l7 && besideRules); // 4, 5
  const isTlsOnly = l7?.parsers.every((other) => other === 'tls') ?? false;
  return !l7 || (isTlsOnly && parser !== 'generic') || !besideRules; // 2, 5
}

const NO_RULES: L7RuleLists = { http: [], kafka: [], dns: [], generic: [], serverNames: [] };

function ruleLists(uses: readonly Use[]): L7RuleLists {
  if (uses.length === 0) return NO_RULES;
  const said = uses.flatMap(({ item, part }) => (part.l7 ? [{ l7: part.l7, policy: item.origin?.policy ?? '' }] : []));
  const of = <K extends NonNullable<L7Part['rules']>['kind'], T extends object>(
    kind: K,
    map: (rules: Extract<L7Part['rules'], { kind: K }>) => readonly T[],
  ): readonly (T & { readonly policy: string })[] =>
    unique(
      said.flatMap(({ l7, policy }) =>
        l7.rules?.kind === kind
          ? map(l7.rules as Extract<L7Part['rules'], { kind: K }>).map((rule) => ({ ...rule, policy }))
          : [],
      ),
    );
  return {
    http: of('http', ({ rules }) => rules),
    kafka: of('kafka', ({ rules }) => rules),
    dns: of('dns', ({ rules }) => rules),
    generic: of('generic', ({ parser, rules }) =>
      (rules.length === 0 ? [undefined] : rules).map((rule) => ({ parser, rule })),
    ),
    serverNames: unique(said.flatMap(({ l7, policy }) => l7.serverNames.map((name) => ({ name, policy })))),
  };
}

function unique<T>(list: readonly T[]): readonly T[] {
  if (list.length < 2) return list;
  const byText = new Map(list.map((element) => [JSON.stringify(element), element]));
  return [...byText].sort(([a], [b]) => compare(a, b)).map(([, element]) => element);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** No key of a ruleset. */
export const NO_RULESETS: ReadonlySet<number> = new Set();

/** Contents of the rulesets of one plan, made when they are asked for. */
export function createContents(): {
  /** How many have been asked for. */
  readonly size: number;
  get(l4: L4): readonly PeerRules[];
  /** Forgets those with members of the selectors. Returns where (l4Key) they are. */
  forget(selectors: ReadonlySet<CachedSelector>): ReadonlySet<number>;
  /** Goes on with other cells. */
  reset(cells: () => Cells): ReadonlySet<number>;
} {
  interface Content {
    readonly l4: L4;
    readonly uses: readonly Use[];
    readonly rules: readonly PeerRules[];
    readonly on: ReadonlySet<CachedSelector>;
  }
  const known = new Map<number, Content>();
  let cells = (): Cells => createCells([]);
  return {
    get size() {
      return known.size;
    },
    get(l4) {
      const at = l4Key(l4);
      let content = known.get(at);
      if (!content) {
        const uses = cells().covering(l4);
        const on = new Set(uses.flatMap(({ item }) => (item.peers === 'any' ? [] : item.peers)));
        content = { l4, uses, rules: rulesetContent(uses), on };
        known.set(at, content);
      }
      return content.rules;
    },
    forget(selectors) {
      const stale = new Set<number>();
      for (const [at, { on }] of known) if (!selectors.isDisjointFrom(on)) stale.add(at);
      for (const at of stale) known.delete(at);
      return stale;
    },
    reset(next) {
      cells = next;
      if (known.size === 0) return NO_RULESETS;
      const stale = new Set<number>();
      for (const [at, { l4, uses }] of known) if (!areSameUses(uses, next().covering(l4))) stale.add(at);
      for (const at of stale) known.delete(at);
      return stale;
    },
  };
}

/** Whether the same items say the same, in the same order. */
function areSameUses(a: readonly Use[], b: readonly Use[]): boolean {
  return a.length === b.length && a.every(({ item, part }, i) => item === b[i]?.item && part === b[i]?.part);
}
