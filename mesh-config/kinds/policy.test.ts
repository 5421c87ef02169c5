import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { DirectionRule, PolicyRule, PortRule, Requirement } from '../model.ts';
import { accepted } from '../testing.ts';

const HEAD = 'apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: alpha}\n';

function policy(spec: string): string {
  return `${HEAD}spec:\n${spec.replace(/^/gm, '  ')}\n`;
}

function ruleOf(spec: string): PolicyRule {
  const [rule] = accepted('CiliumNetworkPolicy', policy(spec)).object.rules;
  assert.ok(rule);
  return rule;
}

/** A requirement that a label has one of the values, as "source:key=value,value". */
function text({ source, key, operator, values }: Requirement): string {
  const sign = { In: '=', NotIn: '!=', Exists: ' exists', DoesNotExist: ' absent' }[operator];
  return `${source}:${key}${sign}${values.join(',')}`;
}

const IN_ALPHA = 'k8s:io.kubernetes.pod.namespace=alpha';
const IN_CLUSTER = 'k8s:io.cilium.k8s.policy.cluster=default';
const SELECT_ALL = 'endpointSelector: {}\n';

describe('empty and absent parts of a rule', () => {
  const nobody: DirectionRule = { peers: [], ports: 'all', deny: false };
  const port: PortRule = { ports: [{ port: 80, endPort: 80, protocol: 'TCP' }], l7: undefined };
  const ports = 'toPorts: [{ports: [{port: "80", protocol: TCP}]}]';
  const cases: { name: string; spec: string; ingress?: readonly DirectionRule[]; egress?: readonly DirectionRule[] }[] =
    [
      { name: 'one direction only', spec: 'egress: [{}]', egress: [nobody] },
      { name: 'an empty direction is an absent one', spec: 'ingress: []\negress: [{}]', egress: [nobody] },
      { name: 'an empty entry allows nobody', spec: 'ingress: [{}]', ingress: [nobody] },
      { name: 'an entry with empty ports only allows nobody', spec: 'ingress: [{toPorts: []}]', ingress: [nobody] },
      { name: 'an empty peer list allows nobody', spec: 'ingress: [{fromEndpoints: []}]', ingress: [nobody] },
      {
        name: 'an empty peer list with ports allows nobody',
        spec: `egress: [{toEndpoints: [], ${ports}}]`,
        egress: [{ peers: [], ports: [port], deny: false }],
      },
      {
        name: 'ports without peers allow everybody there',
        spec: `ingress: [{${ports}}]`,
        ingress: [{ peers: 'any', ports: [port], deny: false }],
      },
      {
        name: 'an entry of toPorts without ports matches nothing',
        spec: 'ingress: [{toPorts: [{}]}]',
        ingress: [{ peers: 'any', ports: [{ ports: [], l7: undefined }], deny: false }],
      },
    ];
  for (const { name, spec, ingress, egress } of cases) {
    test(name, () => {
      const rule = ruleOf(SELECT_ALL + spec);
      assert.deepEqual(rule.ingress, ingress);
      assert.deepEqual(rule.egress, egress);
      assert.deepEqual(rule.defaultDeny, { ingress: ingress !== undefined, egress: egress !== undefined });
    });
  }

  test('peers without ports are allowed on all', () => {
    const [entry] = ruleOf(`${SELECT_ALL}ingress: [{fromEndpoints: [{}]}]`).ingress ?? [];
    assert.equal(entry?.ports, 'all');
    assert.equal(entry?.peers.length, 1);
  });
});

describe('default deny', () => {
  const cases: { spec: string; ingress: boolean; egress: boolean }[] = [
    { spec: 'ingress: [{}]', ingress: true, egress: false },
    { spec: 'ingress: [{}]\nenableDefaultDeny: {}', ingress: true, egress: false },
    { spec: 'ingress: [{}]\nenableDefaultDeny: {ingress: true}', ingress: true, egress: false },
    { spec: 'ingress: [{}]\nenableDefaultDeny: {ingress: false}', ingress: false, egress: false },
    { spec: 'ingress: [{}]\negress: [{}]\nenableDefaultDeny: {egress: false}', ingress: true, egress: false },
    { spec: 'ingress: [{}]\nenableDefaultDeny: {egress: true}', ingress: true, egress: false },
  ];
  for (const { spec, ingress, egress } of cases) {
    test(spec.replaceAll('\n', ', '), () => {
      assert.deepEqual(ruleOf(SELECT_ALL + spec).defaultDeny, { ingress, egress });
    });
  }
});

