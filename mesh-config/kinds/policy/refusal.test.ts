import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { refused } from '../../testing.ts';
import { clusterwide, policy, SELECT_ALL } from './testing.ts';

interface Case {
  readonly name: string;
  readonly spec: string;
  readonly reasons: readonly RegExp[];
}

const ALL = SELECT_ALL;
const TCP = '{port: "80", protocol: TCP}';

const SHAPE: readonly Case[] = [
  { name: 'without selector', spec: 'ingress: [{}]', reasons: [/^4 spec\.endpointSelector: required, but missing/] },
  {
    name: 'without rules',
    spec: 'endpointSelector: {}',
    reasons: [/^4 spec: must have at least one of "ingress", "ingressDeny", "egress", "egressDeny"/],
  },
  { name: 'with empty rules', spec: `${ALL}ingress: []\negress: []`, reasons: [/^4 spec: needs an entry in ingress/] },
  {
    name: 'with a selector for nodes',
    spec: `${ALL}nodeSelector: {}\ningress: [{}]`,
    reasons: [/^6 spec\.nodeSelector: "nodeSelector" is not possible here: only CiliumClusterwide/],
  },
  {
    name: 'for a misspelt field',
    spec: `${ALL}ingress: [{fromEndpoint: [{}]}]`,
    reasons: [/^6 spec\.ingress\[0\]\.fromEndpoint: unknown field "fromEndpoint", did you mean "fromEndpoints"\?/],
  },
  {
    name: 'for a field of the other direction',
    spec: `${ALL}ingress: [{toEndpoints: [{}]}]\negress: [{toPorts: [{ports: [{port: "80", proto: TCP}]}]}]`,
    reasons: [
      /unknown field "toEndpoints"/,
      /ports\[0\]\.proto: unknown field "proto": possible are "port", "endPort", "protocol"$/,
    ],
  },
  {
    name: 'for names in ingress',
    spec: `${ALL}ingress: [{toFQDNs: [{matchName: a.b}]}]`,
    reasons: [/"toFQDNs" is not possible here: names are for egress/],
  },
  {
    name: 'for names in a deny rule',
    spec: `${ALL}egressDeny: [{toFQDNs: [{matchName: a.b}]}]`,
    reasons: [/egressDeny\[0\]\.toFQDNs: "toFQDNs" is not possible here/],
  },
  {
    name: 'for a null where absent means everybody',
    spec: `${ALL}ingress: [{fromEndpoints: null, toPorts: [{ports: [${TCP}]}]}]`,
    reasons: [/fromEndpoints: must be a list, not null: leave the field out if that is meant/],
  },
  {
    name: 'for a null selector',
    spec: 'endpointSelector: {matchLabels: null}\ningress: [{}]',
    reasons: [/matchLabels: must be an object, not null/],
  },
  {
    name: 'for a rule that is no list',
    spec: `${ALL}ingress: {}`,
    reasons: [/^6 spec\.ingress: must be a list, not an object/],
  },
  {
    name: 'for a flag that is no flag',
    spec: `${ALL}ingress: [{}]\nenableDefaultDeny: {ingress: "false"}`,
    reasons: [/enableDefaultDeny\.ingress: must be a boolean, not "false"/],
  },
  {
    name: 'for a text for flows that is none',
    spec: `${ALL}ingress: [{}]\nlog: {value: ${'x'.repeat(33)}}`,
    reasons: [/^7 spec\.log\.value: "x+" is longer than 32 characters/],
  },
  {
    name: 'for a text for flows that cannot be printed',
    spec: `${ALL}ingress: [{}]\nlog: {value: "a\\nb", text: x}`,
    reasons: [/spec\.log\.value: "a\\nb" must be printable/, /spec\.log\.text: unknown field "text"/],
  },
  {
    name: 'for authentication',
    spec: `${ALL}ingress: [{authentication: {mode: required}}]`,
    reasons: [/ingress\[0\]\.authentication: "authentication" is not supported yet: mode is "required"/],
  },
];

const SELECTORS: readonly Case[] = [
  {
    name: 'for an unknown operator',
    spec: 'endpointSelector: {matchExpressions: [{key: a, operator: Maybe}]}\ningress: [{}]',
    reasons: [/operator: "Maybe" is none of In, NotIn/],
  },
  {
    name: 'for In without values',
    spec: 'endpointSelector: {matchExpressions: [{key: a, operator: In}]}\ningress: [{}]',
    reasons: [/matchExpressions\[0\]\.values: required with the operator "In"/],
  },
  {
    name: 'for Exists with values',
    spec: 'endpointSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}\ningress: [{}]',
    reasons: [/values: must be empty with the operator "Exists"/],
  },
  {
    name: 'for a bad label',
    spec: 'endpointSelector: {matchLabels: {app: a b, "a b/c": d}}\ningress: [{}]',
    reasons: [/matchLabels\.app: "a b" must be/, /matchLabels\["a b\/c"\]: must be a name/],
  },
  {
    name: 'for an unknown label source',
    spec: `${ALL}ingress: [{fromEndpoints: [{matchLabels: {"k8:a": b}}]}]`,
    reasons: [/unknown label source "k8", did you mean "k8s"\?/],
  },
  {
    name: 'for a label source that no endpoint has',
    spec: `${ALL}ingress: [{fromEndpoints: [{matchLabels: {"cidr:a": b}}]}]`,
    reasons: [/source "cidr", which nothing has that can be selected here, only "any", "k8s", "reserved"/],
  },
  {
    name: 'for a label that is an object',
    spec: `${ALL}ingress: [{fromEndpoints: [{matchLabels: {a: {b: c}}}]}]`,
    reasons: [/matchLabels\.a: must be a string, not an object/],
  },
];

