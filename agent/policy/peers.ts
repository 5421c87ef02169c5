// Peers as users name them -> label selectors, with what must be known of the world for them.

import { type Cidr, familyOf, formatCidr } from '#common/ip.ts';
import type { CidrGroupObject, Entity, Labels, PeerSelector, Requirement, Selector } from '#mesh-config/model.ts';
import { CLUSTER_KEY, NAMESPACE_KEY } from '../identity/labels.ts';
import { patternKey } from '../identity/name-pattern.ts';
import { hasLabel, lacksLabel, matches, narrowed } from './selector.ts';
import { type Mention, SOURCE, WATCH, type World } from './world.ts';

/** What a list of peers stands for at the moment. */
export interface ResolvedPeers {
  readonly selectors: 'any' | readonly Selector[];
  readonly mentions: readonly Mention[];
  /** When one of these changes, the peers have to be resolved anew. */
  readonly watches: readonly string[];
}

type Resolved = Partial<ResolvedPeers>;

/** Name of this cluster in the labels of its pods. */
export const CLUSTER = 'default';

/** Resolves the peers of one rule. */
export function resolvePeers(peers: 'any' | readonly PeerSelector[], inputs: World['inputs']): ResolvedPeers {
  if (peers === 'any') return { selectors: 'any', mentions: [], watches: [] };
  const all = peers.map((peer) => resolvePeer(peer, inputs));
  const isAny = all.some((r) => r.selectors === 'any');
  return {
    selectors: isAny ? 'any' : all.flatMap((r) => (r.selectors === 'any' ? [] : (r.selectors ?? []))),
    mentions: all.flatMap((r) => r.mentions ?? []),
    watches: all.flatMap((r) => r.watches ?? []),
  };
}

function resolvePeer(peer: PeerSelector, inputs: World['inputs']): Resolved {
  switch (peer.kind) {
    case 'labels':
      return { selectors: [peer.selector], mentions: nodeMentions(peer.selector) };
    case 'entity':
      return { selectors: ENTITIES[peer.entity] };
    case 'cidr': {
      const mentions = [peer.cidr, ...peer.except].filter((cidr) => !isWholeFamily(cidr)).map(mentionOf);
      return { selectors: [except(inCidr(peer.cidr), peer.except)], mentions };
    }
    case 'cidrGroup':
      return resolveGroups(peer, inputs.cidrGroups);
    case 'fqdn': {
      const key = patternKey(peer.name);
      return { selectors: [one(hasLabel(SOURCE.name, key))], mentions: [{ kind: 'name', name: peer.name }] };
    }
    case 'service':
      return resolveServices(peer, inputs.services);
  }
}

const reserved = (name: string): Selector => one(hasLabel(SOURCE.reserved, name));
const cluster = (requirement: Omit<Requirement, 'source' | 'key'>): readonly Selector[] => [
  ...['host', 'remote-node', 'init', 'ingress', 'health', 'unmanaged', 'kube-apiserver'].map(reserved),
  one({ source: 'k8s', key: CLUSTER_KEY, ...requirement }),
];
const ENTITIES: Readonly<Record<Entity, 'any' | readonly Selector[]>> = {
  all: 'any',
  none: [],
  world: ['world', 'world-ipv4', 'world-ipv6'].map(reserved),
  'world-ipv4': [reserved('world-ipv4')],
  'world-ipv6': [reserved('world-ipv6')],
  cluster: cluster({ operator: 'In', values: [CLUSTER] }),
  'cluster-mesh': cluster({ operator: 'Exists', values: [] }),
  host: [reserved('host')],
  'remote-node': [reserved('remote-node')],
  'kube-apiserver': [reserved('kube-apiserver')],
  ingress: [reserved('ingress')],
  init: [reserved('init')],
  health: [reserved('health')],
  unmanaged: [reserved('unmanaged')],
};

