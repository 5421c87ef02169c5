import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { clusterwide, IN_ALPHA, IN_CLUSTER, policy, requirementText, ruleOf, SELECT_ALL } from './testing.ts';

interface Case {
  readonly name: string;
  readonly selector: string;
  readonly requirements: readonly string[];
}

const IN_ANY = 'k8s:io.kubernetes.pod.namespace exists';

const BOTH: readonly Case[] = [
  {
    name: 'may name another namespace',
    selector: '{matchLabels: {"k8s:io.kubernetes.pod.namespace": beta}}',
    requirements: ['k8s:io.kubernetes.pod.namespace=beta', IN_CLUSTER],
  },
  {
    name: 'may name a namespace without source',
    selector: '{matchLabels: {io.kubernetes.pod.namespace: beta}}',
    requirements: ['any:io.kubernetes.pod.namespace=beta', IN_CLUSTER],
  },
  {
    name: 'may ask for any namespace',
    selector: '{matchExpressions: [{key: "k8s:io.kubernetes.pod.namespace", operator: Exists}]}',
    requirements: [IN_ANY, IN_CLUSTER],
  },
  {
    name: 'of reserved labels is left alone',
    selector: '{matchLabels: {"reserved:host": ""}}',
    requirements: ['reserved:host='],
  },
];

const NAMESPACED: readonly Case[] = [
  { name: 'is bound to the namespace and the cluster', selector: '{}', requirements: [IN_ALPHA, IN_CLUSTER] },
  {
    name: 'knows sources of labels',
    selector: '{matchLabels: {app: a, "k8s:b": c, "any:d": ""}}',
    requirements: ['any:app=a', 'k8s:b=c', 'any:d=', IN_ALPHA, IN_CLUSTER],
  },
  {
    name: 'has expressions',
    selector: `{matchExpressions: [{key: a, operator: In, values: [x, y]}, {key: "k8s:b", operator: NotIn, values: [x]},
      {key: c, operator: Exists}, {key: d, operator: DoesNotExist, values: []}]}`,
    requirements: ['any:a=x,y', 'k8s:b!=x', 'any:c exists', 'any:d absent', IN_ALPHA, IN_CLUSTER],
  },
  {
    name: 'may go by labels of namespaces',
    selector: '{matchLabels: {io.cilium.k8s.namespace.labels.team: x}}',
    requirements: ['any:io.cilium.k8s.namespace.labels.team=x', IN_CLUSTER],
  },
  {
    name: 'may name the cluster',
    selector: '{matchLabels: {"k8s:io.cilium.k8s.policy.cluster": west}}',
    requirements: ['k8s:io.cilium.k8s.policy.cluster=west', IN_ALPHA],
  },
];

const CLUSTERWIDE: readonly Case[] = [
  { name: 'is bound to pods and the cluster', selector: '{}', requirements: [IN_ANY, IN_CLUSTER] },
  {
    name: 'that goes by labels of namespaces is bound to pods',
    selector: '{matchLabels: {io.cilium.k8s.namespace.labels.team: x}}',
    requirements: ['any:io.cilium.k8s.namespace.labels.team=x', IN_ANY, IN_CLUSTER],
  },
];

describe('the selector of peers', () => {
  const kinds = [
    { kind: 'in a namespace', write: policy, cases: [...NAMESPACED, ...BOTH] },
    { kind: 'in a clusterwide policy', write: clusterwide, cases: [...CLUSTERWIDE, ...BOTH] },
  ];
  for (const { kind, write, cases } of kinds) {
    for (const { name, selector, requirements } of cases) {
      test(`${kind} ${name}`, () => {
        const { rule } = ruleOf(
          write(`${SELECT_ALL}ingress: [{fromEndpoints: [${selector}]}]\negress: [{toEndpoints: [${selector}]}]`),
        );
        for (const entries of [rule.ingress, rule.egress]) {
          const peers = entries?.[0]?.peers;
          const peer = peers === 'any' ? undefined : peers?.[0];
          assert.ok(peer?.kind === 'labels');
          assert.deepEqual(peer.selector.requirements.map(requirementText), requirements);
        }
      });
    }
  }

  test('of a rule for endpoints without labels yet is bound to the cluster only', () => {
    const spec = 'endpointSelector: {matchLabels: {"reserved:init": ""}}\ningress: [{fromEndpoints: [{}]}]';
    const peers = ruleOf(clusterwide(spec)).rule.ingress?.[0]?.peers;
    const peer = peers === 'any' ? undefined : peers?.[0];
    assert.ok(peer?.kind === 'labels');
    assert.deepEqual(peer.selector.requirements.map(requirementText), [IN_CLUSTER]);
  });
});

describe('the selector of the subject', () => {
  const cases: (Case & { readonly warns?: RegExp; readonly write?: typeof policy })[] = [
    { name: 'is bound to the namespace', selector: '{}', requirements: [IN_ALPHA] },
    {
      name: 'keeps its labels',
      selector: '{matchLabels: {org: empire}}',
      requirements: ['any:org=empire', IN_ALPHA],
    },
    {
      name: 'cannot reach into another namespace',
      selector: '{matchLabels: {"k8s:io.kubernetes.pod.namespace": beta, a: b}}',
      requirements: ['any:a=b', IN_ALPHA],
      warns: /names the namespace "beta", but a policy acts only in its own, "alpha"/,
    },
    {
      name: 'may name its own namespace',
      selector: '{matchLabels: {"k8s:io.kubernetes.pod.namespace": alpha}}',
      requirements: [IN_ALPHA],
    },
    {
      name: 'that contradicts itself selects nothing',
      selector: '{matchExpressions: [{key: "k8s:io.kubernetes.pod.namespace", operator: In, values: [beta]}]}',
      requirements: ['k8s:io.kubernetes.pod.namespace=beta', IN_ALPHA],
      warns: /acts only in its own/,
    },
    { name: 'of a clusterwide policy is bound to nothing', selector: '{}', requirements: [], write: clusterwide },
    {
      name: 'of a clusterwide policy may name a namespace',
      selector: '{matchLabels: {"k8s:io.kubernetes.pod.namespace": beta}}',
      requirements: ['k8s:io.kubernetes.pod.namespace=beta'],
      write: clusterwide,
    },
  ];
  for (const { name, selector, requirements, warns, write = policy } of cases) {
    test(name, () => {
      const { rule, warnings } = ruleOf(write(`endpointSelector: ${selector}\ningress: [{}]`));
      assert.equal(rule.on, 'endpoints');
      assert.deepEqual(rule.subject.requirements.map(requirementText), requirements);
      assert.match(warnings.join('\n'), warns ?? /^$/);
    });
  }

  test('may be nodes, whose labels have one source', () => {
    const spec = 'nodeSelector: {matchLabels: {a: x, "k8s:b": x, "node:c": x, "reserved:host": ""}}\ningress: [{}]';
    const { rule } = ruleOf(clusterwide(spec));
    assert.equal(rule.on, 'nodes');
    const found = rule.subject.requirements.map(requirementText);
    assert.deepEqual(found, ['node:a=x', 'node:b=x', 'node:c=x', 'reserved:host=']);
  });
});
