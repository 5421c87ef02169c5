// Objects that say what policies speak of: CIDR groups, EndpointSlices, Nodes.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { formatAddress, formatCidr } from '#common/ip.ts';
import { readObjects } from '../read.ts';
import { accepted, refused } from '../testing.ts';

const group = (spec: string, version = 'v2'): string =>
  `apiVersion: cilium.io/${version}\nkind: CiliumCIDRGroup\nmetadata: {name: g, labels: {a: b}}\nspec: ${spec}\n`;
const slice = (rest: string, labels = '{kubernetes.io/service-name: s}'): string =>
  `apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s-1, namespace: n, labels: ${labels}}\n${rest}\n`;
const node = (status: string): string =>
  `apiVersion: v1\nkind: Node\nmetadata: {name: n1, labels: {a: b}}\nspec: {podCIDR: 10.0.0.0/24}\nstatus: ${status}\n`;

describe('a CiliumCIDRGroup', () => {
  for (const version of ['v2', 'v2alpha1']) {
    test(`of ${version} is read`, () => {
      const { object, warnings } = accepted(
        'CiliumCIDRGroup',
        group('{externalCIDRs: [10.1.0.0/8, "fd00::/8"]}', version),
      );
      assert.deepEqual(object.cidrs.map(formatCidr), ['10.0.0.0/8', 'fd00::/8']);
      assert.deepEqual([object.namespace, object.name, object.labels], ['', 'g', { a: 'b' }]);
      assert.match(warnings.join('\n'), /^spec\.externalCIDRs\[0\]: "10\.1\.0\.0\/8" has bits after[^\n]*$/);
    });
  }
  test('may be empty', () => {
    assert.deepEqual(accepted('CiliumCIDRGroup', group('{externalCIDRs: []}')).object.cidrs, []);
  });
  const bad: { spec: string; reason: RegExp }[] = [
    { spec: '{}', reason: /^4 spec\.externalCIDRs: required, but missing/ },
    { spec: '{externalCIDRs: null}', reason: /externalCIDRs: must be a list, not null/ },
    { spec: '{externalCIDRs: [10.0.0.1]}', reason: /externalCIDRs\[0\]: .* write "10\.0\.0\.1\/32"/ },
    { spec: '{externalCidrs: []}', reason: /did you mean "externalCIDRs"/ },
  ];
  for (const { spec, reason } of bad) {
    test(`${spec} is refused`, () => assert.match(refused(group(spec)).join('\n'), reason));
  }
  test('of another version is refused, with those that are known', () => {
    const reason =
      /CiliumCIDRGroup of "cilium\.io\/v1" is not supported, only of "cilium\.io\/v2", "cilium\.io\/v2alpha1"/;
    assert.match(refused(group('{externalCIDRs: []}', 'v1')).join('\n'), reason);
  });
  test('is named without namespace in problems', () => {
    assert.equal(readObjects('f', group('{}')).problems[0]?.object, 'CiliumCIDRGroup /g');
  });
});

describe('an EndpointSlice', () => {
  test('is read', () => {
    const rest = `addressType: IPv4
endpoints: [{addresses: [192.0.2.1, 192.0.2.2]}, {addresses: [192.0.2.3]}]
ports: [{port: 80}]`;
    const { object, warnings } = accepted('EndpointSlice', slice(rest));
    assert.equal(object.service, 's');
    assert.deepEqual(object.addresses.map(formatAddress), ['192.0.2.1', '192.0.2.2', '192.0.2.3']);
    assert.deepEqual(warnings, ['ports: "ports" is ignored: policies ask for addresses only']);
  });
  const remarks: { name: string; text: string; remark: RegExp }[] = [
    { name: 'without service', text: slice('addressType: IPv6', '{}'), remark: /belongs to no service/ },
    {
      name: 'of names',
      text: slice('addressType: FQDN\nendpoints: [{addresses: [a.b]}]'),
      remark: /names have no addresses/,
    },
  ];
  for (const { name, text, remark } of remarks) {
    test(`${name} has no effect, and says so`, () => {
      const { object, warnings } = accepted('EndpointSlice', text);
      assert.deepEqual(object.addresses, []);
      assert.match(warnings.join('\n'), remark);
    });
  }
  const bad: { rest: string; reason: RegExp }[] = [
    { rest: 'endpoints: []', reason: /addressType: required, but missing/ },
    {
      rest: 'addressType: IPv6\nendpoints: [{addresses: [192.0.2.1]}]',
      reason: /addresses\[0\]: .* is no IPv6 address/,
    },
    { rest: 'addressType: IPv4\nendpoints: [{}]', reason: /endpoints\[0\]\.addresses: required/ },
  ];
  for (const { rest, reason } of bad) {
    test(`with ${rest} is refused`, () => assert.match(refused(slice(rest)).join('\n'), reason));
  }
});

describe('a Node', () => {
  test('is read', () => {
    const { object } = accepted(
      'Node',
      node('{addresses: [{type: InternalIP, address: 172.16.0.1}, {type: Hostname, address: n1}], capacity: {cpu: 1}}'),
    );
    assert.deepEqual(object.addresses.map(formatAddress), ['172.16.0.1']);
    assert.deepEqual([object.namespace, object.name, object.labels], ['', 'n1', { a: 'b' }]);
  });
  test('with a bad address is refused', () => {
    const found = refused(node('{addresses: [{type: ExternalIP, address: n1}]}'));
    assert.match(found.join('\n'), /^5 status\.addresses\[0\]\.address: "n1" is no IP address$/);
  });
});
