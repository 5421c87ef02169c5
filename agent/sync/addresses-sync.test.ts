import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ADDR_MANAGED, type IdentityKey, type IdentityValue, MAPS } from '#bpf/abi.ts';
import { type Identity, identity, RESERVED } from '#common/ids.ts';
import { type Address, address, covers, formatAddress, parseCidr } from '#common/ip.ts';
import { createTable } from '#common/table.ts';
import type { AddressRow } from '../tables.ts';
import { type AddressSync, createAddressSync } from './addresses-sync.ts';
import { type FakeMap, fakeMap } from './fake-map.ts';
import { mirrorMap } from './map.ts';
import { random } from './random-tables.fixture.ts';

const PREFIXES = [
  '::/0',
  '0.0.0.0/0',
  '10.0.0.0/8',
  '10.0.0.0/12',
  '10.0.0.0/16',
  '10.0.1.0/24',
  '10.0.1.1/32',
  'fd00::/8',
];
const SAMPLES = ['10.0.1.1', '10.0.1.2', '10.0.2.1', '10.1.0.1', '10.200.0.1', '192.0.2.1', 'fd00::1', '2001:db8::1'];
const [NARROW, WIDE] = [() => true, () => false];

interface Rig {
  readonly map: FakeMap<IdentityKey, IdentityValue>;
  readonly sync: AddressSync;
  set(text: string, id: number | undefined, flags?: number): void;
  /** Identity of an address as the kernel finds it; -1: dropped. */
  at(ip: string): number;
  /** An update; what `isNarrower` decides of. Returns whether policy may get wider. */
  apply(isNarrower?: (a: Identity, b: Identity) => boolean): boolean;
}

function rig(capacity = 100): Rig {
  const table = createTable<AddressRow>('addresses');
  const map = fakeMap<IdentityKey, IdentityValue>(MAPS.identities.key, capacity);
  const sync = createAddressSync(table, mirrorMap('identities', map, MAPS.identities));
  return {
    map,
    sync,
    set(text, id, flags = 0) {
      const cidr = parseCidr(text);
      assert.ok(cidr.ok);
      if (id === undefined) table.delete(text);
      else table.set(text, { cidr: cidr.value, identity: identity(id), flags });
    },
    at(text) {
      const ip = address(text);
      const found = map
        .entries()
        .filter(([key]) => isIn(ip, key))
        .sort(([a], [b]) => b.prefixlen - a.prefixlen)[0]?.[1];
      if (found && found.flags & ADDR_MANAGED) return -1;
      return found?.identity ?? (text.includes(':') ? RESERVED.worldIpv6 : RESERVED.worldIpv4);
    },
    apply(isNarrower = WIDE) {
      sync.close();
      const safe = sync.move(isNarrower);
      sync.open();
      return safe;
    },
  };
}

function isIn(ip: Address, { ip: base, prefixlen }: IdentityKey): boolean {
  return covers({ address: base, bits: prefixlen }, { address: ip, bits: 128 });
}

