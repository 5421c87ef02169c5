import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { formatCidr } from '#common/ip.ts';
import type { DirectionRule, PeerSelector, PolicyRule } from '../../model.ts';
import { accepted, refused } from '../../testing.ts';
import { IN_ALPHA, IN_CLUSTER, portText, requirementText } from './testing.ts';

const HEAD = 'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: alpha}\n';
const write = (spec: string): string => `${HEAD}spec:\n${spec.replace(/^/gm, '  ')}\n`;

function read(spec: string): { rule: PolicyRule; warnings: string } {
  const { object, warnings } = accepted('NetworkPolicy', write(spec));
  const [rule] = object.rules;
  assert.ok(rule && object.rules.length === 1);
  return { rule, warnings: warnings.join('\n') };
}

const sorted = (peer: PeerSelector | undefined): string[] => {
  assert.ok(peer?.kind === 'labels');
  return peer.selector.requirements.map(requirementText).sort();
};

/** How many peers each entry has. */
const shape = (entries: readonly DirectionRule[] | undefined): unknown =>
  entries?.map(({ peers }) => (peers === 'any' ? 'any' : peers.length));

describe('directions of a NetworkPolicy', () => {
  const pods = 'podSelector: {}\n';
  const cases: { name: string; spec: string; ingress?: unknown; egress?: unknown }[] = [
    { name: 'are ingress if nothing is said', spec: '', ingress: [0] },
    { name: 'are both if egress has entries', spec: 'egress: [{}]', ingress: [0], egress: ['any'] },
    { name: 'are ingress if egress is empty', spec: 'egress: []', ingress: [0] },
    { name: 'are those listed', spec: 'policyTypes: [Egress]', egress: [0] },
    { name: 'an empty list of types is none', spec: 'policyTypes: []', ingress: [0] },
    {
      name: 'apply with their entries though they are not listed',
      spec: 'policyTypes: [Egress]\ningress: [{}]',
      ingress: ['any'],
      egress: [0],
    },
    { name: 'listed and empty let nobody in', spec: 'policyTypes: [Ingress]\ningress: []', ingress: [0] },
    { name: 'an empty entry is everybody', spec: 'ingress: [{}]', ingress: ['any'] },
    { name: 'an empty list of peers is everybody', spec: 'ingress: [{from: []}]', ingress: ['any'] },
  ];
  for (const { name, spec, ingress, egress } of cases) {
    test(name, () => {
      const { rule } = read(pods + spec);
      assert.deepEqual(shape(rule.ingress), ingress);
      assert.deepEqual(shape(rule.egress), egress);
      assert.deepEqual(rule.defaultDeny, { ingress: ingress !== undefined, egress: egress !== undefined });
      assert.equal(rule.on, 'endpoints');
    });
  }

  test('have the place of the entry, or of the policy where there is none', () => {
    const { rule } = read(`${pods}policyTypes: [Ingress, Egress]\ningress:\n- {}`);
    assert.deepEqual(rule.ingress?.[0]?.place, { line: 8, field: 'spec.ingress[0]' });
    assert.deepEqual(rule.egress?.[0]?.place, { line: 4, field: 'spec.egress' });
  });
});

test('the subject of a NetworkPolicy is pods of its namespace', () => {
  const { rule } = read('podSelector: {matchLabels: {a: b}, matchExpressions: [{key: c, operator: Exists}]}');
  assert.deepEqual(rule.subject.requirements.map(requirementText), ['k8s:a=b', 'k8s:c exists', IN_ALPHA]);
  const missing = read('ingress: [{}]');
  assert.deepEqual(missing.rule.subject.requirements.map(requirementText), [IN_ALPHA]);
  assert.match(missing.warnings, /podSelector: is missing, and every pod of the namespace selected/);
});

describe('a peer of a NetworkPolicy', () => {
  const cases: { peer: string; requirements: readonly string[] }[] = [
    { peer: '{podSelector: {}}', requirements: [IN_ALPHA] },
    { peer: '{podSelector: {matchLabels: {a: b}}}', requirements: [IN_ALPHA, 'k8s:a=b'] },
    { peer: '{namespaceSelector: {}}', requirements: ['k8s:io.kubernetes.pod.namespace exists'] },
    {
      peer: '{namespaceSelector: {matchLabels: {team: x}, matchExpressions: [{key: env, operator: DoesNotExist}]}}',
      requirements: ['k8s:io.cilium.k8s.namespace.labels.env absent', 'k8s:io.cilium.k8s.namespace.labels.team=x'],
    },
    {
      peer: '{namespaceSelector: {}, podSelector: {matchLabels: {a: b}}}',
      requirements: ['k8s:a=b', 'k8s:io.kubernetes.pod.namespace exists'],
    },
  ];
  for (const { peer, requirements } of cases) {
    test(peer, () => {
      const { rule, warnings } = read(`podSelector: {}\ningress: [{from: [${peer}]}]\negress: [{to: [${peer}]}]`);
      for (const entries of [rule.ingress, rule.egress]) {
        const peers = entries?.[0]?.peers;
        assert.deepEqual(sorted(peers === 'any' ? undefined : peers?.[0]), [...requirements, IN_CLUSTER].sort());
      }
      assert.equal(warnings, '');
    });
  }

  const blocks: { peer: string; cidr: string; except: readonly string[]; warns: RegExp }[] = [
    { peer: '{ipBlock: {cidr: 10.0.0.0/8}}', cidr: '10.0.0.0/8', except: [], warns: /^$/ },
    {
      peer: '{ipBlock: {cidr: 10.1.0.0/8, except: [10.2.0.0/16]}}',
      cidr: '10.0.0.0/8',
      except: ['10.2.0.0/16'],
      warns: /ipBlock\.cidr: .* bits after/,
    },
    {
      peer: '{ipBlock: {cidr: 10.0.0.0/8, except: [192.0.2.0/24]}}',
      cidr: '10.0.0.0/8',
      except: ['192.0.2.0/24'],
      warns: /except\[0\]: has no effect: "192\.0\.2\.0\/24" is not inside/,
    },
    {
      peer: '{ipBlock: {cidr: "::/0"}, podSelector: {matchLabels: {a: b}}}',
      cidr: '::/0',
      except: [],
      warns: /podSelector: is ignored beside ipBlock/,
    },
  ];
  for (const { peer, cidr, except, warns } of blocks) {
    test(peer, () => {
      const { rule, warnings } = read(`podSelector: {}\ningress: [{from: [${peer}]}]`);
      const peers = rule.ingress?.[0]?.peers;
      const block = peers === 'any' ? undefined : peers?.[0];
      assert.ok(block?.kind === 'cidr');
      assert.deepEqual([formatCidr(block.cidr), ...block.except.map(formatCidr)], [cidr, ...except]);
      assert.match(warnings, warns);
    });
  }
});

