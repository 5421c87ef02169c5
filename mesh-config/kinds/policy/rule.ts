// One `spec` of a Cilium policy. Directions that are easily taken for one another:
//   absent or []  not spoken of
//   [{}]          spoken of, and nobody allowed

import type { DirectionRule, PolicyRule } from '../../model.ts';
import type { WrittenEgress, WrittenIngress, WrittenRule } from './cilium-schema.ts';
import { lowerIcmps } from './icmp.ts';
import { lowerPeers } from './peers.ts';
import { type Direction, type EntryContext, inside, type Place, type RuleContext } from './place.ts';
import { lowerToPorts } from './ports.ts';
import { lowerNodeSubject, lowerSubject } from './selectors.ts';

type Entry = { readonly ingress: WrittenIngress } | { readonly egress: WrittenEgress };

/** A rule, its entries in the order written, those that allow before those that deny. */
export function lowerRule(rule: WrittenRule, place: Place & Pick<RuleContext, 'namespace' | 'nodePeers'>): PolicyRule {
  const { on, subject } = lowerSubjectOf(rule, place);
  const init = on === 'endpoints' && subject.requirements.some((r) => r.source === 'reserved' && r.key === 'init');
  const context: RuleContext = { ...place, on, init };
  const ingress = [
    ...entries('ingress', rule.ingress, context, (ingress) => ({ ingress })),
    ...entries('ingressDeny', rule.ingressDeny, context, (ingress) => ({ ingress })),
  ];
  const egress = [
    ...entries('egress', rule.egress, context, (egress) => ({ egress })),
    ...entries('egressDeny', rule.egressDeny, context, (egress) => ({ egress })),
  ];
  if (ingress.length === 0 && egress.length === 0) {
    const reason = 'needs an entry in ingress, ingressDeny, egress or egressDeny; ingress: [{}] lets nobody in';
    place.report.problem(place.path, reason);
  }
  if (rule.log !== undefined) place.report.warn([...place.path, 'log'], '"log" is ignored: flows do not carry it');
  return {
    on,
    subject,
    ingress: ingress.length > 0 ? ingress : undefined,
    egress: egress.length > 0 ? egress : undefined,
    defaultDeny: {
      ingress: defaultDeny('ingress', rule, { entries: ingress, place }),
      egress: defaultDeny('egress', rule, { entries: egress, place }),
    },
  };
}

function lowerSubjectOf(
  rule: WrittenRule,
  place: Place & Pick<RuleContext, 'namespace'>,
): Pick<PolicyRule, 'on' | 'subject'> {
  const nodes = 'nodeSelector' in rule ? rule.nodeSelector : undefined;
  if (nodes) return { on: 'nodes', subject: lowerNodeSubject(nodes, inside(place, 'nodeSelector')) };
  const at = inside(place, 'endpointSelector');
  return { on: 'endpoints', subject: lowerSubject(rule.endpointSelector ?? {}, place.namespace, at) };
}

/** Default deny holds where the rule has entries, unless the user says otherwise. */
function defaultDeny(
  direction: Direction,
  { enableDefaultDeny = {} }: WrittenRule,
  { entries, place }: { entries: readonly DirectionRule[]; place: Place },
): boolean {
  const wanted = enableDefaultDeny[direction];
  if (entries.length > 0) return wanted !== false;
  if (wanted === true) {
    const path = [...place.path, 'enableDefaultDeny', direction];
    place.report.warn(path, `has no effect without entries in ${direction}; ${direction}: [{}] denies everything`);
  }
  return false;
}

function entries<Written extends WrittenIngress | WrittenEgress>(
  field: 'ingress' | 'ingressDeny' | 'egress' | 'egressDeny',
  written: readonly Written[] | undefined,
  context: RuleContext,
  wrap: (entry: Written) => Entry,
): DirectionRule[] {
  const direction = field === 'ingress' || field === 'ingressDeny' ? 'ingress' : 'egress';
  const deny = field !== direction;
  return (written ?? []).map((entry, i) => {
    const place: EntryContext = { ...inside(context, field, i), direction, deny };
    return lowerEntry(entry, wrap(entry), place);
  });
}

function lowerEntry(written: WrittenIngress | WrittenEgress, entry: Entry, place: EntryContext): DirectionRule {
  const { toPorts = [], icmps = [] } = written;
  if (toPorts.length > 0 && icmps.length > 0) {
    place.report.problem([...place.path, 'icmps'], 'cannot stand beside toPorts: write an entry of its own for each');
  }
  const mode = 'authentication' in written ? written.authentication?.mode : undefined;
  if (mode !== undefined && mode !== 'disabled') {
    place.report.problem([...place.path, 'authentication'], `"authentication" is not supported yet: mode is "${mode}"`);
  }
  const ports =
    icmps.length > 0
      ? [lowerIcmps(icmps, inside(place, 'icmps'))]
      : toPorts.map((rule, i) => lowerToPorts(rule, inside(place, 'toPorts', i)));
  const peers = lowerPeers(entry, ports.length > 0, place);
  return { peers, ports: ports.length > 0 ? ports : 'all', deny: place.deny, place: place.placeOf(place.path) };
}
