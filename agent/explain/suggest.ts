// The least policy under which everything that was observed still works: one object for each workload.

import { draftName, namespaceOf, peerFields, podSelector, portFields, quotePattern } from './draft.ts';
import type { Direction } from './lookup.ts';
import { type Conversation, type Observed, type ObservedParty, partyKey } from './observed.ts';
import type { Port } from './port.ts';

export interface SuggestOptions {
  /** Only pods of this namespace get a policy; '': of every one. */
  readonly namespace: string;
  /** Only these pods or workloads, by name or namespace/name; none: all. */
  readonly pods: readonly string[];
  readonly directions: readonly Direction[];
}

export interface Suggestion {
  /** CiliumNetworkPolicy objects. */
  readonly policies: readonly Plain[];
  /** What the policies do not cover, one sentence each. */
  readonly notes: readonly string[];
}

type Plain = Readonly<Record<string, unknown>>;

/** Who talked with the subject in one direction. */
interface Talk {
  readonly peer: ObservedParty;
  readonly port: Port;
  readonly requests: Conversation['requests'];
}

interface Subject {
  readonly party: ObservedParty;
  readonly talks: Record<Direction, Talk[]>;
}

/** More single addresses than this on one port become the whole world. */
const MAX_ADDRESSES = 16;
/** More paths of one form than this become a pattern. */
const MAX_PATHS = 8;
/** A path segment that only numbers something. */
const NUMBERING = /^(?:\d+|[0-9a-f]{8,}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/i;

/** Policies for the pods that were seen. */
export function suggest(observed: Observed, options: SuggestOptions): Suggestion {
  const subjects = new Map<string, Subject>();
  const notes: string[] = [];
  const add = (subject: ObservedParty, direction: Direction, talk: Talk): void => {
    if (!options.directions.includes(direction) || !isWanted(subject, options)) return;
    const known = subjects.get(partyKey(subject)) ?? { party: subject, talks: { ingress: [], egress: [] } };
    subjects.set(partyKey(subject), known);
    known.talks[direction].push(talk);
  };
  for (const { from, to, port, requests, unseen } of observed.conversations) {
    if (unseen && requests.length > 0 && (isWanted(from, options) || isWanted(to, options))) {
      const where = `${placeOf(from)} -> ${placeOf(to)} ${port.port}/${port.protocol}`;
      notes.push(`${where}: some connections were not looked into; only requests that were seen are allowed.`);
    }
    add(from, 'egress', { peer: to, port, requests });
    add(to, 'ingress', { peer: from, port, requests });
  }
  if (observed.unknown > 0) {
    notes.push(
      `${observed.unknown} flows are left out: they went to a service's address, or their ends were not known.`,
    );
  }
  const names = new Map<string, number>();
  const sorted = [...subjects.values()].sort((a, b) => (titleOf(a.party) < titleOf(b.party) ? -1 : 1));
  const policies = sorted.map((subject) => {
    const namespace = namespaceOf(subject.party.labels) ?? '';
    const name = draftName(subject.party.name);
    const used = (names.get(`${namespace}/${name}`) ?? 0) + 1;
    names.set(`${namespace}/${name}`, used);
    return policyOf(subject, { ...options, namespace, name: used === 1 ? name : `${name}-${used}`, notes });
  });
  return { policies, notes };
}

function titleOf({ labels, name }: ObservedParty): string {
  return `${namespaceOf(labels)}/${name} ${labels.join()}`;
}

function placeOf({ labels, name, address }: ObservedParty): string {
  const namespace = namespaceOf(labels);
  return namespace === undefined ? (address ?? labels.join()) : `${namespace}/${name}`;
}

function isWanted(party: ObservedParty, { namespace, pods }: SuggestOptions): boolean {
  const own = namespaceOf(party.labels);
  if (own === undefined || (namespace !== '' && own !== namespace)) return false;
  const names = [party.name, party.pod].flatMap((name) => [name, `${own}/${name}`]);
  return pods.length === 0 || pods.some((wanted) => names.includes(wanted));
}

function policyOf(
  { party, talks }: Subject,
  options: SuggestOptions & { readonly name: string; readonly notes: string[] },
): Plain {
  const { namespace, name, notes, directions } = options;
  const spec: Record<string, unknown> = { endpointSelector: podSelector(party.labels, namespace) };
  for (const direction of directions) {
    const rules = rulesOf(talks[direction], { direction, namespace, subject: `${namespace}/${party.name}`, notes });
    // Without an entry the direction would stay open; an empty one closes it.
    spec[direction] = rules.length > 0 ? rules : [{}];
  }
  return { apiVersion: 'cilium.io/v2', kind: 'CiliumNetworkPolicy', metadata: { name, namespace }, spec };
}

interface RuleContext {
  readonly direction: Direction;
  readonly namespace: string;
  readonly subject: string;
  readonly notes: string[];
}

// Ports of one peer first, then peers that have the same ports together.
function rulesOf(talks: readonly Talk[], context: RuleContext): Plain[] {
  const byPeer = Map.groupBy(gatherWorld(talks), ({ peer }) => partyKey(peer));
  const byPorts = new Map<string, { fields: Record<string, unknown[]>; ports: readonly Plain[] }>();
  for (const own of byPeer.values()) {
    const peer = own[0]?.peer;
    if (peer === undefined) continue;
    // The node always reaches its own pods.
    if (context.direction === 'ingress' && peer.labels.includes('reserved:host')) continue;
    const fields = peerFields({ direction: context.direction, peer }, context.namespace);
    if (fields === undefined) {
      context.notes.push(`${context.subject}: no policy can name the peer ${peer.labels.join(', ')}.`);
      continue;
    }
    const ports = portsOf(own);
    for (const [field, values] of Object.entries(fields)) {
      const key = `${field} ${JSON.stringify(ports)}`;
      const known = byPorts.get(key) ?? { fields: { [field]: [] }, ports };
      byPorts.set(key, known);
      known.fields[field]?.push(...(values as unknown[]));
    }
  }
  return [...byPorts.values()].flatMap(({ fields, ports }) => ports.map((port) => ({ ...unique(fields), ...port })));
}

function unique(fields: Readonly<Record<string, readonly unknown[]>>): Plain {
  return Object.fromEntries(
    Object.entries(fields).map(([name, values]) => {
      const texts = new Map(values.map((value) => [JSON.stringify(value), value]));
      return [name, [...texts.values()]];
    }),
  );
}

/** Many addresses on one port are the world: a policy of one-time addresses would be worth nothing tomorrow. */
function gatherWorld(talks: readonly Talk[]): readonly Talk[] {
  const isWorld = ({ peer }: Talk): boolean =>
    peer.labels.some((label) => label.startsWith('reserved:world')) && !peer.names?.length;
  const crowds = new Set(
    [...Map.groupBy(talks.filter(isWorld), ({ port }) => `${port.protocol} ${port.port}`)]
      .filter(([, own]) => own.length > MAX_ADDRESSES)
      .map(([port]) => port),
  );
  return talks.map((talk) => {
    if (!isWorld(talk) || !crowds.has(`${talk.port.protocol} ${talk.port.port}`)) return talk;
    const { labels, name, pod } = talk.peer;
    const world = labels.filter((label) => label.startsWith('reserved:world')).map(() => 'reserved:world');
    return { ...talk, peer: { labels: world, name, pod } };
  });
}

/** toPorts and icmps of one peer; they exclude each other in one rule. */
function portsOf(talks: readonly Talk[]): readonly Plain[] {
  const byPort = Map.groupBy(talks, ({ port }) => `${port.protocol} ${port.port}`);
  const rules = [...byPort.values()].flatMap((own) => {
    const port = own[0]?.port;
    if (port === undefined) return [];
    const requests = own.flatMap((talk) => talk.requests);
    return [{ port, http: httpRules(requests) }];
  });
  const [icmp, other] = [true, false].map((wanted) =>
    rules.filter(({ port }) => port.protocol.startsWith('ICMP') === wanted),
  );
  return [other, icmp].flatMap((group) => (group && group.length > 0 ? [portFields(group)] : []));
}

/** Method and path of requests. Queries are free; many paths that differ in what numbers them are one pattern. */
export function httpRules(
  requests: Conversation['requests'],
): readonly { readonly method: string; readonly path: string }[] {
  const forms = Map.groupBy(
    requests,
    ({ method, path }) => `${method} ${withoutQuery(path).split('/').map(formOf).join('/')}`,
  );
  const rules = new Map<string, { method: string; path: string }>();
  for (const own of forms.values()) {
    const distinct = new Set(own.map(({ path }) => withoutQuery(path)));
    for (const { method, path } of own) {
      const bare = withoutQuery(path);
      const isPattern = distinct.size > MAX_PATHS;
      const pattern = isPattern
        ? bare
            .split('/')
            .map((part) => (NUMBERING.test(part) ? '[^/?]+' : quotePattern(part)))
            .join('/')
        : quotePattern(bare);
      const hasQuery = own.some((one) => one.path.includes('?') && (isPattern || withoutQuery(one.path) === bare));
      const rule = { method, path: `${pattern}${hasQuery ? '(\\?.*)?' : ''}` };
      rules.set(JSON.stringify(rule), rule);
    }
  }
  return [...rules.values()];
}

function formOf(part: string): string {
  return NUMBERING.test(part) ? '*' : part;
}

function withoutQuery(path: string): string {
  return path.split('?', 1)[0] ?? path;
}
