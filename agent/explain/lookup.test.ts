import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Identity, identity, RESERVED } from '#common/ids.ts';
import { address } from '#common/ip.ts';
import { IP_PROTOCOL } from '../policy/l4.ts';
import { createLookup, lookup } from './lookup.ts';
import { policy, worldOf } from './mesh.fixture.ts';

const CIDR = policy(
  'cidr',
  'web',
  `egress:
  - toCIDRSet: [{ cidr: 192.0.2.0/24, except: [192.0.2.128/25] }]
  - toEntities: [world]
    toPorts: [{ ports: [{ port: "443", protocol: TCP }] }]`,
);
const OPEN = policy('open', 'api', 'enableDefaultDeny: { ingress: false }\ningress: [{ fromEndpoints: [{}] }]');

function l4(port: number): { readonly protocol: number; readonly port: number; readonly bits: number } {
  return { protocol: IP_PROTOCOL.TCP, port, bits: 24 };
}

test('`lookup` gives verdict, reason, row and policies', () => {
  const world = worldOf([CIDR, OPEN]);
  const { desired } = world.tables;
  const idOf = (key: string): Identity => desired.enforcement.get(key)?.identity ?? identity(0);
  const at = (text: string): Identity => world.identityAt(address(text));
  const web = idOf('default/web');
  const api = idOf('default/api');
  const cases: { subject?: Identity; direction?: 'ingress'; peer: Identity; port: number; answer: string }[] = [
    { peer: at('192.0.2.1'), port: 80, answer: 'allow policy CiliumNetworkPolicy default/cidr' },
    { peer: at('192.0.2.129'), port: 80, answer: 'deny default-deny' },
    { peer: at('192.0.2.129'), port: 443, answer: 'allow policy CiliumNetworkPolicy default/cidr' },
    { peer: at('198.51.100.1'), port: 80, answer: 'deny default-deny' },
    { peer: at('2001:db8::1'), port: 443, answer: 'allow policy CiliumNetworkPolicy default/cidr' },
    { peer: api, port: 443, answer: 'deny default-deny' },
    { peer: api, port: 80, direction: 'ingress', answer: 'allow no-policy' },
    { subject: api, peer: web, port: 1, direction: 'ingress', answer: 'allow policy CiliumNetworkPolicy default/open' },
    { subject: api, peer: RESERVED.worldIpv4, port: 1, direction: 'ingress', answer: 'allow policy' },
  ];
  for (const { subject = web, peer, port, direction = 'egress', answer } of cases) {
    const found = lookup(desired, { subject, direction, peer, l4: l4(port) });
    const text = [found?.verdict, found?.reason, ...(found?.policies ?? [])].join(' ');
    assert.equal(text, answer, `${direction} ${subject} ${peer} ${port}`);
    assert.equal(found?.entry === undefined, found?.reason === 'default-deny');
  }
});

test('`lookup` has no answer for who is no endpoint', () => {
  const { desired } = worldOf([]).tables;
  const flow = { direction: 'ingress', peer: RESERVED.host, l4: l4(80) } as const;
  assert.equal(lookup(desired, { ...flow, subject: identity(60_000) }), undefined);
  assert.equal(lookup(desired, { ...flow, subject: RESERVED.worldIpv4 }), undefined);
});

test('`identityAt` takes the longest prefix, and the world where there is none', () => {
  const world = worldOf([CIDR]);
  const pod = world.tables.inputs.endpoints.get('default/web');
  assert.ok(pod?.ip4 && pod.ip6);
  const lookups = createLookup(world.tables.desired);
  const own = world.tables.desired.enforcement.get('default/web')?.identity;
  assert.equal(lookups.identityAt(pod.ip4), own);
  assert.equal(lookups.identityAt(pod.ip6), own);
  const wide = lookups.identityAt(address('192.0.2.1'));
  const narrow = lookups.identityAt(address('192.0.2.200'));
  assert.notEqual(wide, narrow);
  assert.ok(wide >= 1 << 24 && narrow >= 1 << 24);
  assert.equal(lookups.identityAt(address('203.0.113.1')), RESERVED.worldIpv4);
  assert.equal(lookups.identityAt(address('2001:db8::1')), RESERVED.worldIpv6);
});
