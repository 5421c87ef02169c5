import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { formatCidr } from '#common/ip.ts';
import type { PeerSelector, Selector } from '../../model.ts';
import { readObjects } from '../../read.ts';
import { accepted } from '../../testing.ts';
import { entryOf, policy, requirementText, SELECT_ALL } from './testing.ts';

/** A peer as a short text. */
function peerText(peer: PeerSelector): string {
  const selector = (of: string | Selector): string =>
    typeof of === 'string' ? of : of.requirements.map(requirementText).join(' ');
  const except = 'except' in peer && peer.except.length > 0 ? ` but ${peer.except.map(formatCidr).join(' ')}` : '';
  switch (peer.kind) {
    case 'labels':
      return selector(peer.selector);
    case 'entity':
      return peer.entity;
    case 'cidr':
      return formatCidr(peer.cidr) + except;
    case 'cidrGroup':
      return `group ${selector(peer.group)}${except}`;
    case 'fqdn':
      return peer.name.kind === 'name' ? peer.name.name : `like ${peer.name.pattern}`;
    case 'service':
      return `service ${peer.namespace}/${selector(peer.service)}`;
  }
}

function peersOf(direction: 'ingress' | 'egress', entry: string): { found: readonly string[]; warnings: string } {
  const { entry: read, warnings } = entryOf(direction, entry);
  assert.ok(read.peers !== 'any');
  return { found: read.peers.map(peerText), warnings: warnings.join('\n') };
}

describe('a list of peers', () => {
  const cases: { written: string; direction?: 'egress'; expected: readonly string[]; warns?: RegExp }[] = [
    { written: '{fromEntities: [world, host]}', expected: ['world', 'host'] },
    { written: '{fromCIDR: ["10.0.0.0/8", "fd00::/8"]}', expected: ['10.0.0.0/8', 'fd00::/8'] },
    { written: '{fromCIDR: ["0.0.0.0/0", "::/0"]}', expected: ['0.0.0.0/0', '::/0'] },
    {
      written: '{fromCIDR: ["10.1.2.3/8"]}',
      expected: ['10.0.0.0/8'],
      warns: /fromCIDR\[0\]: "10\.1\.2\.3\/8" has bits after its length, which mean nothing: 10\.0\.0\.0\/8/,
    },
    { written: '{fromCIDR: ["2001:db8:ffff::/33"]}', expected: ['2001:db8:8000::/33'], warns: /bits after/ },
    {
      written: '{fromCIDRSet: [{cidr: 10.0.0.0/8, except: [10.1.0.0/16, 10.2.0.0/16]}]}',
      expected: ['10.0.0.0/8 but 10.1.0.0/16 10.2.0.0/16'],
    },
    { written: '{fromCIDRSet: [{cidr: 10.0.0.0/8, except: [10.0.0.0/8]}]}', expected: ['10.0.0.0/8 but 10.0.0.0/8'] },
    {
      written: '{fromCIDRSet: [{cidrGroupRef: partners, except: [10.1.0.0/16]}]}',
      expected: ['group partners but 10.1.0.0/16'],
    },
    { written: '{fromCIDRSet: [{cidrGroupSelector: {matchLabels: {a: b}}}]}', expected: ['group k8s:a=b'] },
    {
      written: '{toFQDNs: [{matchName: A.b.}, {matchPattern: "*.B"}]}',
      direction: 'egress',
      expected: ['a.b', 'like *.b'],
    },
    {
      written: '{toServices: [{k8sService: {serviceName: s, namespace: beta}}]}',
      direction: 'egress',
      expected: ['service beta/s'],
    },
    {
      written: '{toServices: [{k8sService: {serviceName: s}}]}',
      direction: 'egress',
      expected: ['service alpha/s'],
      warns: /k8sService\.namespace: is missing and taken to be "alpha"/,
    },
    {
      written: '{toServices: [{k8sServiceSelector: {selector: {matchLabels: {a: b, "k8s:c": d}}}}]}',
      direction: 'egress',
      expected: ['service /any:a=b k8s:c=d'],
    },
    {
      written: '{toServices: [{k8sServiceSelector: {selector: {}, namespace: beta}}]}',
      direction: 'egress',
      expected: ['service beta/'],
    },
    {
      written: '{fromEndpoints: [], fromEntities: [world]}',
      expected: ['world'],
      warns: /fromEndpoints: selects nobody/,
    },
  ];
  for (const { written, direction = 'ingress', expected, warns } of cases) {
    test(written, () => {
      const { found, warnings } = peersOf(direction, written);
      assert.deepEqual(found, expected);
      assert.match(warnings, warns ?? /^$/);
    });
  }
});

describe('nodes as peers', () => {
  const text = policy(`${SELECT_ALL}ingress: [{fromNodes: [{matchLabels: {a: b, "reserved:kube-apiserver": ""}}]}]`);
  test('are refused unless they are switched on', () => {
    const { objects, problems } = readObjects('f.yaml', text);
    assert.equal(objects.length, 0);
    assert.match(problems[0]?.reason ?? '', /switched off/);
  });
  test('are other nodes with these labels', () => {
    const [object] = readObjects('f.yaml', text, { nodePeers: true }).objects;
    assert.ok(object?.kind === 'CiliumNetworkPolicy');
    const peers = object.rules[0]?.ingress?.[0]?.peers;
    assert.ok(peers && peers !== 'any');
    assert.deepEqual(peers.map(peerText), ['node:a=b reserved:kube-apiserver= reserved:remote-node exists']);
  });
});

test('authentication that is switched off is none', () => {
  const { warnings } = accepted(
    'CiliumNetworkPolicy',
    policy(`${SELECT_ALL}ingress: [{fromEndpoints: [{}], authentication: {mode: disabled}}]`),
  );
  assert.deepEqual(warnings, []);
});
