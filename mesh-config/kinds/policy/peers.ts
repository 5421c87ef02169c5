// The peers of one entry of a Cilium policy. Lists that are easily taken for one another:
//   no list at all, with ports     everybody
//   no list at all, without ports  nobody, but the direction is spoken of
//   an empty list                  nobody; toFQDNs alone is as if it were not there

import { type Cidr, formatCidr } from '#common/ip.ts';
import type { DirectionRule, PeerSelector } from '../../model.ts';
import { show } from '../../schema/report.ts';
import { lowerPlainSelector, lowerSourcedSelector } from '../selector.ts';
import type { WrittenEgress, WrittenIngress } from './cilium-schema.ts';
import { lowerName } from './name.ts';
import type { WrittenCidrRule, WrittenService } from './peer-schema.ts';
import { type EntryContext, inside, type Place } from './place.ts';
import { containsPrefix, parsePrefix } from './prefix.ts';
import { lowerNodePeer, lowerPeer } from './selectors.ts';

/** One list of peers. */
interface PeerList {
  readonly field: string;
  readonly length: number;
  readonly peers: readonly PeerSelector[];
}

type Lower<Written> = (written: Written, place: EntryContext) => readonly PeerSelector[];

/** Who the entry speaks of. `hasPorts`: it has a list of ports or ICMP types. */
export function lowerPeers(
  entry: { ingress: WrittenIngress } | { egress: WrittenEgress },
  hasPorts: boolean,
  place: EntryContext,
): DirectionRule['peers'] {
  const lists = 'ingress' in entry ? ingressLists(entry.ingress, place) : egressLists(entry.egress, place);
  const filled = lists.filter((list) => list.length > 0);
  const [first, second] = filled;
  if (first && second) {
    const reason = `cannot stand beside ${first.field}: write an entry of its own for each`;
    place.report.problem([...place.path, second.field], reason);
  }
  if (lists.length === 0) return hasPorts ? 'any' : [];
  for (const { field, length } of lists) {
    if (length === 0) place.report.warn([...place.path, field], 'selects nobody: an empty list is no wildcard');
  }
  return filled.flatMap((list) => list.peers);
}

function ingressLists(entry: WrittenIngress, place: EntryContext): PeerList[] {
  return [
    ...list('fromEndpoints', entry.fromEndpoints, place, lowerEndpoints),
    ...list('fromEntities', entry.fromEntities, place, (entity) => [{ kind: 'entity', entity }]),
    ...list('fromCIDR', entry.fromCIDR, place, lowerCidr),
    ...list('fromCIDRSet', entry.fromCIDRSet, place, lowerCidrRule),
    ...list('fromNodes', entry.fromNodes, place, lowerNodes),
    ...list('fromGroups', entry.fromGroups, place, refuseGroup),
  ];
}

function egressLists(entry: WrittenEgress, place: EntryContext): PeerList[] {
  const names = 'toFQDNs' in entry ? entry.toFQDNs : undefined;
  if (names?.length === 0) place.report.warn([...place.path, 'toFQDNs'], 'is empty, and as if it were not there');
  return [
    ...list('toEndpoints', entry.toEndpoints, place, lowerEndpoints),
    ...list('toEntities', entry.toEntities, place, (entity) => [{ kind: 'entity', entity }]),
    ...list('toCIDR', entry.toCIDR, place, lowerCidr),
    ...list('toCIDRSet', entry.toCIDRSet, place, lowerCidrRule),
    ...list('toServices', entry.toServices, place, lowerService),
    ...list('toNodes', entry.toNodes, place, lowerNodes),
    ...list('toGroups', entry.toGroups, place, refuseGroup),
    ...list('toFQDNs', names?.length === 0 ? undefined : names, place, (name) => [
      { kind: 'fqdn', name: lowerName(name) },
    ]),
  ];
}

function list<Written>(
  field: string,
  written: readonly Written[] | undefined,
  place: EntryContext,
  lower: Lower<Written>,
): PeerList[] {
  if (written === undefined) return [];
  const peers = written.flatMap((one, i) => lower(one, inside(place, field, i)));
  return [{ field, length: written.length, peers }];
}

const lowerEndpoints: Lower<Parameters<typeof lowerPeer>[0]> = (written, place) => [
  { kind: 'labels', selector: lowerPeer(written, place) },
];

const lowerNodes: Lower<Parameters<typeof lowerNodePeer>[0]> = (written, place) => {
  if (!place.nodePeers) {
    const reason =
      'selects nodes by their labels, which is switched off here: write the entity "remote-node" for all nodes';
    place.report.problem(place.path, reason);
  }
  return [{ kind: 'labels', selector: lowerNodePeer(written, place) }];
};

const lowerCidr: Lower<string> = (text, place) => {
  const cidr = cidrOf(text, place);
  return cidr === undefined ? [] : [{ kind: 'cidr', cidr, except: [] }];
};

const lowerCidrRule: Lower<WrittenCidrRule> = (written, place) => {
  const except = (written.except ?? []).flatMap((text, i) => cidrOf(text, inside(place, 'except', i)) ?? []);
  const { cidrGroupRef, cidrGroupSelector } = written;
  if (cidrGroupRef !== undefined) return [{ kind: 'cidrGroup', group: cidrGroupRef, except }];
  if (cidrGroupSelector !== undefined) {
    const requirements = lowerPlainSelector(cidrGroupSelector, inside(place, 'cidrGroupSelector'));
    return [{ kind: 'cidrGroup', group: { requirements }, except }];
  }
  const cidr = cidrOf(written.cidr ?? '', inside(place, 'cidr'));
  if (cidr === undefined) return [];
  except.forEach((inner, i) => {
    if (containsPrefix(cidr, inner)) return;
    const text = show(written.except?.[i]);
    place.report.problem([...place.path, 'except', i], `${text} is not inside ${show(written.cidr)}`);
  });
  return [{ kind: 'cidr', cidr, except }];
};

const lowerService: Lower<WrittenService> = ({ k8sService, k8sServiceSelector }, place) => {
  if (k8sServiceSelector) {
    const at = inside(place, 'k8sServiceSelector', 'selector');
    const service = { requirements: lowerSourcedSelector(k8sServiceSelector.selector, at) };
    return [{ kind: 'service', namespace: k8sServiceSelector.namespace ?? '', service }];
  }
  if (!k8sService) return [];
  const namespace = k8sService.namespace ?? place.namespace;
  const path = [...place.path, 'k8sService', 'namespace'];
  if (namespace === '') place.report.problem(path, 'required: a clusterwide policy has no namespace of its own');
  else if (k8sService.namespace === undefined) place.report.warn(path, `is missing and taken to be "${namespace}"`);
  return [{ kind: 'service', namespace, service: k8sService.serviceName }];
};

const refuseGroup: Lower<unknown> = (_written, place) => {
  const field = String(place.path.at(-2));
  place.report.problem(place.path, `"${field}" is not supported yet: write the prefixes as a CIDR set`);
  return [];
};

/** undefined: the schema has refused it, or this reports why. */
export function cidrOf(text: string, place: Place): Cidr | undefined {
  const parsed = parsePrefix(text);
  if (!parsed.ok) {
    place.report.problem(place.path, `${show(text)} ${parsed.error}`);
    return undefined;
  }
  const { cidr, masked } = parsed.value;
  if (masked)
    place.report.warn(place.path, `${show(text)} has bits after its length, which mean nothing: ${formatCidr(cidr)}`);
  return cidr;
}
