import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { address } from '#common/ip.ts';
import * as abi from './abi.ts';

describe('codecs', () => {
  const one = address('10.0.0.1');
  const two = address('fd00::2');

  test('a value survives encoding, in any place of a larger buffer', () => {
    const value: abi.BackendValue = { ip: two, port: 8080, protocol: 6, flags: 0 };
    const buffer = new Uint8Array(64).fill(0xee);
    abi.backendValue.encode(value, buffer, 8);
    assert.deepEqual(abi.backendValue.decode(buffer, 8), value);
    assert.deepEqual([buffer[7], buffer[8 + abi.backendValue.size]], [0xee, 0xee]);
  });

  test('ports are in network order, numbers in host order, padding is zero', () => {
    const bytes = abi.policyKey.encode(
      { prefixlen: 96, edition: 0x01020304, peers: 5, protocol: 6, port: 0x1f90 },
      new Uint8Array(16).fill(0xff),
    );
    assert.equal(Buffer.from(bytes).toString('hex'), '60000000040302010500000000061f90');
    const key = abi.serviceKey.encode({ ip: one, port: 80, protocol: 6, slot: 0 }, new Uint8Array(24).fill(0xff));
    assert.equal(key[19], 0);
  });

  test('a buffer that is too short is refused', () => {
    assert.throws(() => abi.ctEntry.decode(new Uint8Array(100)), RangeError);
    assert.throws(() => abi.ctEntry.encode(abi.ctEntry.decode(new Uint8Array(112)), new Uint8Array(100)), RangeError);
  });

  test('64-bit values are whole', () => {
    const entry = abi.ctEntry.decode(new Uint8Array(112));
    const side = { ...entry.forward, packets: 2n ** 64n - 1n };
    assert.equal(abi.ctEntry.decode(abi.ctEntry.encode({ ...entry, forward: side })).forward.packets, 2n ** 64n - 1n);
  });
});

describe('connectionKey', () => {
  for (const { what, a, b } of [
    { what: 'addresses', a: ['10.0.0.1', 9], b: ['10.0.0.2', 1] },
    { what: 'families', a: ['10.0.0.1', 9], b: ['fd00::1', 1] },
    { what: 'the last byte above 127', a: ['10.0.0.127', 9], b: ['10.0.0.128', 1] },
    { what: 'ports as numbers', a: ['10.0.0.1', 255], b: ['10.0.0.1', 256] },
  ] as const) {
    test(`orders by ${what}, whichever end is named first`, () => {
      const one = { address: address(a[0]), port: a[1] };
      const two = { address: address(b[0]), port: b[1] };
      const key = abi.connectionKey(one, two, 6);
      assert.deepEqual(abi.connectionKey(two, one, 6), key);
      assert.deepEqual([key.ipA, key.portA, key.ipB, key.portB], [one.address, one.port, two.address, two.port]);
      assert.deepEqual([abi.isEndA(one, two), abi.isEndA(two, one)], [true, false]);
    });
  }
});

test('every drop reason has a text and a name in flow.DropReason', () => {
  const rows = Object.entries(abi.DROP_REASONS);
  assert.ok(rows.length > 20);
  for (const [number, row] of rows) {
    assert.ok(row.text !== '' && row.meaning !== '' && /^[A-Z0-9_]+$/.test(row.flowName), number);
    assert.equal((abi as unknown as Record<string, number>)[row.name], Number(number));
  }
  assert.equal(new Set(rows.map(([, row]) => row.text)).size, rows.length);
});