describe('the selector of peers', () => {
  const cases: { name: string; selector: string; requirements: readonly string[] }[] = [
    { name: 'is bound to the namespace and the cluster', selector: '{}', requirements: [IN_ALPHA, IN_CLUSTER] },
    {
      name: 'knows sources of labels',
      selector: '{matchLabels: {app: a, "k8s:b": c, "any:d": ""}}',
      requirements: ['any:app=a', 'k8s:b=c', 'any:d=', IN_ALPHA, IN_CLUSTER],
    },
    {
      name: 'has expressions',
      selector:
        '{matchExpressions: [{key: a, operator: In, values: [x, y]}, {key: "k8s:b", operator: NotIn, values: [x]}, {key: c, operator: Exists}, {key: d, operator: DoesNotExist, values: []}]}',
      requirements: ['any:a=x,y', 'k8s:b!=x', 'any:c exists', 'any:d absent', IN_ALPHA, IN_CLUSTER],
    },
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
      requirements: ['k8s:io.kubernetes.pod.namespace exists', IN_CLUSTER],
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
    {
      name: 'of reserved labels is left alone',
      selector: '{matchLabels: {"reserved:host": ""}}',
      requirements: ['reserved:host='],
    },
  ];
  for (const { name, selector, requirements } of cases) {
    test(name, () => {
      const rule = ruleOf(
        `${SELECT_ALL}ingress: [{fromEndpoints: [${selector}]}]\negress: [{toEndpoints: [${selector}]}]`,
      );
      for (const entries of [rule.ingress, rule.egress]) {
        const peers = entries?.[0]?.peers;
        assert.ok(peers && peers !== 'any');
        assert.deepEqual(peers[0]?.selector.requirements.map(text), requirements);
      }
    });
  }
});

describe('the selector of the subject', () => {
  const cases: { name: string; selector: string; requirements: readonly string[]; warns: RegExp | undefined }[] = [
    { name: 'is bound to the namespace', selector: '{}', requirements: [IN_ALPHA], warns: undefined },
    {
      name: 'keeps its labels',
      selector: '{matchLabels: {org: empire}}',
      requirements: ['any:org=empire', IN_ALPHA],
      warns: undefined,
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
      warns: undefined,
    },
    {
      name: 'that contradicts itself selects nothing',
      selector: '{matchExpressions: [{key: "k8s:io.kubernetes.pod.namespace", operator: In, values: [beta]}]}',
      requirements: ['k8s:io.kubernetes.pod.namespace=beta', IN_ALPHA],
      warns: /acts only in its own/,
    },
  ];
  for (const { name, selector, requirements, warns } of cases) {
    test(name, () => {
      const { object, warnings } = accepted(
        'CiliumNetworkPolicy',
        policy(`endpointSelector: ${selector}\ningress: [{}]`),
      );
      assert.deepEqual(object.rules[0]?.subject.requirements.map(text), requirements);
      if (warns) assert.match(warnings.join('\n'), warns);
      else assert.deepEqual(warnings, []);
    });
  }
});