const PEERS: readonly Case[] = [
  {
    name: 'for two lists of peers',
    spec: `${ALL}ingress: [{fromEndpoints: [{}], fromEntities: [world]}]`,
    reasons: [/ingress\[0\]\.fromEntities: cannot stand beside fromEndpoints: write an entry of its own/],
  },
  {
    name: 'for an unknown entity',
    spec: `${ALL}egress: [{toEntities: [World]}]`,
    reasons: [/toEntities\[0\]: "World" is none of all, world, .*did you mean "world"\?/],
  },
  {
    name: 'for an address without length',
    spec: `${ALL}egress: [{toCIDR: [10.0.0.1, "fd00::1"]}]`,
    reasons: [
      /toCIDR\[0\]: "10\.0\.0\.1" is an address without length: write "10\.0\.0\.1\/32"/,
      /write "fd00::1\/128"/,
    ],
  },
  {
    name: 'for what is no prefix',
    spec: `${ALL}egress: [{toCIDR: [localhost/8, 10.0.0.0/33, 10.0.0.0/08, "::ffff:10.0.0.0/104"]}]`,
    reasons: [
      /"localhost\/8" is no prefix: write/,
      /from 0 to 32/,
      /from 0 to 32/,
      /is an IPv4 prefix in the form of IPv6/,
    ],
  },
  {
    name: 'for an exception outside',
    spec: `${ALL}egress: [{toCIDRSet: [{cidr: 10.0.0.0/8, except: [192.0.2.0/24, "::/0", 10.0.0.0/7]}]}]`,
    reasons: [/except\[0\]: "192\.0\.2\.0\/24" is not inside "10\.0\.0\.0\/8"/, /except\[1\]/, /except\[2\]/],
  },
  {
    name: 'for a set of nothing',
    spec: `${ALL}egress: [{toCIDRSet: [{except: [10.0.0.0/8]}]}]`,
    reasons: [/toCIDRSet\[0\]: must have one of "cidr", "cidrGroupRef", "cidrGroupSelector"/],
  },
  {
    name: 'for a name and a pattern in one',
    spec: `${ALL}egress: [{toFQDNs: [{matchName: a.b, matchPattern: "*"}]}]`,
    reasons: [/toFQDNs\[0\]: has "matchName", "matchPattern", but only one/],
  },
  {
    name: 'for bad names, quickly',
    spec: `${ALL}egress: [{toFQDNs: [{matchName: "*.b"}, {matchPattern: "a b"}, {matchPattern: "${'a'.repeat(250)}!"}]}]`,
    reasons: [/matchName: "\*\.b" must be a DNS name/, /matchPattern: "a b" must be/, /matchPattern: "a+…?"? must be/],
  },
  {
    name: 'for groups',
    spec: `${ALL}egress: [{toGroups: [{aws: {region: x}}]}]`,
    reasons: [/toGroups\[0\]: "toGroups" is not supported yet: write the prefixes/],
  },
  {
    name: 'for requirements',
    spec: `${ALL}ingress: [{fromRequires: [{}]}]`,
    reasons: [/fromRequires: must be empty: requirements are gone/],
  },
];

const CLUSTERWIDE: readonly Case[] = [
  {
    name: 'without selector',
    spec: 'ingress: [{}]',
    reasons: [/^4 spec: must have one of "endpointSelector", "nodeSelector"/],
  },
  {
    name: 'with two selectors',
    spec: `${ALL}nodeSelector: {}\ningress: [{}]`,
    reasons: [/^4 spec: has "endpointSelector"/],
  },
  {
    name: 'with HTTP rules for nodes',
    spec: `nodeSelector: {}\negress: [{toPorts: [{ports: [${TCP}], rules: {http: [{}]}}]}]`,
    reasons: [/rules\.http: is not possible with nodeSelector/],
  },
  {
    name: 'with DNS rules for nodes in ingress',
    spec: `nodeSelector: {}\ningress: [{toPorts: [{ports: [${TCP}], rules: {dns: [{matchPattern: "*"}]}}]}]`,
    reasons: [/rules\.dns: is only possible in egress/],
  },
  {
    name: 'for a service without namespace',
    spec: `${ALL}egress: [{toServices: [{k8sService: {serviceName: a}}]}]`,
    reasons: [/k8sService\.namespace: required: a clusterwide policy has no namespace/],
  },
];

const GROUPS = [
  { of: 'a policy', write: policy, cases: [...SHAPE, ...SELECTORS, ...PEERS] },
  { of: 'a clusterwide policy', write: clusterwide, cases: CLUSTERWIDE },
];
for (const { of, write, cases } of GROUPS) {
  describe(`${of} is refused`, () => {
    for (const { name, spec, reasons } of cases) {
      test(name, () => {
        const found = refused(write(spec));
        assert.equal(found.length, reasons.length, found.join('\n'));
        for (const reason of reasons)
          assert.ok(
            found.some((line) => reason.test(line)),
            `${reason}:\n${found.join('\n')}`,
          );
      });
    }
  });
}

test('a policy is refused without spec', () => {
  const head = policy('').replace(/spec:\n.*/s, '');
  assert.deepEqual(refused(head), ['1 : must have at least one of "spec", "specs"']);
  assert.deepEqual(refused(`${head}specs: []\n`), ['4 specs: must have an entry where "spec" is missing']);
});

test('DNS rules for nodes are possible in egress', () => {
  const spec = 'nodeSelector: {}\negress: [{toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchPattern: "*"}]}}]}]';
  assert.throws(() => refused(clusterwide(spec)), /1 objects were returned/);
});
