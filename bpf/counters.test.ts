// Uses of policy entries: counted once for each connection, under the entry that decided. By test run.
//
//   client (identity 300) --lxca--> node --lxcb--> server (identity 400)

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import * as abi from './abi.ts';
import * as packet from './testing/packet.ts';
import { TC } from './testing/run.ts';
import {
  CLIENT,
  createScene,
  data,
  FAMILIES,
  type Family,
  type RuleOptions,
  type Scene,
  SERVER,
  syn,
} from './testing/scene.ts';

let scene: Scene;
before(async () => {
  scene = await createScene('count');
});
after(() => scene?.[Symbol.dispose]());
beforeEach(() => scene.reset());

const TCP = packet.PROTOCOL.tcp;
const ends = (family: Family): packet.Ends => scene.ends(scene.client, scene.server, family);

/** Counters as "subject peer direction protocol port/prefixlen": hits, those with an audit as "hits (audited)". */
function counted(): Record<string, string> {
  const { policy_counters: map } = scene.topology.datapath.maps;
  const rows = map.entries().map(([key, { hits, audited }]): [string, string] => {
    const { subject, peer, direction, protocol, port, prefixlen } = key;
    const name = `${subject} ${peer} ${direction === abi.POLICY_EGRESS ? 'egress' : 'ingress'} ${protocol} ${port}/${prefixlen}`;
    return [name, audited > 0n ? `${hits} (${audited})` : `${hits}`];
  });
  return Object.fromEntries(rows.sort(([a], [b]) => (a < b ? -1 : 1)));
}

const ENTRIES: readonly { readonly what: string; readonly options: RuleOptions; readonly key: string }[] = [
  { what: 'everything', options: {}, key: '400 0 ingress 0 0/72' },
  { what: 'a peer', options: { peer: CLIENT.identity }, key: '400 300 ingress 0 0/72' },
  { what: 'a protocol', options: { protocol: TCP }, key: '400 0 ingress 6 0/80' },
  { what: 'a port', options: { peer: CLIENT.identity, protocol: TCP, port: 80 }, key: '400 300 ingress 6 80/96' },
  { what: 'a range', options: { protocol: TCP, port: 64, l4Bits: 18 }, key: '400 0 ingress 6 64/90' },
];

describe('counters of policy entries', () => {
  for (const { what, options, key } of ENTRIES) {
    for (const family of FAMILIES) {
      test(`IPv${family}: an entry for ${what} has its own key`, () => {
        scene.rule(CLIENT.identity, 'egress', 'allow');
        scene.rule(SERVER.identity, 'ingress', 'allow', options);
        assert.equal(scene.fromPod(scene.client, syn(ends(family))).verdict, TC.redirect);
        assert.deepEqual(counted(), { '300 0 egress 0 0/72': '1', [key]: '1' });
      });
    }
  }

  test('a connection counts once, not by packets, nor when its verdict is made anew', () => {
    scene.allowAll();
    for (const frame of [syn(ends(4)), data(ends(4)), data(ends(4))]) scene.fromPod(scene.client, frame);
    scene.revise();
    scene.fromPod(scene.client, data(ends(4)));
    assert.deepEqual(counted(), { '300 0 egress 0 0/72': '1', '400 0 ingress 0 0/72': '1' });
    scene.fromPod(scene.client, syn(ends(4), 80, 40001));
    assert.deepEqual(counted(), { '300 0 egress 0 0/72': '2', '400 0 ingress 0 0/72': '2' });
  });

  test('every packet that is denied counts, by the entry that denied it or as by none', () => {
    scene.rule(CLIENT.identity, 'egress', 'allow');
    scene.rule(SERVER.identity, 'ingress', 'deny', { protocol: TCP, port: 80 });
    for (let i = 0; i < 3; i++) scene.fromPod(scene.client, syn(ends(4), 80));
    for (let i = 0; i < 2; i++) scene.fromPod(scene.client, syn(ends(4), 81));
    assert.deepEqual(counted(), {
      '300 0 egress 0 0/72': '5',
      '400 0 ingress 0 0/0': '2',
      '400 0 ingress 6 80/96': '3',
    });
  });

  test('what passed because of audit mode is counted apart', () => {
    scene.rule(CLIENT.identity, 'egress', 'allow');
    scene.fromPod(scene.client, syn(ends(4)));
    scene.revise({ flags: abi.NODE_AUDIT });
    scene.fromPod(scene.client, syn(ends(4)));
    scene.fromPod(scene.client, syn(ends(4), 81));
    assert.deepEqual(counted(), { '300 0 egress 0 0/72': '3', '400 0 ingress 0 0/0': '3 (2)' });
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
    const key = { subject: 1, peer: 0, direction: abi.POLICY_EGRESS, protocol: 0, port: 0, prefixlen: 72 };
    for (let peer = 0; map.capacity > peer; peer++) map.set({ ...key, peer }, { hits: 0n, audited: 0n, lastUsed: 0 });
    const lost = (): bigint => scene.topology.datapath.losses()[abi.LOSS_POLICY_COUNTER] ?? 0n;
    const before = lost();
    assert.equal(scene.fromPod(scene.client, syn(ends(4))).verdict, TC.redirect);
    assert.equal(lost() - before, 2n);
  });
});
