// Uses of policy entries: counted once for each connection, under the entry that decided. By test run.
//
//   client (identity 300) --lxca--> node --lxcb--> server (identity 400)

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import * as abi from './abi.ts';
import * as packet from './testing/packet.ts';
import { type RuleOptions, writeEntry, writePeer } from './testing/policy.ts';
import { TC } from './testing/run.ts';
import { CLIENT, createScene, data, FAMILIES, type Family, type Scene, SERVER, syn } from './testing/scene.ts';

let scene: Scene;
before(async () => {
  scene = await createScene('count');
});
after(() => scene?.[Symbol.dispose]());
beforeEach(() => scene.reset());

const TCP = packet.PROTOCOL.tcp;
const ends = (family: Family): packet.Ends => scene.ends(scene.client, scene.server, family);

/** Counters as "subject peers direction protocol port/l4Bits" (255: no entry): hits, those with an audit as "hits (audited)". */
function counted(): Record<string, string> {
  const { policy_counters: map } = scene.topology.datapath.maps;
  const rows = map.entries().map(([key, { hits, audited }]): [string, string] => {
    const { subject, peers, direction, protocol, port, l4Bits } = key;
    const name = `${subject} ${peers} ${direction === abi.POLICY_EGRESS ? 'egress' : 'ingress'} ${protocol} ${port}/${l4Bits}`;
    return [name, audited > 0n ? `${hits} (${audited})` : `${hits}`];
  });
  return Object.fromEntries(rows.sort(([a], [b]) => (a < b ? -1 : 1)));
}

const ENTRIES: readonly { readonly what: string; readonly options: RuleOptions; readonly key: string }[] = [
  { what: 'everything', options: {}, key: '400 0 ingress 0 0/0' },
  { what: 'a peer', options: { peer: CLIENT.identity }, key: '400 300 ingress 0 0/0' },
  { what: 'a protocol', options: { protocol: TCP }, key: '400 0 ingress 6 0/8' },
  { what: 'a port', options: { peer: CLIENT.identity, protocol: TCP, port: 80 }, key: '400 300 ingress 6 80/24' },
  { what: 'a range', options: { protocol: TCP, port: 64, l4Bits: 18 }, key: '400 0 ingress 6 64/18' },
];

