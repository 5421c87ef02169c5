import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  addOffset,
  address,
  addressBytes,
  covers,
  familyOf,
  formatAddress,
  formatCidr,
  masked,
  parseAddress,
  parseCidr,
  readAddress,
  writeAddress,
} from './ip.ts';

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
  assert.equal(address('::ffff:10.0.0.1'), address('10.0.0.1'));
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

for (const { text, bits, kept } of [
  { text: '10.127.3.200', bits: 128, kept: '10.127.3.200' },
  { text: '10.127.3.200', bits: 122, kept: '10.127.3.192' },
  { text: '10.127.3.200', bits: 104, kept: '10.0.0.0' },
  { text: '10.127.3.200', bits: 96, kept: '0.0.0.0' },
  { text: '10.127.3.200', bits: 0, kept: '::' },
  { text: 'fd00:10:244::ffff', bits: 121, kept: 'fd00:10:244::ff80' },
]) {
  test(`masked keeps ${bits} bits of ${text}`, () => assert.equal(formatAddress(masked(address(text), bits)), kept));
}

test('an address is its 16 bytes, wherever they are read from and written to', () => {
  const bytes = Uint8Array.from({ length: 20 }, (_, i) => 0xff - i);
  const read = readAddress(bytes, 3);
  assert.equal(formatAddress(read), 'fcfb:faf9:f8f7:f6f5:f4f3:f2f1:f0ef:eeed');
  assert.equal(read, address('fcfb:faf9:f8f7:f6f5:f4f3:f2f1:f0ef:eeed'));
  const target = new Uint8Array(20);
  writeAddress(read, target, 3);
  assert.deepEqual(target.subarray(3, 19), bytes.subarray(3, 19));
  assert.deepEqual(Buffer.from(bytes.subarray(3, 19)), addressBytes(read));
  assert.deepEqual([target[2], target[19]], [0, 0]);
});

for (const { outer, inner, is } of [
  { outer: '10.0.0.0/9', inner: '10.127.0.0/16', is: true },
  { outer: '10.0.0.0/9', inner: '10.128.0.0/16', is: false },
  { outer: '10.0.0.0/16', inner: '10.0.0.0/8', is: false },
  { outer: '10.0.0.1/32', inner: '10.0.0.1/32', is: true },
  { outer: '10.0.0.0/31', inner: '10.0.0.1/32', is: true },
  { outer: '10.0.0.0/31', inner: '10.0.0.2/32', is: false },
  { outer: '0.0.0.0/0', inner: '255.0.0.0/8', is: true },
  { outer: '0.0.0.0/0', inner: 'fd00::/8', is: false },
  { outer: '::/0', inner: '10.0.0.0/8', is: true },
  { outer: '::/0', inner: 'ffff::/16', is: true },
  { outer: 'fd00::/65', inner: 'fd00::7fff:ffff:ffff:ffff/128', is: true },
  { outer: 'fd00::/65', inner: 'fd00::8000:0:0:0/128', is: false },
  { outer: 'fd00::1/128', inner: 'fd00::/127', is: false },
]) {
  test(`covers: ${outer} ${is ? 'covers' : 'does not cover'} ${inner}`, () => {
    const [a, b] = [parseCidr(outer), parseCidr(inner)];
    assert.ok(a.ok && b.ok);
    assert.equal(covers(a.value, b.value), is);
  });
}
