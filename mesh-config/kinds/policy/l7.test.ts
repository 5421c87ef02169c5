import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { L7Rules, PortRule } from '../../model.ts';
import { entryOf, policy, ruleOf, SELECT_ALL } from './testing.ts';

/** One entry of toPorts in egress, and the remarks on it. */
function toPorts(written: string): { rule: PortRule; warnings: string } {
  const { entry, warnings } = entryOf('egress', `{toPorts: [${written}]}`);
  const [rule] = entry.ports === 'all' ? [] : entry.ports;
  assert.ok(rule);
  return { rule, warnings: warnings.join('\n') };
}

const TCP = 'ports: [{port: "80", protocol: TCP}]';
const ANY_HTTP = { method: '', path: '', host: '', headers: [] };

describe('rules for requests', () => {
  const cases: { name: string; ports?: string; rules: string; l7: L7Rules }[] = [
    {
      name: 'of HTTP',
      rules: `{http: [{method: "GET|HEAD", path: "/a/.*", host: "h\\\\.x",
        headers: [X-Any, "X-Force True", "X-Token: a b"]}, {}]}`,
      l7: {
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
          ANY_HTTP,
        ],
      },
    },
    {
      name: 'of HTTP by headers with a mismatch',
      rules: '{http: [{headerMatches: [{name: a, value: b}, {name: c, mismatch: LOG}, {name: d, value: ""}]}]}',
      l7: {
        kind: 'http',
        rules: [
          {
            ...ANY_HTTP,
            headerMatches: [
              { name: 'a', value: 'b', mismatch: 'FAIL' },
              { name: 'c', value: undefined, mismatch: 'LOG' },
              { name: 'd', value: undefined, mismatch: 'FAIL' },
            ],
          },
        ],
      },
    },
    {
      name: 'of HTTP with an empty list of matches',
      rules: '{http: [{headerMatches: []}]}',
      l7: { kind: 'http', rules: [ANY_HTTP] },
    },
    {
      name: 'of DNS',
      ports: 'ports: [{port: "53", endPort: 60, protocol: ANY}]',
      rules:
        '{dns: [{matchName: Www.Example.COM.}, {matchPattern: "***"}, {matchPattern: "**.a***.B"}, {matchPattern: "***.b"}]}',
      l7: {
        kind: 'dns',
        rules: [
          { kind: 'name', name: 'www.example.com' },
          { kind: 'pattern', pattern: '*' },
          { kind: 'pattern', pattern: '**.a*.b' },
          { kind: 'pattern', pattern: '*.b' },
        ],
      },
    },
    {
      name: 'of Kafka',
      rules: '{kafka: [{role: produce, topic: a.b_C-1}, {apiKey: FETCH, apiVersion: "2", clientID: c}, {}]}',
      l7: {
        kind: 'kafka',
        rules: [
          { role: 'produce', apiKey: '', apiVersion: undefined, clientId: '', topic: 'a.b_C-1' },
          { role: '', apiKey: 'fetch', apiVersion: 2, clientId: 'c', topic: '' },
          { role: '', apiKey: '', apiVersion: undefined, clientId: '', topic: '' },
        ],
      },
    },
    {
      name: 'of another parser',
      rules: '{l7proto: cassandra, l7: [{query_action: select}]}',
      l7: { kind: 'generic', parser: 'cassandra', rules: [{ query_action: 'select' }] },
    },
    {
      name: 'of another parser for everything',
      rules: '{l7proto: x}',
      l7: { kind: 'generic', parser: 'x', rules: [] },
    },
  ];
  for (const { name, ports = TCP, rules, l7 } of cases) {
    test(name, () => {
      const { rule, warnings } = toPorts(`{${ports}, rules: ${rules}}`);
      assert.deepEqual(rule.l7, l7);
      assert.equal(warnings, '');
    });
  }

  for (const rules of ['{http: []}', '{dns: []}', '{kafka: []}']) {
    test(`${rules} is plain L4, and says so`, () => {
      const { rule, warnings } = toPorts(`{${TCP}, rules: ${rules}}`);
      assert.equal(rule.l7, undefined);
      assert.match(warnings, /rules: has no effect/);
    });
  }

  test('are possible in entries that deny', () => {
    const { rule } = ruleOf(policy(`${SELECT_ALL}ingressDeny: [{toPorts: [{${TCP}, rules: {http: [{path: /a}]}}]}]`));
    const [entry] = rule.ingress ?? [];
    assert.equal(entry?.deny, true);
    assert.deepEqual(entry.ports !== 'all' && entry.ports[0]?.l7, {
      kind: 'http',
      rules: [{ ...ANY_HTTP, path: '/a' }],
    });
  });
});

test('server names are lower case and without a dot at their end', () => {
  const { rule } = toPorts(`{${TCP}, serverNames: [Www.Example.com, "*.example.com", a.b.]}`);
  assert.deepEqual(rule.serverNames, ['www.example.com', '*.example.com', 'a.b']);
  assert.equal(rule.l7, undefined);
});

describe('remarks on HTTP rules', () => {
  const cases: { rule: string; remark: RegExp }[] = [
    { rule: '{path: "v1/.*"}', remark: /http\[0\]\.path: "v1\/\.\*" matches no path that begins with "\/"/ },
    { rule: '{method: get}', remark: /http\[0\]\.method: "get" is not the usual method/ },
    { rule: '{path: "(?i)/V1", method: "(?i)get"}', remark: /^$/ },
  ];
  for (const { rule, remark } of cases) {
    test(`${rule}: ${remark}`, () => assert.match(toPorts(`{${TCP}, rules: {http: [${rule}]}}`).warnings, remark));
  }
});
