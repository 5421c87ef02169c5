// From parsed policies to the statements that compute works with: peers and ports resolved against the world as it is.

import type { DirectionRule, L7Rules, PolicyObject, PolicyRule, PortRule, Selector } from '#mesh-config/model.ts';
import type { Parser } from '../ruleset-rows.ts';
import type { RuleOrigin } from '../tables.ts';
import { expandSpan, type L4, L4_ALL, type PortSpan, portSpans, protocolNumbers, spanKey } from './l4.ts';
import { hasPort, type PortNames } from './named-ports.ts';
import { resolvePeers } from './peers.ts';
import { narrowed } from './selector.ts';
import type { CachedSelector } from './selector-cache.ts';
import { type Mention, WATCH, type World } from './world.ts';

export type Direction = 'ingress' | 'egress';
export const DIRECTIONS: readonly Direction[] = ['ingress', 'egress'];

/** What a part says: 'refuse' lets nothing pass by itself, and takes requests away from what else is allowed. */
export type PartKind = 'allow' | 'deny' | 'redirect' | 'refuse';

/** Requests on a port. */
export interface L7Part {
  readonly rules: L7Rules | undefined;
  readonly serverNames: readonly string[];
  /** The parsers whose rules these are. */
  readonly parsers: readonly Parser[];
}

/** One key of the policy map that an item speaks of. */
export interface Part {
  readonly l4: L4;
  /** Equal for parts of equal ports, as they were written. */
  readonly span: number;
  readonly kind: PartKind;
  readonly l7: L7Part | undefined;
}

/** "These peers may (not) be reached like this": one list item of a rule, or a part of it. */
export interface Item {
  readonly id: number;
  readonly peers: 'any' | readonly CachedSelector[];
  readonly parts: readonly Part[];
  readonly wantsProxy: boolean;
  /** undefined: built in. */
  readonly origin: RuleOrigin | undefined;
}

/** What a rule says of one direction. Without items it only turns enforcement on. */
export interface CompiledDirection {
  readonly items: readonly Item[];
  readonly defaultDeny: boolean;
}

/** Where a rule comes from: a policy of the cluster, or of a namespace. */
export type Layer = 'cluster' | 'namespace';

export interface CompiledRule {
  readonly id: number;
  readonly layer: Layer;
  readonly on: PolicyRule['on'];
  readonly subject: CachedSelector;
  readonly directions: Readonly<Record<Direction, CompiledDirection | undefined>>;
}

/** A policy with everything that it holds until `releasePolicy`. */
export interface CompiledPolicy {
  readonly rules: readonly CompiledRule[];
  readonly mentions: readonly Mention[];
  /** It has to be compiled anew when one of these changes. */
  readonly watches: ReadonlySet<string>;
}

/** Where selectors are kept: those of endpoints and peers, and those of nodes. */
export interface CompileContext {
  readonly world: World;
  readonly ports: PortNames;
  acquire(selector: Selector, on: PolicyRule['on']): CachedSelector;
  release(selector: CachedSelector, on: PolicyRule['on']): void;
  nextId(): number;
}

/** Span of an item without ports: no port match is equal to it. */
const ALL_PORTS = -1;

/** Compiles the rules of the policy `key` (objectKey). */
export function compilePolicy(key: string, policy: PolicyObject, context: CompileContext): CompiledPolicy {
  const held = { mentions: [] as Mention[], watches: new Set<string>() };
  const rules = policy.rules.flatMap((rule) => {
    const origin = { policy: key, file: policy.origin.file };
    const ingress = compileDirection(rule, 'ingress', { ...context, held, origin });
    const egress = compileDirection(rule, 'egress', { ...context, held, origin });
    const make = (subject: Selector, directions: CompiledRule['directions']): CompiledRule => ({
      id: context.nextId(),
      layer: policy.namespace === '' ? 'cluster' : 'namespace',
      on: rule.on,
      subject: context.acquire(subject, rule.on),
      directions,
    });
    return [
      make(rule.subject, { ingress: ingress?.main, egress: egress?.main }),
      // At ingress a port name means something else for each subject: those with a number are spoken to apart.
      ...(ingress?.byPort ?? []).map(({ requirement, direction }) =>
        make(narrowed(rule.subject, requirement), { ingress: direction, egress: undefined }),
      ),
    ];
  });
  for (const mention of held.mentions) context.world.hold(mention);
  return { rules, ...held };
}

/** Gives back what a policy holds. */
export function releasePolicy(policy: CompiledPolicy, context: CompileContext): void {
  for (const rule of policy.rules) {
    context.release(rule.subject, rule.on);
    for (const direction of DIRECTIONS) {
      for (const { peers } of rule.directions[direction]?.items ?? []) {
        if (peers !== 'any') for (const peer of peers) context.release(peer, 'endpoints');
      }
    }
  }
  for (const mention of policy.mentions) context.world.release(mention);
}

