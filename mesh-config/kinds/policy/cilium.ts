// cilium.io/v2 CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy -> rules with nothing left to interpret.

import type { Meta, PolicyKind, PolicyObject } from '../../model.ts';
import { defineKind, type Source } from '../kind.ts';
import { clusterwidePolicySchema, networkPolicySchema, type WrittenRule } from './cilium-schema.ts';
import { lowerRule } from './rule.ts';

export const ciliumPolicyKind = defineKind({
  apiVersion: 'cilium.io/v2',
  kind: 'CiliumNetworkPolicy',
  namespaced: true,
  schema: networkPolicySchema,
  lower: (value, meta, source) => lowerPolicy('CiliumNetworkPolicy', value, { meta, source }),
});

export const clusterwidePolicyKind = defineKind({
  apiVersion: 'cilium.io/v2',
  kind: 'CiliumClusterwideNetworkPolicy',
  namespaced: false,
  schema: clusterwidePolicySchema,
  lower: (value, meta, source) => lowerPolicy('CiliumClusterwideNetworkPolicy', value, { meta, source }),
});

interface Written {
  readonly spec?: WrittenRule | undefined;
  readonly specs?: readonly WrittenRule[] | undefined;
}

function lowerPolicy(
  kind: PolicyKind,
  { spec, specs = [] }: Written,
  { meta, source }: { meta: Meta; source: Source },
): PolicyObject {
  const { report, placeOf, options } = source;
  const { namespace } = meta;
  if (spec === undefined && specs.length === 0) report.problem(['specs'], 'must have an entry where "spec" is missing');
  const place = { report, placeOf, namespace, nodePeers: options.nodePeers };
  const rules = [
    ...(spec ? [lowerRule(spec, { ...place, path: ['spec'] })] : []),
    ...specs.map((rule, i) => lowerRule(rule, { ...place, path: ['specs', i] })),
  ];
  return { kind, ...meta, rules };
}
