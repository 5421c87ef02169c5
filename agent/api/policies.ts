// Policies as people see them: what was written, whether it is in force, whom it selects, what came of it.

import type { ObjectProblem, PolicyRuleStatus, PolicyStatus } from '#api/node.ts';
import { type DirectionRule, objectKey, type PolicyObject } from '#mesh-config/model.ts';
import { splitKey } from '../explain/world.ts';
import { parseIdentityLabel } from '../identity/labels.ts';
import { matches } from '../policy/selector.ts';
import { HOST_ENDPOINT, type RuleOrigin, type Tables } from '../tables.ts';
import type { NodeProviders } from './providers.ts';

interface Counts {
  entries: number;
  hits: number;
}

/** What of the tables says something of policies, worked out once for all of them. */
interface Context {
  readonly tables: Tables;
  readonly providers: Pick<NodeProviders, 'policyHits' | 'policyRevisionOf'>;
  /** Counts by objectKey, and by objectKey, line and field. */
  readonly counts: ReadonlyMap<string, Counts>;
  readonly isCounted: boolean;
  readonly selection: (policy: PolicyObject) => readonly string[];
  /** Problems of objects that were refused, by objectKey. */
  readonly refused: ReadonlyMap<string, readonly ObjectProblem[]>;
}

const POLICY_KIND = /NetworkPolicy$/;

/** Every policy that is in force or was refused, by namespace and name. `namespace` '': of every one. */
export function policyStatuses(
  tables: Tables,
  providers: Pick<NodeProviders, 'policyHits' | 'policyRevisionOf'>,
  namespace: string,
): PolicyStatus[] {
  const hits = providers.policyHits();
  const context: Context = {
    tables,
    providers,
    counts: countEntries(tables, hits),
    isCounted: hits !== undefined,
    selection: createSelection(tables),
    refused: refusedPolicies(tables),
  };
  const keys = new Set([...context.refused.keys()]);
  for (const policy of tables.inputs.policies.values()) keys.add(objectKey(policy));
  return [...keys]
    .map((key) => statusOf(key, context))
    .filter((status) => namespace === '' || status.namespace === namespace)
    .sort((a, b) => (`${a.namespace}/${a.name} ${a.kind}` < `${b.namespace}/${b.name} ${b.kind}` ? -1 : 1));
}

function statusOf(key: string, context: Context): PolicyStatus {
  const { tables, providers, counts, isCounted } = context;
  const policy = tables.inputs.policies.get(key);
  const refusals = context.refused.get(key) ?? [];
  const place = policy?.origin ?? { file: refusals[0]?.file ?? '', line: refusals[0]?.line ?? 0 };
  const selects = policy ? context.selection(policy) : [];
  const isRefused = refusals.length > 0;
  return {
    ...splitKey(key),
    ...place,
    location: `${place.file}:${place.line}`,
    // A refused edit leaves the earlier policy in force; both facts are shown.
    status: !isRefused ? 'Valid' : policy === undefined ? 'Refused' : 'Refused (earlier version in force)',
    message: refusals.map(({ field, reason }) => `${field === '' ? '' : `${field}: `}${reason}`).join('; '),
    problems: [...refusals, ...(tables.objects.get(key)?.problems ?? [])],
    endpoints: selects.length,
    selects,
    directions: (['ingress', 'egress'] as const).filter((d) => policy?.rules.some((rule) => rule[d] !== undefined)),
    revision: (policy && !isRefused ? providers.policyRevisionOf(key) : undefined) ?? null,
    entries: counts.get(key)?.entries ?? 0,
    hits: isCounted ? (counts.get(key)?.hits ?? 0) : null,
    rules: policy ? rulesOf(key, policy, context) : [],
  };
}

/** Tells which endpoints of this node a policy selects, "namespace/name"; the node itself is HOST_ENDPOINT. */
export function createSelection({ desired }: Tables): (policy: PolicyObject) => readonly string[] {
  const endpoints = [...desired.enforcement.values()].map(({ endpoint, identity }) => ({
    endpoint,
    on: endpoint === HOST_ENDPOINT ? 'nodes' : 'endpoints',
    labels: (desired.identities.get(String(identity))?.labels ?? []).map(parseIdentityLabel),
  }));
  return ({ rules }) =>
    endpoints
      .filter(({ on, labels }) => rules.some((rule) => rule.on === on && matches(rule.subject, labels)))
      .map(({ endpoint }) => endpoint)
      .sort();
}

function rulesOf(key: string, policy: PolicyObject, { counts, isCounted }: Context): PolicyRuleStatus[] {
  const statusesOf = (direction: string, rules: readonly DirectionRule[] | undefined): PolicyRuleStatus[] =>
    (rules ?? []).map(({ place: { line, field }, deny }) => {
      const found = counts.get(ruleKey({ policy: key, line, field }));
      const hits = isCounted ? (found?.hits ?? 0) : null;
      return { line, field, direction, deny, entries: found?.entries ?? 0, hits };
    });
  return policy.rules.flatMap(({ ingress, egress }) => [
    ...statusesOf('ingress', ingress),
    ...statusesOf('egress', egress),
  ]);
}

function ruleKey({ policy, line, field }: Pick<RuleOrigin, 'policy' | 'line' | 'field'>): string {
  return `${policy} ${line} ${field}`;
}

/** An entry counts for each policy and each rule that is behind it. */
function countEntries({ desired }: Tables, hits: ReadonlyMap<string, number> | undefined): Map<string, Counts> {
  const counts = new Map<string, Counts>();
  const add = (key: string, used: number): void => {
    const known = counts.get(key) ?? { entries: 0, hits: 0 };
    counts.set(key, known);
    known.entries++;
    known.hits += used;
  };
  for (const [key, { cookie }] of desired.policy.entries()) {
    const behind = desired.cookies.get(String(cookie));
    const used = hits?.get(key) ?? 0;
    for (const policy of behind?.policies ?? []) add(policy, used);
    for (const rule of behind?.rules ?? []) add(ruleKey(rule), used);
  }
  return counts;
}

function refusedPolicies({ objects }: Tables): Map<string, readonly ObjectProblem[]> {
  const refused = new Map<string, ObjectProblem[]>();
  for (const row of objects.values()) {
    if (row.accepted) continue;
    for (const problem of row.problems) {
      const key = problem.object ?? '';
      if (problem.warning || !POLICY_KIND.test(splitKey(key).kind)) continue;
      refused.set(key, [...(refused.get(key) ?? []), problem]);
    }
  }
  return refused;
}
