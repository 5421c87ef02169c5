// What tests of policies share.

import assert from 'node:assert/strict';
import type { DirectionRule, PolicyRule, PortMatch, Requirement } from '../../model.ts';
import { accepted } from '../../testing.ts';

const HEAD = 'apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: alpha}\n';
const CLUSTER_HEAD = 'apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: p}\n';

export const SELECT_ALL = 'endpointSelector: {}\n';
export const IN_ALPHA = 'k8s:io.kubernetes.pod.namespace=alpha';
export const IN_CLUSTER = 'k8s:io.cilium.k8s.policy.cluster=default';

/** A policy "p" in the namespace "alpha". Its spec begins on line 5. */
export function policy(spec: string): string {
  return `${HEAD}spec:\n${spec.replace(/^/gm, '  ')}\n`;
}

/** A clusterwide policy "p". Its spec begins on line 5. */
export function clusterwide(spec: string): string {
  return `${CLUSTER_HEAD}spec:\n${spec.replace(/^/gm, '  ')}\n`;
}

/** The rule that a policy has, and the remarks on it. */
export function ruleOf(text: string): { rule: PolicyRule; warnings: readonly string[] } {
  const kind = /^kind: (\w+)$/m.exec(text)?.[1] as 'CiliumNetworkPolicy' | 'CiliumClusterwideNetworkPolicy';
  const { object, warnings } = accepted(kind, text);
  const [rule] = object.rules;
  assert.ok(rule && object.rules.length === 1);
  return { rule, warnings };
}

/** The one entry of a policy for all endpoints of "alpha". */
export function entryOf(
  direction: 'ingress' | 'egress',
  entry: string,
): { entry: DirectionRule; warnings: readonly string[] } {
  const { rule, warnings } = ruleOf(policy(`${SELECT_ALL}${direction}:\n- ${entry.replace(/\n/g, '\n  ')}`));
  const [only] = rule[direction] ?? [];
  assert.ok(only);
  return { entry: only, warnings };
}

/** A requirement as "source:key=value,value". */
export function requirementText({ source, key, operator, values }: Requirement): string {
  const sign = { In: '=', NotIn: '!=', Exists: ' exists', DoesNotExist: ' absent' }[operator];
  return `${source}:${key}${sign}${values.join(',')}`;
}

/** A port as "80-90/TCP" or "http/ANY". */
export function portText(match: PortMatch | undefined): string {
  if (match === undefined) return 'none';
  if (match.kind === 'name') return `${match.name}/${match.protocol}`;
  const range = match.endPort === match.port ? '' : `-${match.endPort}`;
  return `${match.port}${range}/${match.protocol}`;
}
