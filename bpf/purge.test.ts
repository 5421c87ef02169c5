// The program purge on the kernel's own conntrack: what it deletes, and that it leaves alone everything else.
//
//   client 10.244.0.10 --lxca--> node --lxcb--> server 10.244.0.11   (its packets create entries meanwhile)

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, beforeEach, describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { type Address, address, formatAddress } from '#common/ip.ts';
import { type CtKey, connectionKey, ctEntry, PURGE_ADDRESSES } from './abi.ts';
import type { BpfMap } from './maps.ts';
import { runPurge } from './purge.ts';
import { createScene, type Scene } from './testing/scene.ts';

type Pair = readonly [string, string];

const ENTRY = ctEntry.decode(new Uint8Array(ctEntry.size));
let scene: Scene;
let conntrack: BpfMap<CtKey, typeof ENTRY>;
before(async () => {
  scene = await createScene('purge');
  conntrack = scene.topology.datapath.maps.conntrack;
});
after(() => scene?.[Symbol.dispose]());
beforeEach(() => scene.reset());

function connection(from: string, to: string, port = 1000): CtKey {
  return connectionKey({ address: address(from), port }, { address: address(to), port: 80 }, 6);
}
function track(keys: readonly CtKey[]): void {
  assert.equal(conntrack.setMany(keys.map((key) => [key, ENTRY])), keys.length);
}
const purge = (addresses: readonly Address[]): number =>
  runPurge(scene.topology.datapath.programFd('purge'), addresses);
const textOf = ({ ipA, ipB, portA, portB }: CtKey): string =>
  `${formatAddress(ipA)} ${portA} ${formatAddress(ipB)} ${portB}`;
const tracked = (): string[] =>
  conntrack
    .entries()
    .map(([key]) => textOf(key))
    .sort();
const numbered = (count: number, prefix: string): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}.${i >> 8}.${i & 255}`);

const POD = '10.0.0.1';
const POD6 = 'fd00::a00:1'; // its last four bytes are those of POD

describe('purge', () => {
  for (const { what, gone, goes, stays } of [
    {
      what: 'an IPv4 address as either end',
      gone: [POD],
      goes: [
        [POD, '10.0.0.2'],
        ['9.0.0.1', POD],
      ],
      stays: [],
    },
    {
      what: 'an IPv6 address as either end',
      gone: [POD6],
      goes: [
        [POD6, 'fd00::b'],
        ['fc00::1', POD6],
      ],
      stays: [],
    },
    { what: 'a connection between two of them, once', gone: [POD, '10.0.0.2'], goes: [[POD, '10.0.0.2']], stays: [] },
    {
      what: 'an IPv4 address and no other with its last bytes',
      gone: [POD],
      goes: [[POD, '10.9.9.9']],
      stays: [
        [POD6, 'fd00::b'],
        ['fc00::1', POD6],
        ['::a00:1', '::fffe:a00:1'],
      ],
    },
    {
      what: 'an IPv6 address and no other with its last bytes',
      gone: [POD6],
      goes: [[POD6, 'fd00::b']],
      stays: [
        [POD, '10.9.9.9'],
        ['9.0.0.1', POD],
        ['fd01::a00:1', 'fd00:0:0:1::a00:1'],
        ['fd00::1:a00:1', 'fe00::'],
      ],
    },
    {
      what: 'no address that differs in its last byte',
      gone: [POD],
      goes: [],
      stays: [
        ['10.0.0.0', '10.0.0.2'],
        ['10.0.0.129', '10.0.0.17'],
      ],
    },
    {
      what: 'nothing for no address',
      gone: [],
      goes: [],
      stays: [
        [POD, '10.0.0.2'],
        ['::', 'fd00::b'],
      ],
    },
    {
      what: 'only what it is told of, not the zeros that follow',
      gone: ['fd00::'],
      goes: [['fd00::', 'fd00::b']],
      stays: [['::', 'fd00::b']],
    },
  ] satisfies { what: string; gone: string[]; goes: Pair[]; stays: Pair[] }[]) {
    test(`deletes ${what}`, () => {
      track([...goes, ...stays].map(([from, to]) => connection(from, to)));
      assert.equal(purge(gone.map(address)), goes.length);
      assert.deepEqual(tracked(), stays.map(([from, to]) => textOf(connection(from, to))).sort());
    });
  }

  test(`takes ${PURGE_ADDRESSES} addresses at once, and no more`, () => {
    const all = numbered(2 * PURGE_ADDRESSES, '10.1');
    track(all.map((ip) => connection(ip, '172.16.0.1')));
    assert.equal(purge(all.slice(0, PURGE_ADDRESSES).map(address)), PURGE_ADDRESSES);
    const left = all.slice(PURGE_ADDRESSES);
    assert.deepEqual(tracked(), left.map((ip) => textOf(connection(ip, '172.16.0.1'))).sort());
    assert.throws(() => purge(all.slice(0, PURGE_ADDRESSES + 1).map(address)), /Cannot purge 65 addresses at once/);
  });

  test('deletes those and no others among ten thousand, whose last bytes share every place of its filter', () => {
    const all = numbered(10_000, '10.4');
    const keys = all.map((ip, i) => connection(ip, all[(i * 7919 + 1) % all.length] ?? ip, 1 + i));
    track(keys);
    for (const count of [1, 2, 40]) {
      const gone = new Set(all.splice(-count).map(address));
      const isGone = ({ ipA, ipB }: CtKey): boolean => gone.has(ipA) || gone.has(ipB);
      const before = conntrack.count();
      const deleted = purge([...gone]);
      assert.ok(deleted >= count);
      assert.equal(conntrack.count(), before - deleted);
      assert.equal(conntrack.entries().filter(([key]) => isGone(key)).length, 0);
    }
    const removed = new Set(numbered(10_000, '10.4').slice(-43).map(address));
    const left = keys.filter(({ ipA, ipB }) => !removed.has(ipA) && !removed.has(ipB));
    assert.deepEqual(tracked(), left.map(textOf).sort());
  });

  test('counts right and touches nothing else while packets create entries', async () => {
    scene.allowAll();
    const stays = numbered(1000, '10.2').map((ip) => connection(ip, '172.16.0.1'));
    const goes = numbered(500, '10.3').map((ip) => connection(POD, ip));
    track(stays);
    const PORTS = 20_000;
    const flood = `const s = require('dgram').createSocket('udp4');
      let sent = 0, done = 0;
      const next = () => { if (sent < ${PORTS}) s.send('x', ++sent, '${scene.server.ip4}', () => { if (++done === ${PORTS}) s.close(); next(); }); };
      for (let i = 0; i < 100; i++) next();`;
    const sender = scene.topology.start(scene.client, [process.execPath, '-e', flood]);
    const ended = once(sender, 'exit');
    let [rounds, during] = [0, 0];
    while (sender.exitCode === null || rounds < 5) {
      const before = conntrack.count();
      track(goes);
      assert.equal(purge([address(POD)]), goes.length);
      if (conntrack.count() > before) during++;
      rounds++;
      await setImmediate();
    }
    assert.deepEqual(await ended, [0, null]);
    assert.ok(during > 0, `packets created entries in none of ${rounds} rounds`);
    for (const key of stays) assert.ok(conntrack.get(key), textOf(key));
    const fromClient = conntrack.entries().filter(([{ ipA }]) => ipA === scene.client.address4);
    assert.equal(fromClient.length, PORTS);
    assert.equal(conntrack.count(), stays.length + PORTS);
  });
});
