// networking.k8s.io/v1 NetworkPolicy -> rules with nothing left to interpret. Unlike in Cilium policies an entry without
// peers, and an empty list of peers or ports, means everything.

import type { DirectionRule, PeerSelector, PolicyObject, PolicyRule, PortMatch, Requirement } from '../../model.ts';
import { show } from '../../schema/report.ts';
import { defineKind, type Source } from '../kind.ts';
import { lowerPlainSelector } from '../selector.ts';
import {
  kubernetesPolicySchema,
  type WrittenPeer,
  type WrittenPolicyPort,
  type WrittenSpec,
} from './network-policy-schema.ts';
import { cidrOf } from './peers.ts';
import { type Direction, inside, type Place } from './place.ts';
import { lowerPortText } from './ports.ts';
import { containsPrefix } from './prefix.ts';
import { IN_ANY_NAMESPACE, IN_THIS_CLUSTER, inNamespace, NAMESPACE_LABELS_PREFIX } from './selectors.ts';

type PolicyPlace = Place & { readonly namespace: string };

export const networkPolicyKind = defineKind({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  namespaced: true,
  schema: kubernetesPolicySchema,
  lower({ spec }, meta, { report, placeOf }: Source): PolicyObject {
    const place = { path: ['spec'], report, placeOf, namespace: meta.namespace };
    return { kind: 'NetworkPolicy', ...meta, rules: [lowerSpec(spec, place)] };
  },
});

function lowerSpec(spec: WrittenSpec, place: PolicyPlace): PolicyRule {
  const at = inside(place, 'podSelector');
  if (spec.podSelector === undefined) place.report.warn(at.path, 'is missing, and every pod of the namespace selected');
  const pods = lowerPlainSelector(spec.podSelector ?? {}, at);
  const ingress = (spec.ingress ?? []).map(({ from, ports }, i) =>
    lowerEntry({ field: 'from', peers: from, ports }, inside(place, 'ingress', i)),
  );
  const egress = (spec.egress ?? []).map(({ to, ports }, i) =>
    lowerEntry({ field: 'to', peers: to, ports }, inside(place, 'egress', i)),
  );
  const closed = directionOf(spec, place);
  return {
    on: 'endpoints',
    subject: { requirements: [...pods, inNamespace(place.namespace)] },
    ingress: closed('ingress', ingress),
    egress: closed('egress', egress),
    defaultDeny: {
      ingress: closed('ingress', ingress) !== undefined,
      egress: closed('egress', egress) !== undefined,
    },
  };
}

/**
 * The entries of a direction, or one for nobody if the types list the direction and it has none. Without types an API
 * server writes Ingress, and Egress where there are entries for it.
 */
function directionOf(
  { policyTypes = [], egress = [] }: WrittenSpec,
  place: PolicyPlace,
): (direction: Direction, entries: readonly DirectionRule[]) => readonly DirectionRule[] | undefined {
  const types = {
    ingress: policyTypes.length === 0 || policyTypes.includes('Ingress'),
    egress: policyTypes.length === 0 ? egress.length > 0 : policyTypes.includes('Egress'),
  };
  return (direction, entries) => {
    if (entries.length > 0) return entries;
    const nobody: DirectionRule = {
      peers: [],
      ports: 'all',
      deny: false,
      place: place.placeOf([...place.path, direction]),
    };
    return types[direction] ? [nobody] : undefined;
  };
}

interface Entry {
  readonly field: 'from' | 'to';
  readonly peers: readonly WrittenPeer[] | undefined;
  readonly ports: readonly WrittenPolicyPort[] | undefined;
}

function lowerEntry({ field, peers = [], ports = [] }: Entry, place: PolicyPlace): DirectionRule {
  const matches = ports.map((port, i) => lowerPort(port, inside(place, 'ports', i)));
  return {
    peers: peers.length === 0 ? 'any' : peers.flatMap((peer, i) => lowerPeer(peer, inside(place, field, i))),
    ports: matches.length === 0 ? 'all' : [{ ports: matches, l7: undefined, serverNames: [] }],
    deny: false,
    place: place.placeOf(place.path),
  };
}

function lowerPort({ port, endPort = 0, protocol = 'TCP' }: WrittenPolicyPort, place: Place): PortMatch {
  if (port === 0) place.report.warn([...place.path, 'port'], '0 stands for every port');
  return lowerPortText(String(port ?? 0), { endPort, protocol }, place);
}

function lowerPeer(peer: WrittenPeer, place: PolicyPlace): PeerSelector[] {
  if (peer.ipBlock) return lowerBlock(peer.ipBlock, peer, place);
  const { namespaceSelector, podSelector } = peer;
  const namespaces = namespaceSelector ? lowerNamespaces(namespaceSelector, place) : [inNamespace(place.namespace)];
  const pods = podSelector ? lowerPlainSelector(podSelector, inside(place, 'podSelector')) : [];
  return [{ kind: 'labels', selector: { requirements: [...namespaces, ...pods, IN_THIS_CLUSTER] } }];
}

/** Labels of namespaces are labels of their pods, under a prefix. */
function lowerNamespaces(selector: NonNullable<WrittenPeer['namespaceSelector']>, place: Place): Requirement[] {
  const written = lowerPlainSelector(selector, inside(place, 'namespaceSelector'));
  if (written.length === 0) return [IN_ANY_NAMESPACE];
  return written.map((requirement) => ({ ...requirement, key: `${NAMESPACE_LABELS_PREFIX}.${requirement.key}` }));
}

function lowerBlock(block: NonNullable<WrittenPeer['ipBlock']>, peer: WrittenPeer, place: Place): PeerSelector[] {
  for (const field of ['podSelector', 'namespaceSelector'] as const) {
    if (peer[field]) place.report.warn([...place.path, field], 'is ignored beside ipBlock: write a peer of its own');
  }
  const at = inside(place, 'ipBlock');
  const cidr = cidrOf(block.cidr, inside(at, 'cidr'));
  if (cidr === undefined) return [];
  const except = (block.except ?? []).flatMap((text, i) => {
    const inner = cidrOf(text, inside(at, 'except', i));
    if (inner && !containsPrefix(cidr, inner)) {
      at.report.warn([...at.path, 'except', i], `has no effect: ${show(text)} is not inside ${show(block.cidr)}`);
    }
    return inner ? [inner] : [];
  });
  return [{ kind: 'cidr', cidr, except }];
}
