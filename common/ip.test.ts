import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addOffset, address, addressKey, familyOf, formatAddress, formatCidr, parseAddress, parseCidr } from './ip.ts';

const roundTrips = [
  { text: '10.0.0.1', family: 4, shown: '10.0.0.1' },
  { text: '255.255.255.255', family: 4, shown: '255.255.255.255' },
  { text: '::', family: 6, shown: '::' },
  { text: '::1', family: 6, shown: '::1' },
  { text: 'fd00:0:0:0:0:0:0:1', family: 6, shown: 'fd00::1' },
  { text: 'FD00:10:244::A', family: 6, shown: 'fd00:10:244::a' },
  { text: '1:0:0:2:0:0:0:3', family: 6, shown: '1:0:0:2::3' },
  { text: '1:2:3:4:5:6:7:8', family: 6, shown: '1:2:3:4:5:6:7:8' },
  { text: '1:0:3:4:5:6:7:8', family: 6, shown: '1:0:3:4:5:6:7:8' },
  { text: '1::', family: 6, shown: '1::' },
  { text: '64:ff9b::192.0.2.33', family: 6, shown: '64:ff9b::c000:221' },
] as const;

for (const { text, family, shown } of roundTrips) {
  test(`formatAddress shows ${text} as ${shown}`, () => {
    const parsed = address(text);
    assert.equal(parsed.length, 16);
    assert.equal(familyOf(parsed), family);
    assert.equal(formatAddress(parsed), shown);
  });
}

test('parseAddress reads a mapped IPv4 address as IPv4', () => {
  assert.equal(addressKey(address('::ffff:10.0.0.1')), addressKey(address('10.0.0.1')));
});

for (const text of ['', '10.0.0', '10.0.0.256', '1::2::3', 'fe80::1%eth0', 'localhost', '10.0.0.1/8']) {
  test(`parseAddress refuses "${text}"`, () => {
    const parsed = parseAddress(text);
    assert.equal(parsed.ok, false);
    assert.throws(() => address(text), /Cannot parse address/);
  });
}

const prefixes = [
  { text: '10.0.0.0/8', bits: 104 },
  { text: '0.0.0.0/0', bits: 96 },
  { text: '10.1.2.3/32', bits: 128 },
  { text: 'fd00::/64', bits: 64 },
  { text: '::/0', bits: 0 },
] as const;
for (const { text, bits } of prefixes) {
  test(`parseCidr gives ${text} ${bits} bits`, () => {
    const parsed = parseCidr(text);
    assert.ok(parsed.ok);
    assert.equal(parsed.value.bits, bits);
    assert.equal(formatCidr(parsed.value), text);
  });
}

for (const text of [
  '10.0.0.0',
  '10.0.0.0/33',
  '10.0.0.1/8',
  'fd00::1/64',
  'fd00::/129',
  '10.0.0.0/-1',
  'x/8',
  '10.0.0.0/',
]) {
  test(`parseCidr refuses "${text}"`, () => assert.equal(parseCidr(text).ok, false));
}

test('addOffset carries over bytes and leaves the base alone', () => {
  const base = address('10.0.0.250');
  assert.equal(formatAddress(addOffset(base, 10)), '10.0.1.4');
  assert.equal(formatAddress(addOffset(address('fd00::ffff'), 1)), 'fd00::1:0');
  assert.equal(formatAddress(base), '10.0.0.250');
});