interface Compiling extends CompileContext {
  readonly held: { readonly mentions: Mention[]; readonly watches: Set<string> };
  readonly origin: Pick<RuleOrigin, 'policy' | 'file'>;
}
interface CompiledSides {
  readonly main: CompiledDirection;
  readonly byPort: readonly {
    readonly requirement: ReturnType<typeof hasPort>;
    readonly direction: CompiledDirection;
  }[];
}

function compileDirection(rule: PolicyRule, direction: Direction, context: Compiling): CompiledSides | undefined {
  const written = rule[direction];
  if (written === undefined) return undefined;
  const defaultDeny = rule.defaultDeny[direction];
  const items: Item[] = [];
  const byPort: CompiledSides['byPort'][number][] = [];
  for (const item of written) {
    const { selectors, mentions, watches } = resolvePeers(item.peers, context.world.inputs);
    context.held.mentions.push(...mentions);
    for (const watch of watches) context.held.watches.add(watch);
    const origin = { ...context.origin, ...item.place };
    const make = (peers: 'any' | readonly Selector[], parts: readonly Part[]): Item => ({
      id: context.nextId(),
      peers:
        peers === 'any'
          ? 'any'
          : unique(
              peers.map((peer) => context.acquire(peer, 'endpoints')),
              context,
            ),
      parts,
      wantsProxy: parts.some(({ kind }) => kind === 'redirect' || kind === 'refuse'),
      origin,
    });
    const { numbered, named } = partsOf(item, context);
    items.push(make(selectors, numbered));
    for (const { requirement, parts } of named) {
      if (direction === 'ingress') {
        byPort.push({ requirement, direction: { items: [make(selectors, parts)], defaultDeny } });
      } else {
        const peers = selectors === 'any' ? [{ requirements: [] }] : selectors;
        items.push(
          make(
            peers.map((peer) => narrowed(peer, requirement)),
            parts,
          ),
        );
      }
    }
  }
  return { main: { items, defaultDeny }, byPort };
}

/** The same selector twice is one peer. */
function unique(selectors: readonly CachedSelector[], context: CompileContext): readonly CachedSelector[] {
  const seen = new Set<CachedSelector>();
  for (const selector of selectors) {
    if (seen.has(selector)) context.release(selector, 'endpoints');
    seen.add(selector);
  }
  return [...seen];
}

interface Parts {
  readonly numbered: readonly Part[];
  readonly named: readonly { readonly requirement: ReturnType<typeof hasPort>; readonly parts: readonly Part[] }[];
}

function partsOf(item: DirectionRule, context: Compiling): Parts {
  if (item.ports === 'all') {
    return {
      numbered: [{ l4: L4_ALL, span: ALL_PORTS, kind: item.deny ? 'deny' : 'allow', l7: undefined }],
      named: [],
    };
  }
  const numbered: Part[] = [];
  const named = new Map<string, Parts['named'][number] & { readonly parts: Part[] }>();
  for (const rule of item.ports) {
    const l7 = l7PartOf(rule);
    const kind = item.deny ? (l7 ? 'refuse' : 'deny') : l7 ? 'redirect' : 'allow';
    const cut = (span: PortSpan): Part[] => expandSpan(span).map((l4) => ({ l4, span: spanKey(span), kind, l7 }));
    for (const match of rule.ports) {
      if (match.kind === 'number') {
        numbered.push(...portSpans(match).flatMap(cut));
        continue;
      }
      for (const protocol of protocolNumbers(match.protocol)) {
        const name = `${protocolName(protocol)} ${match.name}`;
        context.held.watches.add(WATCH.ports(name));
        for (const number of context.ports.numbers(name)) {
          if (number.ambiguous && !item.deny) continue;
          const requirement = hasPort(name, number);
          const key = `${requirement.key}=${number.port}`;
          const own = named.get(key) ?? { requirement, parts: [] };
          own.parts.push(...cut({ protocol, port: number.port, endPort: number.port }));
          named.set(key, own);
        }
      }
    }
  }
  return { numbered, named: [...named.values()] };
}

function protocolName(protocol: number): string {
  return protocol === 6 ? 'TCP' : protocol === 17 ? 'UDP' : 'SCTP';
}

function l7PartOf({ l7: rules, serverNames }: PortRule): L7Part | undefined {
  const parsers: Parser[] = [...(rules ? [rules.kind] : []), ...(serverNames.length > 0 ? (['tls'] as const) : [])];
  return parsers.length === 0 ? undefined : { rules, serverNames, parsers };
}