describe('ports of a NetworkPolicy', () => {
  const cases: { ports: string; expected: 'all' | readonly string[]; warns?: RegExp }[] = [
    { ports: '[]', expected: 'all' },
    { ports: '[{port: 80}, {port: http, protocol: UDP}]', expected: ['80/TCP', 'http/UDP'] },
    { ports: '[{port: 80, endPort: 90, protocol: SCTP}]', expected: ['80-90/SCTP'] },
    { ports: '[{port: 90, endPort: 80}]', expected: ['90/TCP'], warns: /endPort: is ignored: it is below port 90/ },
    { ports: '[{}]', expected: ['0/TCP'] },
    { ports: '[{protocol: UDP, endPort: 80}]', expected: ['0/UDP'], warns: /endPort: is ignored/ },
    { ports: '[{port: 0}]', expected: ['0/TCP'], warns: /port: 0 stands for every port/ },
    { ports: '[{port: "80"}]', expected: ['80/TCP'] },
  ];
  for (const { ports, expected, warns } of cases) {
    test(ports, () => {
      const { rule, warnings } = read(`podSelector: {}\ningress: [{ports: ${ports}}]`);
      const [entry] = rule.ingress ?? [];
      assert.equal(entry?.peers, 'any');
      const found = entry.ports === 'all' ? 'all' : entry.ports.flatMap((rule) => rule.ports.map(portText));
      assert.deepEqual(found, expected);
      assert.match(warnings, warns ?? /^$/);
    });
  }
});

describe('a NetworkPolicy is refused for', () => {
  const cases: { name: string; spec: string; reason: RegExp }[] = [
    {
      name: 'an unknown type',
      spec: 'podSelector: {}\npolicyTypes: [ingress]',
      reason: /"ingress" is none of Ingress, Egress, did you mean "Ingress"\?/,
    },
    {
      name: 'a misspelt field',
      spec: 'podSelector: {}\ningres: [{}]',
      reason: /unknown field "ingres", did you mean "ingress"\?/,
    },
    {
      name: 'fields of Cilium policies',
      spec: 'podSelector: {}\negress: [{toEndpoints: [{}]}]',
      reason: /unknown field "toEndpoints"/,
    },
    {
      name: 'an empty peer',
      spec: 'podSelector: {}\ningress: [{from: [{}]}]',
      reason: /from\[0\]: must have at least one of "podSelector"/,
    },
    { name: 'a null', spec: 'podSelector: {}\ningress: [{from: null}]', reason: /from: must be a list, not null/ },
    {
      name: 'a bad prefix',
      spec: 'podSelector: {}\ningress: [{from: [{ipBlock: {cidr: 10.1}}]}]',
      reason: /ipBlock\.cidr: .*is no prefix|must be a string/,
    },
    {
      name: 'a port that is too large',
      spec: 'podSelector: {}\ningress: [{ports: [{port: 65536}]}]',
      reason: /port: 65536 must be from 0 to 65535/,
    },
    { name: 'a bad port name', spec: 'podSelector: {}\ningress: [{ports: [{port: a_b}]}]', reason: /"a_b" is no port/ },
    {
      name: 'an unknown protocol',
      spec: 'podSelector: {}\ningress: [{ports: [{protocol: ICMP}]}]',
      reason: /"ICMP" is none of TCP, UDP, SCTP/,
    },
    {
      name: 'sources of labels',
      spec: 'podSelector: {matchLabels: {"k8s:a": b}}',
      reason: /matchLabels\["k8s:a"\]: must be a name/,
    },
  ];
  for (const { name, spec, reason } of cases) {
    test(name, () => {
      const found = refused(write(spec));
      assert.equal(found.length, 1, found.join('\n'));
      assert.match(found[0] ?? '', reason);
    });
  }
});