describe('counters of policy entries', () => {
  for (const { what, options, key } of ENTRIES) {
    for (const family of FAMILIES) {
      test(`IPv${family}: an entry for ${what} has its own key`, () => {
        scene.rule(CLIENT.identity, 'egress', 'allow');
        scene.rule(SERVER.identity, 'ingress', 'allow', options);
        assert.equal(scene.fromPod(scene.client, syn(ends(family))).verdict, TC.redirect);
        assert.deepEqual(counted(), { '300 0 egress 0 0/0': '1', [key]: '1' });
      });
    }
  }

  test('the set that decided has the counter, whichever edition says so', () => {
    const { maps } = scene.topology.datapath;
    scene.rule(CLIENT.identity, 'egress', 'allow');
    scene.rule(SERVER.identity, 'ingress', 'allow', { peer: 7 });
    scene.rule(SERVER.identity, 'ingress', 'redirect', { peer: 8, protocol: TCP, port: 80, precedence: 2 });
    writePeer(maps, CLIENT.identity, [7, 9, 8]);
    scene.fromPod(scene.client, syn(ends(4), 80));
    scene.fromPod(scene.client, syn(ends(4), 81));
    const row = maps.subjects.get(SERVER.identity);
    assert.ok(row);
    writeEntry(maps, { edition: 12, peers: 7, action: 'allow' });
    maps.subjects.set(SERVER.identity, { ...row, ingress: { ...row.ingress, edition: 12 } });
    scene.fromPod(scene.client, syn(ends(4), 82));
    maps.subjects.set(SERVER.identity, { ...row, ingress: { ...row.ingress, also: 12 } });
    scene.fromPod(scene.client, syn(ends(4), 83));
    const wanted = { '300 0 egress 0 0/0': '4', '400 7 ingress 0 0/0': '3', '400 8 ingress 6 80/24': '1' };
    assert.deepEqual(counted(), wanted);
  });

  test('a denial for want of an entry, a row, an edition or somebody who allows is one of none', () => {
    const { maps } = scene.topology.datapath;
    scene.rule(CLIENT.identity, 'egress', 'allow');
    const denied = (): void => assert.equal(scene.fromPod(scene.client, syn(ends(4))).reason, abi.DROP_POLICY_DENIED);
    denied();
    scene.rule(SERVER.identity, 'ingress', 'refuse', { peer: CLIENT.identity, protocol: TCP, port: 80 });
    denied();
    scene.rule(SERVER.identity, 'ingress', 'allow');
    maps.peer_sets.delete({ identity: CLIENT.identity, block: 0 });
    denied();
    assert.deepEqual(counted(), { '300 0 egress 0 0/0': '3', '400 0 ingress 0 0/255': '3' });
  });

  test('a connection counts once, not by packets, nor when its verdict is made anew', () => {
    scene.allowAll();
    for (const frame of [syn(ends(4)), data(ends(4)), data(ends(4))]) scene.fromPod(scene.client, frame);
    scene.revise();
    scene.fromPod(scene.client, data(ends(4)));
    assert.deepEqual(counted(), { '300 0 egress 0 0/0': '1', '400 0 ingress 0 0/0': '1' });
    scene.fromPod(scene.client, syn(ends(4), 80, 40001));
    assert.deepEqual(counted(), { '300 0 egress 0 0/0': '2', '400 0 ingress 0 0/0': '2' });
  });

  test('every packet that is denied counts, by the entry that denied it or as by none', () => {
    scene.rule(CLIENT.identity, 'egress', 'allow');
    scene.rule(SERVER.identity, 'ingress', 'deny', { protocol: TCP, port: 80 });
    for (let i = 0; i < 3; i++) scene.fromPod(scene.client, syn(ends(4), 80));
    for (let i = 0; i < 2; i++) scene.fromPod(scene.client, syn(ends(4), 81));
    assert.deepEqual(counted(), {
      '300 0 egress 0 0/0': '5',
      '400 0 ingress 0 0/255': '2',
      '400 0 ingress 6 80/24': '3',
    });
  });

  test('what passed because of audit mode is counted apart', () => {
    scene.rule(CLIENT.identity, 'egress', 'allow');
    scene.fromPod(scene.client, syn(ends(4)));
    scene.revise({ flags: abi.NODE_AUDIT });
    scene.fromPod(scene.client, syn(ends(4)));
    scene.fromPod(scene.client, syn(ends(4), 81));
    assert.deepEqual(counted(), { '300 0 egress 0 0/0': '3', '400 0 ingress 0 0/255': '3 (2)' });
  });

  test('says when an entry was used last', () => {
    scene.allowAll();
    const before = Math.floor(Number(process.hrtime.bigint() / 1_000_000_000n)) - 5;
    scene.fromPod(scene.client, syn(ends(4)));
    for (const [, { lastUsed }] of scene.topology.datapath.maps.policy_counters.entries()) {
      assert.ok(lastUsed >= before && lastUsed <= before + 30, `${lastUsed} is not about ${before}`);
    }
  });
});

describe('a full map of counters', () => {
  test('changes no verdict, and what is not counted is', () => {
    const { policy_counters: map } = scene.topology.datapath.maps;
    scene.allowAll();
    const key = { subject: 1, peers: 0, direction: abi.POLICY_EGRESS, protocol: 0, port: 0, l4Bits: 0 };
    for (let peers = 0; map.capacity > peers; peers++)
      map.set({ ...key, peers }, { hits: 0n, audited: 0n, lastUsed: 0 });
    const lost = (): bigint => scene.topology.datapath.losses()[abi.LOSS_POLICY_COUNTER] ?? 0n;
    const before = lost();
    assert.equal(scene.fromPod(scene.client, syn(ends(4))).verdict, TC.redirect);
    assert.equal(lost() - before, 2n);
  });
});