function resolveGroups(
  peer: Extract<PeerSelector, { kind: 'cidrGroup' }>,
  groups: World['inputs']['cidrGroups'],
): Resolved {
  const byName = typeof peer.group === 'string';
  const found = typeof peer.group === 'string' ? [groups.get(peer.group)] : selected(groups.values(), peer.group);
  const names = typeof peer.group === 'string' ? [peer.group] : found.map((group) => group?.name ?? '');
  // A whole family is no prefix that addresses are labelled with: what is outside every other one has no row of its own.
  const whole = found.flatMap((group) => wholeFamilies(group)).map(inCidr);
  return {
    selectors: [...names.map((name) => one(hasLabel(SOURCE.cidrGroup, name))), ...whole].map((s) =>
      except(s, peer.except),
    ),
    mentions: [
      ...names.map((name): Mention => ({ kind: 'cidrGroup', name })),
      ...peer.except.filter((cidr) => !isWholeFamily(cidr)).map(mentionOf),
    ],
    watches: byName ? names.map(WATCH.group) : [WATCH.groups],
  };
}

function resolveServices(
  { namespace, service }: Extract<PeerSelector, { kind: 'service' }>,
  services: World['inputs']['services'],
): Resolved {
  if (typeof service !== 'string') {
    const found = selected(services.values(), service).filter((s) => namespace === '' || s.namespace === namespace);
    const all = found.map(behindService);
    return {
      selectors: all.flatMap((r) => r.selectors ?? []),
      mentions: all.flatMap((r) => r.mentions ?? []),
      watches: [WATCH.services],
    };
  }
  const key = `${namespace}/${service}`;
  const found = services.get(key);
  return { ...(found ? behindService(found) : {}), watches: [WATCH.service(key)] };
}

/** The pods that a service selects; without a selector, the addresses of its EndpointSlices. */
function behindService(service: {
  readonly namespace: string;
  readonly name: string;
  readonly selector: Labels | undefined;
}): { readonly selectors: readonly Selector[]; readonly mentions: readonly Mention[] } {
  const { namespace, name, selector } = service;
  if (selector === undefined || Object.keys(selector).length === 0) {
    const key = `${namespace}/${name}`;
    return { selectors: [one(hasLabel(SOURCE.service, key))], mentions: [{ kind: 'service', service: key }] };
  }
  const wanted = { ...selector, [NAMESPACE_KEY]: namespace, [CLUSTER_KEY]: CLUSTER };
  const requirements = Object.entries(wanted).map(
    ([key, value]): Requirement => ({ source: 'k8s', key, operator: 'In', values: [value] }),
  );
  return { selectors: [{ requirements }], mentions: [] };
}

/** Objects whose labels the selector matches, whatever source it names. */
function selected<T extends { readonly labels: Labels }>(objects: Iterable<T>, selector: Selector): T[] {
  const anySource = { requirements: selector.requirements.map((r) => ({ ...r, source: 'any' })) };
  return [...objects].filter((object) =>
    matches(
      anySource,
      Object.entries(object.labels).map(([key, value]) => ({ source: 'k8s', key, value })),
    ),
  );
}

/** Nodes get the labels that somebody asks for. */
function nodeMentions({ requirements }: Selector): readonly Mention[] {
  const keys = requirements.filter((r) => r.source === SOURCE.node).map((r) => r.key);
  return [...new Set(keys)].map((key) => ({ kind: 'nodeLabel', key }));
}

function inCidr(cidr: Cidr): Selector {
  return one(cidrLabel(cidr, hasLabel));
}

function except(selector: Selector, cidrs: readonly Cidr[]): Selector {
  return narrowed(selector, ...cidrs.map((cidr) => cidrLabel(cidr, lacksLabel)));
}

function cidrLabel(cidr: Cidr, requirement: typeof hasLabel): Requirement {
  if (isWholeFamily(cidr)) return requirement(SOURCE.reserved, `world-ipv${familyOf(cidr.address)}`);
  return requirement(SOURCE.cidr, formatCidr(cidr));
}

/** 0.0.0.0/0 or ::/0. */
export function isWholeFamily(cidr: Cidr): boolean {
  return cidr.bits === (familyOf(cidr.address) === 4 ? 96 : 0);
}

function wholeFamilies(group: CidrGroupObject | undefined): readonly Cidr[] {
  return (group?.cidrs ?? []).filter(isWholeFamily);
}

function mentionOf(cidr: Cidr): Mention {
  return { kind: 'cidr', cidr };
}

function one(requirement: Requirement): Selector {
  return { requirements: [requirement] };
}
