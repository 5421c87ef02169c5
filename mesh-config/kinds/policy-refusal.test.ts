import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { refused } from '../testing.ts';

const HEAD = 'apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: alpha}\n';
const SELECT_ALL = 'endpointSelector: {}\n';

function policy(spec: string): string {
  return `${HEAD}spec:\n${spec.replace(/^/gm, '  ')}\n`;
}

describe('a policy is refused', () => {
  const select = SELECT_ALL;
  const http = (port: string, rule: string): string =>
    `${select}ingress:\n- toPorts:\n  - ports: [${port}]\n    rules: {http: [${rule}]}`;
  const tcp = '{port: "80", protocol: TCP}';
  const cases: { name: string; spec: string; reasons: readonly RegExp[] }[] = [
    { name: 'without selector', spec: 'ingress: [{}]', reasons: [/^4 spec\.endpointSelector: required, but missing/] },
    {
      name: 'without rules',
      spec: 'endpointSelector: {}',
      reasons: [/^4 spec: needs at least one entry in ingress or egress/],
    },
    {
      name: 'with empty rules',
      spec: `${select}ingress: []\negress: []`,
      reasons: [/^4 spec: needs at least one entry/],
    },
    {
      name: 'with a selector for nodes',
      spec: 'nodeSelector: {}\ningress: [{}]',
      reasons: [/"nodeSelector" is not/, /endpointSelector: required/],
    },
    {
      name: 'with deny rules',
      spec: `${select}ingressDeny: [{}]`,
      reasons: [/^6 spec\.ingressDeny: "ingressDeny" is not supported yet$/],
    },
    {
      name: 'for its entities',
      spec: `${select}ingress: [{fromEntities: [world]}]`,
      reasons: [/ingress\[0\]\.fromEntities: "fromEntities" is not/],
    },
    {
      name: 'for an empty unsupported peer list',
      spec: `${select}ingress: [{fromCIDR: []}]`,
      reasons: [/"fromCIDR" is not supported yet/],
    },
    {
      name: 'for its names',
      spec: `${select}egress: [{toFQDNs: [{matchName: a.b}]}]`,
      reasons: [/"toFQDNs" is not supported yet/],
    },
    {
      name: 'for ICMP',
      spec: `${select}ingress: [{icmps: [{fields: [{type: 8}]}]}]`,
      reasons: [/"icmps" is not supported yet/],
    },
    {
      name: 'for authentication',
      spec: `${select}ingress: [{authentication: {mode: required}}]`,
      reasons: [/"authentication" is not/],
    },
    {
      name: 'for DNS rules',
      spec: `${select}egress: [{toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchPattern: "*"}]}}]}]`,
      reasons: [/rules\.dns: "dns" is not/],
    },
    {
      name: 'for TLS names',
      spec: `${select}egress: [{toPorts: [{ports: [${tcp}], serverNames: [a]}]}]`,
      reasons: [/"serverNames" is not/],
    },
    {
      name: 'for header matches',
      spec: http(tcp, '{headerMatches: [{name: a}]}'),
      reasons: [/"headerMatches" is not supported yet/],
    },
    {
      name: 'for a misspelt field',
      spec: `${select}ingress: [{fromEndpoint: [{}]}]`,
      reasons: [/unknown field "fromEndpoint", did you mean "fromEndpoints"\?/],
    },
    {
      name: 'for a field of the other direction',
      spec: `${select}ingress: [{toEndpoints: [{}]}]`,
      reasons: [/unknown field "toEndpoints"/],
    },
    {
      name: 'for a null where absent means everybody',
      spec: `${select}ingress: [{fromEndpoints: null, toPorts: [{ports: [${tcp}]}]}]`,
      reasons: [/fromEndpoints: must be a list, not null/],
    },
    {
      name: 'for a null selector',
      spec: 'endpointSelector: {matchLabels: null}\ningress: [{}]',
      reasons: [/matchLabels: must be an object, not null/],
    },
    {
      name: 'for a null in a rule',
      spec: http(tcp, '{path: null}'),
      reasons: [/http\[0\]\.path: must be a string, not null/],
    },
    {
      name: 'for null HTTP rules',
      spec: `${select}ingress: [{toPorts: [{ports: [${tcp}], rules: {http: null}}]}]`,
      reasons: [/http: must be a list, not null/],
    },
    {
      name: 'for a rule that is no object',
      spec: `${select}ingress: {}`,
      reasons: [/^6 spec\.ingress: must be a list, not an object/],
    },
    {
      name: 'for a port that is a number',
      spec: `${select}ingress: [{toPorts: [{ports: [{port: 80}]}]}]`,
      reasons: [/ports\[0\]\.port: must be a string: write "80" in quotes/],
    },
    {
      name: 'for a port name',
      spec: `${select}ingress: [{toPorts: [{ports: [{port: HTTP}]}]}]`,
      reasons: [/named ports are not supported yet/],
    },
    {
      name: 'for a port that is too large',
      spec: `${select}ingress: [{toPorts: [{ports: [{port: "65536"}]}]}]`,
      reasons: [/"65536" is over 65535/],
    },
    {
      name: 'for an empty port',
      spec: `${select}ingress: [{toPorts: [{ports: [{port: ""}]}]}]`,
      reasons: [/"" is no port/],
    },
    {
      name: 'for a range in the port',
      spec: `${select}ingress: [{toPorts: [{ports: [{port: "80-90"}]}]}]`,
      reasons: [/named ports|is no port/],
    },
    {
      name: 'for a negative end',
      spec: `${select}ingress: [{toPorts: [{ports: [{port: "1", endPort: -1}]}]}]`,
      reasons: [/endPort: -1 must be from 0 to 65535/],
    },
    {
      name: 'for an unknown protocol',
      spec: `${select}ingress: [{toPorts: [{ports: [{port: "1", protocol: tcp}]}]}]`,
      reasons: [/"tcp" is none of TCP, UDP, SCTP, ANY, did you mean "TCP"\?/],
    },
    {
      name: 'for ICMP in ports',
      spec: `${select}ingress: [{toPorts: [{ports: [{port: "1", protocol: ICMP}]}]}]`,
      reasons: [/"ICMP" is none of/],
    },
    {
      name: 'for 41 ports',
      spec: `${select}ingress: [{toPorts: [{ports: [${Array(41).fill('{port: "1"}').join()}]}]}]`,
      reasons: [/lists more than 40 ports/],
    },
    {
      name: 'for HTTP on any protocol',
      spec: http('{port: "80"}', '{}'),
      reasons: [/protocol: must be TCP where HTTP rules are, not ANY, which is the default/],
    },
    {
      name: 'for HTTP on UDP',
      spec: http('{port: "80", protocol: UDP}', '{}'),
      reasons: [/must be TCP where HTTP rules are, not UDP/],
    },
    {
      name: 'for HTTP on every port',
      spec: http('{port: "0", protocol: TCP}', '{}'),
      reasons: [/port: must not be 0 where HTTP rules are/],
    },
    {
      name: 'for a port name under HTTP rules, once',
      spec: http('{port: http, protocol: TCP}', '{}'),
      reasons: [/named ports are not supported yet/],
    },
    {
      name: 'for a bad path',
      spec: http(tcp, '{path: "/a("}'),
      reasons: [
        /^9 spec\.ingress\[0\]\.toPorts\[0\]\.rules\.http\[0\]\.path: "\/a\(" is no RE2 regular expression: missing closing \)/,
      ],
    },
    {
      name: 'for a bad method and host',
      spec: http(tcp, '{method: "(?=a)", host: "[a"}'),
      reasons: [/http\[0\]\.method: /, /http\[0\]\.host: .*missing closing \]/],
    },
    {
      name: 'for a bad header',
      spec: http(tcp, '{headers: ["X-Token:abc"]}'),
      reasons: [/headers\[0\]: "X-Token:abc" is neither "Name" nor "Name: value"/],
    },
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
      spec: `${select}ingress: [{fromEndpoints: [{matchLabels: {"k8:a": b}}]}]`,
      reasons: [/unknown label source "k8", did you mean "k8s"\?/],
    },
    {
      name: 'for a label source without meaning here',
      spec: `${select}ingress: [{fromEndpoints: [{matchLabels: {"cidr:a": b}}]}]`,
      reasons: [/source "cidr", which is not supported yet/],
    },
    {
      name: 'for a namespace as an object',
      spec: `${select}ingress: [{fromEndpoints: [{matchLabels: {a: {b: c}}}]}]`,
      reasons: [/matchLabels\.a: must be a string, not an object/],
    },
    {
      name: 'for a flag that is no flag',
      spec: `${select}ingress: [{}]\nenableDefaultDeny: {ingress: "false"}`,
      reasons: [/enableDefaultDeny\.ingress: must be a boolean|true or false/],
    },
  ];
  for (const { name, spec, reasons } of cases) {
    test(name, () => {
      const found = refused(policy(spec));
      assert.equal(found.length, reasons.length, found.join('\n'));
      for (const reason of reasons)
        assert.ok(
          found.some((line) => reason.test(line)),
          `${reason}:\n${found.join('\n')}`,
        );
    });
  }

  test('without spec', () => {
    for (const specs of ['', 'specs: []\n']) {
      assert.deepEqual(refused(HEAD + specs), ['1 spec: required, unless "specs" has an entry']);
    }
  });
});
