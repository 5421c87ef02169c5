// cilium.io/v2 CiliumNetworkPolicy -> rules with nothing left to interpret.
// Cases that are easily taken for one another (Cilium's pkg/policy/api/rule_validation.go, ingress.go):
//   direction absent or []       not spoken of
//   item {}                      nobody, but the direction is spoken of
//   item with ports only         everybody, on those ports
//   item with an empty peer list nobody
//   toPorts absent or []         every port

import type { DirectionRule, Meta, PeerSelector, PolicyObject, PolicyRule, Requirement, Selector } from '../model.ts';
import { type Report, show } from '../schema/report.ts';
import type { Path } from '../yaml.ts';
import { defineKind } from './kind.ts';
import { lowerToPorts } from './policy-ports.ts';
import { policySchema, type WrittenRule, type WrittenToPorts } from './policy-schema.ts';
import { lowerSourcedSelector, type WrittenSelector } from './selector.ts';

const NAMESPACE_KEY = 'io.kubernetes.pod.namespace';
const NAMESPACE_LABELS_PREFIX = 'io.cilium.k8s.namespace.labels';
const CLUSTER_KEY = 'io.cilium.k8s.policy.cluster';
/** Name of this cluster in the labels of its pods. */
const CLUSTER = 'default';

interface Place {
  readonly path: Path;
  readonly report: Report;
  /** Namespace of the policy. */
  readonly namespace: string;
}

export const policyKind = defineKind({
  apiVersion: 'cilium.io/v2',
  kind: 'CiliumNetworkPolicy',
  namespaced: true,
  schema: policySchema,
  lower(value, meta, report): PolicyObject {
    const { spec, specs } = value;
    if (spec === undefined && (specs ?? []).length === 0) {
      report.problem(['spec'], 'required, unless "specs" has an entry');
    }
    const rules: PolicyRule[] = [];
    if (spec) rules.push(lowerRule(spec, placeOf(['spec'], meta, report)));
    (specs ?? []).forEach((rule, i) => {
      rules.push(lowerRule(rule, placeOf(['specs', i], meta, report)));
    });
    return { kind: 'CiliumNetworkPolicy', ...meta, rules };
  },
});

function placeOf(path: Path, meta: Meta, report: Report): Place {
  return { path, report, namespace: meta.namespace };
}

function inside(place: Place, ...steps: Path): Place {
  return { ...place, path: [...place.path, ...steps] };
}

function lowerRule(rule: WrittenRule, place: Place): PolicyRule {
  const ingress = (rule.ingress ?? []).map((item, i) =>
    lowerItem({ peers: item.fromEndpoints, toPorts: item.toPorts }, 'fromEndpoints', inside(place, 'ingress', i)),
  );
  const egress = (rule.egress ?? []).map((item, i) =>
    lowerItem({ peers: item.toEndpoints, toPorts: item.toPorts }, 'toEndpoints', inside(place, 'egress', i)),
  );
  if (ingress.length === 0 && egress.length === 0) {
    place.report.problem(place.path, 'needs at least one entry in ingress or egress; [{}] denies everything');
  }
  const wanted = rule.enableDefaultDeny ?? {};
  for (const direction of ['ingress', 'egress'] as const) {
    const entries = direction === 'ingress' ? ingress : egress;
    if (wanted[direction] === true && entries.length === 0) {
      const path = [...place.path, 'enableDefaultDeny', direction];
      place.report.warn(path, `has no effect without entries in ${direction}; ${direction}: [{}] denies everything`);
    }
  }
  return {
    subject: lowerSubject(rule.endpointSelector, inside(place, 'endpointSelector')),
    ingress: ingress.length > 0 ? ingress : undefined,
    egress: egress.length > 0 ? egress : undefined,
    defaultDeny: {
      ingress: ingress.length > 0 && wanted.ingress !== false,
      egress: egress.length > 0 && wanted.egress !== false,
    },
  };
}

interface Item {
  readonly peers: readonly WrittenSelector[] | undefined;
  readonly toPorts: readonly WrittenToPorts[] | undefined;
}

function lowerItem(item: Item, field: 'fromEndpoints' | 'toEndpoints', place: Place): DirectionRule {
  const written = item.toPorts ?? [];
  const ports =
    written.length === 0 ? 'all' : written.map((rule, i) => lowerToPorts(rule, inside(place, 'toPorts', i)));
  if (item.peers === undefined) return { peers: ports === 'all' ? [] : 'any', ports, deny: false };
  const peers = item.peers.map(
    (selector, i): PeerSelector => ({ kind: 'labels', selector: lowerPeer(selector, inside(place, field, i)) }),
  );
  if (peers.length === 0) place.report.warn([...place.path, field], 'selects nobody: an empty list is no wildcard');
  return { peers, ports, deny: false };
}

/** A policy acts only inside its own namespace, whatever its selector says. */
function lowerSubject(written: WrittenSelector, place: Place): Selector {
  const forced: Requirement = { source: 'k8s', key: NAMESPACE_KEY, operator: 'In', values: [place.namespace] };
  const requirements = lowerSourcedSelector(written, place);
  const other = requirements.find(
    (r) => r.key === NAMESPACE_KEY && r.operator === 'In' && !r.values.includes(place.namespace),
  );
  if (other) {
    const values = other.values.map(show).join(', ');
    place.report.warn(
      place.path,
      `names the namespace ${values}, but a policy acts only in its own, "${place.namespace}"`,
    );
  }
  // matchLabels is a map: what the user wrote under the very same key is replaced, all else must hold too.
  const replaced = `k8s:${NAMESPACE_KEY}`;
  const kept = Object.hasOwn(written.matchLabels ?? {}, replaced)
    ? lowerSourcedSelector({ ...written, matchLabels: without(written.matchLabels ?? {}, replaced) }, silent(place))
    : requirements;
  return { requirements: [...kept, forced] };
}

/** Peers are looked for in the policy's namespace and in this cluster, unless the selector speaks of either. */
function lowerPeer(written: WrittenSelector, place: Place): Selector {
  const requirements = lowerSourcedSelector(written, place);
  if (requirements.some((r) => r.source === 'reserved')) return { requirements };
  const namesNamespace = requirements.some((r) => r.key === NAMESPACE_KEY || r.key.startsWith(NAMESPACE_LABELS_PREFIX));
  const namesCluster = requirements.some((r) => r.key === CLUSTER_KEY);
  if (!namesNamespace) {
    requirements.push({ source: 'k8s', key: NAMESPACE_KEY, operator: 'In', values: [place.namespace] });
  }
  if (!namesCluster) requirements.push({ source: 'k8s', key: CLUSTER_KEY, operator: 'In', values: [CLUSTER] });
  return { requirements };
}

function without(labels: Readonly<Record<string, string>>, key: string): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).filter(([name]) => name !== key));
}

/** The same place; what has been reported once is not reported again. */
function silent(place: Place): Place {
  return { ...place, report: { problem: () => {}, warn: () => {} } };
}
