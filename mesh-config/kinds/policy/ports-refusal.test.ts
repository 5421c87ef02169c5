import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { refused } from '../../testing.ts';
import { policy, SELECT_ALL } from './testing.ts';

const TCP = '{port: "80", protocol: TCP}';
const ports = (written: string): string => `{toPorts: [{ports: [${written}]}]}`;
const rules = (port: string, written: string): string => `{toPorts: [{ports: [${port}], rules: ${written}}]}`;

const CASES: readonly { name: string; field?: string; entry: string; reasons: readonly RegExp[] }[] = [
  {
    name: 'a port that is a number',
    entry: ports('{port: 80}'),
    reasons: [/ports\[0\]\.port: must be a string: write "80" in quotes/],
  },
  { name: 'a port that is too large', entry: ports('{port: "65536"}'), reasons: [/"65536" is over 65535/] },
  { name: 'an empty port', entry: ports('{port: ""}'), reasons: [/"" is no port: write a number/] },
  { name: 'a missing port', entry: ports('{protocol: TCP}'), reasons: [/port: required, but missing/] },
  {
    name: 'what is no number in any base',
    entry: ports('{port: "08"}, {port: "0x0000000000010000"}, {port: under_score}, {port: 0b0000000000000002}'),
    reasons: [
      /"08" is no port: write a number/,
      /"0x0000000000010000" is over 65535/,
      /"under_score" is no port: write a number/,
      /"0b0000000000000002" is no port: write a number/,
    ],
  },
  {
    name: '"_" that is not between digits',
    entry: ports('{port: "1__0"}, {port: "_1"}, {port: "1_"}'),
    reasons: [/"1__0" is no port/, /"_1" is no port/, /"1_" is no port/],
  },
  { name: 'a range in the port', entry: ports('{port: "80-90"}'), reasons: [/"80-90" is no port: .* endPort/] },
  { name: 'a name that is too long', entry: ports(`{port: ${'a'.repeat(16)}}`), reasons: [/up to 15 characters/] },
  {
    name: 'a negative end',
    entry: ports('{port: "1", endPort: -1}'),
    reasons: [/endPort: -1 must be from 0 to 65535/],
  },
  {
    name: 'an unknown protocol',
    entry: ports('{port: "1", protocol: tcp}'),
    reasons: [/"tcp" is none of TCP, UDP, SCTP, ANY/],
  },
  { name: 'ICMP in ports', entry: ports('{port: "1", protocol: ICMP}'), reasons: [/messages of ICMP go into icmps/] },
  { name: 'a protocol without ports', entry: ports('{protocol: VRRP}'), reasons: [/"VRRP" is not supported yet/] },
  { name: '41 ports', entry: ports(Array(41).fill('{port: "1"}').join()), reasons: [/lists more than 40 ports/] },
  {
    name: 'icmps beside toPorts',
    entry: `{icmps: [{fields: [{type: 8}]}], toPorts: [{ports: [${TCP}]}]}`,
    reasons: [/icmps: cannot stand beside toPorts/],
  },
  {
    name: 'an unknown type of ICMP',
    entry: '{icmps: [{fields: [{type: Ping}, {type: EchoRequst}, {type: PacketTooBig}, {type: "256"}]}]}',
    reasons: [
      /fields\[0\]\.type: "Ping" is no type of ICMP for IPv4: write its name, or its number/,
      /did you mean "EchoRequest"\?/,
      /but of family IPv6/,
      /"256" is no type/,
    ],
  },
  { name: 'a type of ICMP that is too large', entry: '{icmps: [{fields: [{type: 256}]}]}', reasons: [/from 0 to 255/] },
  { name: 'a missing type', entry: '{icmps: [{fields: [{family: IPv4}]}]}', reasons: [/type: required, but missing/] },
  {
    name: 'HTTP on any protocol',
    entry: rules('{port: "80"}', '{http: [{}]}'),
    reasons: [/protocol: must be TCP where HTTP rules are, not ANY, which is the default/],
  },
  {
    name: 'HTTP on UDP',
    entry: rules('{port: "80", protocol: UDP}', '{http: [{}]}'),
    reasons: [/must be TCP where HTTP rules are, not UDP/],
  },
  {
    name: 'HTTP on every port',
    entry: rules('{port: "0", protocol: TCP}', '{http: [{}]}'),
    reasons: [/port: must be a port from 1 to 65535 where HTTP rules are/],
  },
  {
    name: 'DNS on SCTP',
    entry: rules('{port: "53", protocol: SCTP}', '{dns: [{matchName: a}]}'),
    reasons: [/must be TCP or UDP or ANY where DNS rules are, not SCTP/],
  },
  {
    name: 'DNS in ingress',
    field: 'ingress',
    entry: rules('{port: "53"}', '{dns: [{matchName: a}]}'),
    reasons: [/rules\.dns: is only possible in egress/],
  },
  {
    name: 'a bad path',
    entry: rules(TCP, '{http: [{path: "/a("}]}'),
    reasons: [/http\[0\]\.path: "\/a\(" is no RE2 regular expression: missing closing \)/],
  },
  {
    name: 'a bad method and host',
    entry: rules(TCP, '{http: [{method: "(?=a)", host: "[a"}]}'),
    reasons: [/http\[0\]\.method: /, /http\[0\]\.host: .*missing closing \]/],
  },
  {
    name: 'a bad header',
    entry: rules(TCP, '{http: [{headers: ["X-Token:abc"]}]}'),
    reasons: [/headers\[0\]: "X-Token:abc" is neither "Name" nor "Name: value"/],
  },
  {
    name: 'bad header matches',
    entry: rules(
      TCP,
      '{http: [{headerMatches: [{name: "a b"}, {name: a, mismatch: DROP}, {name: a, secret: {name: s}}]}]}',
    ),
    reasons: [/headerMatches\[1\]\.mismatch: "DROP" is none of LOG/, /secret: "secret" is not supported yet/],
  },
  {
    name: 'a bad header name',
    entry: rules(TCP, '{http: [{headerMatches: [{name: "a b"}]}]}'),
    reasons: [/"a b" is no name/],
  },
  {
    name: 'no kind of rules',
    entry: rules(TCP, '{}'),
    reasons: [/rules: must have one of "http", "kafka", "dns", "l7proto"/],
  },
  {
    name: 'two kinds of rules',
    entry: rules(TCP, '{http: [], dns: [{matchName: a}]}'),
    reasons: [/rules: has "http", "dns", but only one/],
  },
  { name: 'null rules', entry: rules(TCP, '{http: null}'), reasons: [/http: must be a list, not null/] },
  {
    name: 'a null in a rule',
    entry: rules(TCP, '{http: [{path: null}]}'),
    reasons: [/path: must be a string, not null/],
  },
  { name: 'l7 without l7proto', entry: rules(TCP, '{http: [{}], l7: [{a: b}]}'), reasons: [/l7: needs "l7proto"/] },
  {
    name: 'Kafka rules',
    entry: rules(
      TCP,
      '{kafka: [{role: produce, apiKey: fetch}, {apiKey: fetsh}, {apiVersion: x}, {apiVersion: "40000"}, {topic: a/b}]}',
    ),
    reasons: [
      /kafka\[0\]\.apiKey: "fetch" cannot stand beside the role "produce"/,
      /kafka\[1\]\.apiKey: .*did you mean "fetch"\?/,
      /kafka\[2\]\.apiVersion: "x" is no version/,
      /kafka\[3\]\.apiVersion: "40000" is no version/,
      /kafka\[4\]\.topic: "a\/b" is no topic/,
    ],
  },
  {
    name: 'roles of Kafka',
    entry: rules(TCP, '{kafka: [{role: own}, {role: Produce}, {role: ""}, {role: consume}]}'),
    reasons: [
      /kafka\[0\]\.role: "own" is none of produce, consume/,
      /kafka\[1\]\.role: "Produce" is none of produce, consume/,
      /kafka\[2\]\.role: "" is none of produce, consume/,
    ],
  },
  {
    name: 'DNS rules without ports',
    entry: '{toPorts: [{rules: {dns: [{matchName: a.b}]}}, {ports: [], rules: {dns: [{matchPattern: "*"}]}}]}',
    reasons: [
      /toPorts\[0\]\.ports: required where DNS rules are: write the ports of the DNS servers/,
      /toPorts\[1\]\.ports: required where DNS rules are/,
    ],
  },
  {
    name: 'a nameless text for another parser',
    entry: rules(TCP, '{l7proto: x, l7: [{a: b}, {"": b}]}'),
    reasons: [/rules\.l7\[1\]\[""\]: must have a name/],
  },
  {
    name: 'server names beside rules',
    entry: `{toPorts: [{ports: [${TCP}], serverNames: [a], rules: {http: [{}]}}]}`,
    reasons: [/serverNames: cannot stand beside rules/],
  },
  {
    name: 'bad server names',
    entry: `{toPorts: [{ports: [${TCP}], serverNames: ["", a..b, "a b"]}]}`,
    reasons: [/serverNames\[0\]/, /serverNames\[1\]/, /serverNames\[2\]: "a b" must be a server name/],
  },
  {
    name: 'no server names',
    entry: `{toPorts: [{ports: [${TCP}], serverNames: []}]}`,
    reasons: [/serverNames: must have an entry: an empty list would let every name pass/],
  },
  {
    name: 'server names on UDP',
    entry: '{toPorts: [{ports: [{port: "443", protocol: UDP}], serverNames: [a]}]}',
    reasons: [/must be TCP where serverNames are, not UDP/],
  },
  ...['terminatingTLS: {}', 'originatingTLS: {}', 'listener: {name: l}'].map((field) => ({
    name: field,
    entry: `{toPorts: [{ports: [${TCP}], ${field}}]}`,
    reasons: [/" is not supported yet/],
  })),
  ...['serverNames: [a]', 'listener: {name: l}'].map((field) => ({
    name: `${field} in a deny rule`,
    field: 'egressDeny',
    entry: `{toPorts: [{ports: [${TCP}], ${field}}]}`,
    reasons: [/" is not possible here: deny rules cannot look into TLS/],
  })),
  {
    name: 'another parser in a deny rule',
    field: 'egressDeny',
    entry: rules(TCP, '{l7proto: x, http: []}'),
    reasons: [/"l7proto" is not possible here/],
  },
];

describe('ports are refused for', () => {
  for (const { name, field = 'egress', entry, reasons } of CASES) {
    test(name, () => {
      const found = refused(policy(`${SELECT_ALL}${field}:\n- ${entry}`));
      assert.equal(found.length, reasons.length, found.join('\n'));
      for (const reason of reasons) {
        assert.ok(
          found.some((line) => reason.test(line)),
          `${reason}:\n${found.join('\n')}`,
        );
      }
    });
  }
});