describe('ports', () => {
  const cases: { port: string; expected: readonly [number, number, string]; warns?: RegExp }[] = [
    { port: '{port: "80", protocol: TCP}', expected: [80, 80, 'TCP'] },
    { port: '{port: "80"}', expected: [80, 80, 'ANY'] },
    { port: '{port: "0", protocol: UDP}', expected: [0, 0, 'UDP'] },
    { port: '{port: "0", endPort: 90, protocol: UDP}', expected: [0, 0, 'UDP'] },
    { port: '{port: "80", endPort: 90, protocol: SCTP}', expected: [80, 90, 'SCTP'] },
    { port: '{port: "80", endPort: 0, protocol: TCP}', expected: [80, 80, 'TCP'] },
    {
      port: '{port: "80", endPort: 70, protocol: ANY}',
      expected: [80, 80, 'ANY'],
      warns: /endPort: is ignored: it is below/,
    },
    { port: '{port: "65535", protocol: TCP}', expected: [65535, 65535, 'TCP'] },
    { port: '{port: "0120", protocol: TCP}', expected: [80, 80, 'TCP'], warns: /octal: it means 80/ },
  ];
  for (const { port, expected, warns } of cases) {
    test(port, () => {
      const { object, warnings } = accepted(
        'CiliumNetworkPolicy',
        policy(`${SELECT_ALL}ingress: [{toPorts: [{ports: [${port}]}]}]`),
      );
      const rules = object.rules[0]?.ingress?.[0]?.ports;
      const match = rules !== 'all' ? rules?.[0]?.ports[0] : undefined;
      assert.deepEqual([match?.port, match?.endPort, match?.protocol], expected);
      assert.match(warnings.join('\n'), warns ?? /^$/);
    });
  }
});

describe('HTTP rules', () => {
  const http = (rules: string): string =>
    `${SELECT_ALL}ingress:\n- toPorts:\n  - ports: [{port: "80", protocol: TCP}]\n    rules: ${rules}\n`;
  const l7Of = (rules: string): PortRule['l7'] => {
    const ports = ruleOf(http(rules)).ingress?.[0]?.ports;
    return ports === 'all' ? undefined : ports?.[0]?.l7;
  };

  test('are read', () => {
    assert.deepEqual(
      l7Of(
        '{http: [{method: "GET|HEAD", path: "/a/.*", host: "h\\\\.x", headers: [X-Any, "X-Force True", "X-Token: a b"]}, {}]}',
      ),
      {
        kind: 'http',
        rules: [
          {
            method: 'GET|HEAD',
            path: '/a/.*',
            host: 'h\\.x',
            headers: [
              { name: 'X-Any', value: undefined },
              { name: 'X-Force', value: 'True' },
              { name: 'X-Token', value: 'a b' },
            ],
          },
          { method: '', path: '', host: '', headers: [] },
        ],
      },
    );
  });
  for (const rules of ['{}', '{http: []}']) {
    test(`${rules} is plain L4, and says so`, () => {
      assert.equal(l7Of(rules), undefined);
      const { warnings } = accepted('CiliumNetworkPolicy', policy(http(rules)));
      assert.match(warnings.join('\n'), /rules: has no effect/);
    });
  }

  const remarks: { rule: string; remark: RegExp }[] = [
    { rule: '{path: "v1/.*"}', remark: /http\[0\]\.path: "v1\/\.\*" matches no path that begins with "\/"/ },
    { rule: '{method: get}', remark: /http\[0\]\.method: "get" is not the usual method/ },
    { rule: '{path: "(?i)/V1", method: "(?i)get"}', remark: /^$/ },
  ];
  for (const { rule, remark } of remarks) {
    test(`${rule}: remark ${remark}`, () => {
      assert.match(accepted('CiliumNetworkPolicy', policy(http(`{http: [${rule}]}`))).warnings.join('\n'), remark);
    });
  }
});

test('spec and specs are both read, and free texts are kept out', () => {
  const { object, warnings } = accepted(
    'CiliumNetworkPolicy',
    `${HEAD}spec: {endpointSelector: {}, ingress: [{}], description: a, labels: [{key: x, value: y, source: z}]}
specs:
- {endpointSelector: {}, egress: [{}]}
- {endpointSelector: {matchLabels: {a: b}}, ingress: [{}], log: {value: x}}
description: outside
`,
  );
  assert.deepEqual(
    object.rules.map((rule) => [rule.ingress?.length, rule.egress?.length]),
    [
      [1, undefined],
      [undefined, 1],
      [1, undefined],
    ],
  );
  assert.deepEqual(
    warnings.map((line) => line.split(':')[0]),
    ['specs[1].log', 'description'],
  );
});