describe('createAddressSync', () => {
  it('takes every address from its old identity to its new one in one step', () => {
    for (let seed = 1; seed <= 500; seed++) {
      const pick = random(seed);
      const r = rig();
      for (let update = 0; update < 4; update++) {
        const before = SAMPLES.map(r.at);
        const steps: number[][] = [];
        r.map.onWrite = () => void steps.push(SAMPLES.map(r.at));
        for (const text of PREFIXES) if (pick(2) === 0) r.set(text, pick(2) === 0 ? undefined : 1000 + pick(4));
        assert.equal(r.apply(), true);
        assert.deepEqual(r.sync.pending(), []);
        const after = SAMPLES.map(r.at);
        for (const step of steps) {
          for (const [i, id] of step.entries()) {
            assert.ok(id === before[i] || id === after[i], `seed ${seed}: ${SAMPLES[i]} is ${id}`);
          }
        }
      }
    }
  });

  it('keeps an IPv6 prefix from covering IPv4 addresses', () => {
    const r = rig();
    r.map.onWrite = () => assert.equal(r.at('192.0.2.1'), RESERVED.worldIpv4);
    r.set('::/0', 5000);
    r.apply();
    assert.equal(r.at('2001:db8::1'), 5000);
    r.map.onWrite = undefined;
    r.set('0.0.0.0/0', 6000);
    r.apply();
    assert.equal(r.at('192.0.2.1'), 6000);
    r.set('0.0.0.0/0', undefined);
    r.apply();
    assert.equal(r.at('192.0.2.1'), RESERVED.worldIpv4);
  });

  it("closes an endpoint's address while it changes, and opens it last", () => {
    const r = rig();
    r.set('10.0.1.1/32', 300, ADDR_MANAGED);
    r.set('10.0.0.0/8', 5000);
    r.apply();
    assert.equal(r.at('10.0.1.1'), -1, 'an endpoint, which endpoint_addrs knows');
    r.set('10.0.1.1/32', undefined);
    r.sync.close();
    r.sync.move(WIDE);
    assert.equal(r.at('10.0.1.1'), -1);
    r.sync.open();
    assert.equal(r.at('10.0.1.1'), 5000);
  });

  const ROOM = [
    { what: 'a new prefix that is wanted for more rights', isNarrower: NARROW, safe: true },
    { what: 'a new prefix that is wanted for fewer rights', isNarrower: WIDE, safe: false },
  ];
  for (const { what, isNarrower, safe } of ROOM) {
    it(`says whether policy may get wider without room for ${what}`, () => {
      const r = rig(2);
      r.set('10.0.0.0/8', 5000);
      assert.equal(r.apply(WIDE), true);
      r.set('10.0.1.0/24', 5001);
      const asked: number[][] = [];
      const answer = r.apply((a, b) => {
        asked.push([a, b]);
        return isNarrower();
      });
      assert.equal(answer, safe);
      assert.deepEqual(asked, [[5000, 5001]]);
      assert.deepEqual(r.sync.pending(), ['10.0.1.0/24']);
      r.map.capacity = 3;
      assert.equal(r.apply(WIDE), true);
      assert.equal(r.at('10.0.1.9'), 5001);
      assert.deepEqual(r.sync.pending(), []);
    });
  }

  it('without room, gives nobody an identity that is neither old nor new, and finds room where there is some', () => {
    let stuck = 0;
    for (let seed = 1; seed <= 500; seed++) {
      const pick = random(seed);
      const r = rig(2 + pick(4));
      let wanted = new Map<string, number>();
      for (let update = 0; update < 3; update++) {
        const before = SAMPLES.map(r.at);
        const clear = r.sync.pending().length === 0;
        const next = new Map(wanted);
        for (const text of PREFIXES) if (pick(2) === 0) next.delete(text);
        for (const text of PREFIXES) if (pick(3) === 0) next.set(text, 1000 + pick(4));
        for (const text of PREFIXES) r.set(text, next.get(text));
        wanted = next;
        const steps: number[][] = [];
        r.map.onWrite = () => void steps.push(SAMPLES.map(r.at));
        r.apply();
        const ideal = rig();
        for (const [text, id] of next) ideal.set(text, id);
        ideal.apply();
        const after = SAMPLES.map(ideal.at);
        if (r.sync.pending().length > 0) stuck++;
        for (const step of clear ? steps : []) {
          for (const [i, id] of step.entries()) {
            const where = `seed ${seed} update ${update}: ${SAMPLES[i]} is ${id}, was ${before[i]}, shall be ${after[i]}`;
            assert.ok(id === before[i] || id === after[i], where);
          }
        }
      }
    }
    assert.ok(stuck > 100);
  });

  it("keeps an endpoint's address closed until what it would fall to is final", () => {
    const r = rig(3);
    r.set('10.0.1.1/32', 300, ADDR_MANAGED);
    r.set('10.0.0.0/8', 5000);
    r.apply();
    r.set('10.0.1.1/32', undefined);
    r.set('10.0.0.0/8', 5001);
    r.set('10.0.1.0/24', 5002);
    r.map.capacity = 2;
    r.apply();
    assert.equal(r.at('10.0.1.1'), -1);
    r.map.capacity = 4;
    r.apply();
    assert.equal(r.at('10.0.1.1'), 5002);
  });

  it('knows which identities begin and end', () => {
    const r = rig();
    r.set('10.0.0.0/8', 5000);
    r.apply();
    r.set('10.0.0.0/8', 5001);
    const said = [5000, 5001, RESERVED.worldIpv4].map((id) => [
      r.sync.isFresh(identity(id)),
      r.sync.isLeaving(identity(id)),
    ]);
    assert.deepEqual(said, [
      [false, true],
      [true, false],
      [false, false],
    ]);
    r.apply();
    assert.equal(r.sync.isFresh(identity(5001)), false);
    assert.equal(r.sync.isFresh(identity(5000)), true);
  });

  it('adopts what a dead agent left, and prunes it', () => {
    const r = rig();
    r.set('10.0.0.0/8', 5000);
    r.set('10.0.0.0/16', 5001);
    r.apply();
    const table = createTable<AddressRow>('addresses');
    const again = createAddressSync(table, mirrorMap('identities', r.map, MAPS.identities));
    const written = r.map.writes;
    again.close();
    assert.equal(again.move(WIDE), true);
    assert.equal(r.map.writes - written, 2);
    assert.equal(r.at('10.0.0.1'), RESERVED.worldIpv4);
    assert.deepEqual(
      SAMPLES.map((ip) => formatAddress(address(ip))),
      SAMPLES,
    );
  });
});
