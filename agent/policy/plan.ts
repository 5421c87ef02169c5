// What all rules together say of one subject and direction, arranged so that the entries of one peer, or one ruleset,
// can be made without looking at the rest. The rules it keeps are numbered in precedence.ts.

import type { Identity } from '#common/ids.ts';
import type { HttpRule } from '#mesh-config/model.ts';
import type { PeerRules } from '../tables.ts';
import { type L4, l4Covers, l4Key } from './l4.ts';
import { type EntryKind, PRECEDENCE } from './precedence.ts';
import type { Contribution } from './rules.ts';
import type { CachedSelector } from './selector-cache.ts';

/** What a policy entry will say, whoever its peer is. */
export interface EntryTemplate {
  readonly l4: L4;
  readonly kind: EntryKind;
  /** "namespace/name" of the policies that said so, sorted; none: built in. */
  readonly policies: readonly string[];
}

export interface Plan {
  /** Selectors that appear as peers. */
  readonly selectors: ReadonlySet<CachedSelector>;
  /** The entries of a peer that exactly the `selected` selectors select; 'any': the any-peer entries. */
  templates(selected: readonly CachedSelector[] | 'any'): readonly EntryTemplate[];
  /** Content of the ruleset at `l4`. `everyone`: all known identities, read only where some peers are denied. */
  ruleset(l4: L4, everyone: () => Iterable<Identity>): readonly PeerRules[];
  /** Selectors that the content of the ruleset at `l4` depends on; 'all': on every identity there is. */
  rulesetSelectors(l4: L4): readonly CachedSelector[] | 'all';
}

interface Cell {
  readonly l4: L4;
  readonly contributions: Contribution[];
}

/** Arranges contributions. The order in which they are given does not matter. */
export function createPlan(contributions: readonly Contribution[]): Plan {
  const cells = new Map<number, Cell>();
  const selectors = new Set<CachedSelector>();
  for (const contribution of contributions) {
    const key = l4Key(contribution.l4);
    const cell = cells.get(key);
    if (cell) cell.contributions.push(contribution);
    else cells.set(key, { l4: contribution.l4, contributions: [contribution] });
    if (contribution.peer !== 'any') selectors.add(contribution.peer);
  }
  const covers = new Map<number, readonly Contribution[]>();
  const covering = (l4: L4): readonly Contribution[] => {
    const key = l4Key(l4);
    let cover = covers.get(key);
    if (!cover) {
      cover = l4Covers(l4).flatMap((wider) => cells.get(l4Key(wider))?.contributions ?? []);
      covers.set(key, cover);
    }
    return cover;
  };
  const memo = new Map<string, readonly EntryTemplate[]>();

  return {
    selectors,
    templates(selected) {
      const key =
        selected === 'any'
          ? 'any'
          : selected
              .map((s) => s.id)
              .sort((a, b) => a - b)
              .join();
      let templates = memo.get(key);
      if (!templates) {
        const own = new Set(selected === 'any' ? [] : selected);
        templates = [...cells.values()].flatMap((cell) => templateOf(cell, selected === 'any' ? 'any' : own, covering));
        memo.set(key, templates);
      }
      return templates;
    },
    ruleset: (l4, everyone) => rulesetContent(covering(l4), everyone),
    rulesetSelectors(l4) {
      const cover = covering(l4);
      if (cover.some((c) => c.kind === 'deny')) return 'all';
      return [...new Set(cover.flatMap((c) => (c.peer === 'any' ? [] : [c.peer])))];
    },
  };
}

function templateOf(
  cell: Cell,
  own: ReadonlySet<CachedSelector> | 'any',
  covering: (l4: L4) => readonly Contribution[],
): readonly EntryTemplate[] {
  const isOwn = (c: Contribution): boolean => c.peer !== 'any' && own !== 'any' && own.has(c.peer);
  const anyHere = cell.contributions.some((c) => c.peer === 'any');
  const ownHere = own === 'any' ? anyHere : cell.contributions.some(isOwn);
  // Rule 8: a redirect of the peer's own on wider ports must not hide what is said of any peer here.
  const wanted =
    ownHere || (own !== 'any' && anyHere && covering(cell.l4).some((c) => c.kind === 'redirect' && isOwn(c)));
  if (!wanted) return [];
  const said = covering(cell.l4).filter((c) => c.peer === 'any' || isOwn(c));
  const kind = strongest(said);
  const behind = said.filter((c) => (kind === 'deny') === (c.kind === 'deny') && c.policy !== '');
  return [{ l4: cell.l4, kind, policies: [...new Set(behind.map((c) => c.policy))].sort() }];
}

function strongest(said: readonly Contribution[]): EntryKind {
  let kind: EntryKind = 'allow';
  for (const c of said) if (PRECEDENCE[c.kind] > PRECEDENCE[kind]) kind = c.kind;
  return kind;
}

function rulesetContent(cover: readonly Contribution[], everyone: () => Iterable<Identity>): readonly PeerRules[] {
  const denied = new Set<Identity>();
  const byPeer = new Map<CachedSelector | 'any', Contribution[]>();
  for (const c of cover) {
    if (c.kind === 'deny') {
      if (c.peer === 'any') return [];
      for (const member of c.peer.members) denied.add(member);
      continue;
    }
    const list = byPeer.get(c.peer);
    if (list) list.push(c);
    else byPeer.set(c.peer, [c]);
  }
  const rules: PeerRules[] = [];
  const groups = [...byPeer].sort(([a], [b]) => compare(peerOrder(a), peerOrder(b)));
  for (const [peer, list] of groups) {
    const members = peer !== 'any' ? peer.members : denied.size > 0 ? everyone() : undefined;
    const identities = members && [...members].filter((id) => !denied.has(id)).sort((a, b) => a - b);
    if (identities?.length === 0) continue;
    rules.push({ peers: identities ?? 'any', ...whatIsAllowed(list) });
  }
  return rules;
}

function whatIsAllowed(list: readonly Contribution[]): Omit<PeerRules, 'peers'> {
  const http = new Map<string, HttpRule & { readonly policy: string }>();
  const policies = new Set<string>();
  let wildcard = false;
  for (const c of list) {
    for (const rule of c.http) http.set(JSON.stringify([c.policy, rule]), { ...rule, policy: c.policy });
    if (c.kind !== 'allow') continue;
    wildcard = true;
    if (c.policy !== '') policies.add(c.policy);
  }
  const sorted = [...http].sort(([a], [b]) => compare(a, b)).map(([, rule]) => rule);
  return { wildcard, http: sorted, policies: [...policies].sort() };
}

function peerOrder(peer: CachedSelector | 'any'): string {
  return peer === 'any' ? '' : peer.key;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
