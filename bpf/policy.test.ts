// The verdict of a new connection: identities of both ends, both policies, precedence. By test run.
//
//   client 10.244.0.10 (identity 300) --lxca--> node --lxcb--> server 10.244.0.11 (identity 400)
//                                                |
//                              resolver 10.244.0.2 (identity 102), the world

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { address } from '#common/ip.ts';
import * as abi from './abi.ts';
import * as packet from './testing/packet.ts';
import type { RuleOptions } from './testing/policy.ts';
import { TC } from './testing/run.ts';
import { CLIENT, createScene, FAMILIES, OUTSIDE, RESOLVER, type Scene, SERVER, syn } from './testing/scene.ts';
import type { Pod } from './testing/topology.ts';

let scene: Scene;
before(async () => {
  scene = await createScene('pol');
});
after(() => scene?.[Symbol.dispose]());
beforeEach(() => scene.reset());

type Rule = readonly [number, 'ingress' | 'egress', 'allow' | 'deny' | 'redirect', RuleOptions?];
const OPEN_CLIENT: Rule = [CLIENT.identity, 'egress', 'allow'];
const OPEN_SERVER: Rule = [SERVER.identity, 'ingress', 'allow'];
const TCP = packet.PROTOCOL.tcp;
const UDP = packet.PROTOCOL.udp;

interface PolicyCase {
  readonly what: string;
  readonly rules: readonly Rule[];
  readonly reason: number;
  readonly direction?: number;
  readonly match?: readonly [number, number];
  readonly frame?: (ends: packet.Ends) => Uint8Array;
}

const { POLICY_EGRESS: EGRESS, POLICY_INGRESS: INGRESS } = abi;
const DENIED = { reason: abi.DROP_POLICY_DENIED, direction: INGRESS };
const DENY = { reason: abi.DROP_POLICY_DENY, direction: INGRESS };
const server = (action: 'allow' | 'deny', options: RuleOptions): Rule => [SERVER.identity, 'ingress', action, options];
const peer = CLIENT.identity;

const CASES: readonly PolicyCase[] = [
  { what: 'no entry at all', rules: [], reason: abi.DROP_POLICY_DENIED, direction: EGRESS },
  { what: 'only the client may', rules: [OPEN_CLIENT], ...DENIED },
  { what: 'only the server may', rules: [OPEN_SERVER], reason: abi.DROP_POLICY_DENIED, direction: EGRESS },
  {
    what: 'both may',
    rules: [OPEN_CLIENT, OPEN_SERVER],
    reason: 0,
    match: [abi.MATCH_ALL, abi.MATCH_ALL],
  },
  {
    what: 'denied by an entry of the client',
    rules: [[CLIENT.identity, 'egress', 'deny'], OPEN_SERVER],
    reason: abi.DROP_POLICY_DENY,
    direction: EGRESS,
  },
  { what: 'denied by an entry of the server', rules: [OPEN_CLIENT, server('deny', {})], ...DENY },
  {
    what: 'the peer, any port',
    rules: [OPEN_CLIENT, server('allow', { peer })],
    reason: 0,
    match: [abi.MATCH_ALL, abi.MATCH_L3_ONLY],
  },
  { what: 'another peer', rules: [OPEN_CLIENT, server('allow', { peer: 999 })], ...DENIED },
  {
    what: 'the peer and the port',
    rules: [OPEN_CLIENT, server('allow', { peer, protocol: TCP, port: 80 })],
    reason: 0,
    match: [abi.MATCH_ALL, abi.MATCH_L3_L4],
  },
  { what: 'another port', rules: [OPEN_CLIENT, server('allow', { peer, protocol: TCP, port: 81 })], ...DENIED },
  { what: 'another protocol', rules: [OPEN_CLIENT, server('allow', { peer, protocol: UDP, port: 80 })], ...DENIED },
  {
    what: 'the port, any peer',
    rules: [OPEN_CLIENT, server('allow', { protocol: TCP, port: 80 })],
    reason: 0,
    match: [abi.MATCH_ALL, abi.MATCH_L4_ONLY],
  },
  {
    what: 'the protocol, any peer',
    rules: [OPEN_CLIENT, server('allow', { protocol: TCP })],
    reason: 0,
    match: [abi.MATCH_ALL, abi.MATCH_PROTO_ONLY],
  },
  {
    what: 'a port range that holds it',
    rules: [OPEN_CLIENT, server('allow', { protocol: TCP, port: 64, l4Bits: 18 })], // 64..127
    reason: 0,
    match: [abi.MATCH_ALL, abi.MATCH_L4_ONLY],
  },
  {
    what: 'a port range that does not',
    rules: [OPEN_CLIENT, server('allow', { protocol: TCP, port: 128, l4Bits: 18 })],
    ...DENIED,
  },
  {
    what: 'longest prefix (1)',
    rules: [OPEN_CLIENT, server('allow', { protocol: TCP }), server('deny', { protocol: TCP, port: 80 })],
    ...DENY,
  },
  {
    what: 'higher precedence (2) of any peer beats the peer',
    rules: [OPEN_CLIENT, server('allow', { peer, protocol: TCP, port: 80 }), server('deny', { precedence: 2 })],
    ...DENY,
  },
  {
    what: 'higher precedence (2) of the peer beats any peer',
    rules: [OPEN_CLIENT, server('allow', { peer, precedence: 2 }), server('deny', { protocol: TCP, port: 80 })],
    reason: 0,
  },
  {
    what: 'equal precedence: more bits (3)',
    rules: [OPEN_CLIENT, server('allow', { peer }), server('deny', { protocol: TCP, port: 80 })],
    ...DENY,
  },
  {
    what: 'equal bits: the peer (4)',
    rules: [
      OPEN_CLIENT,
      server('deny', { peer, protocol: TCP, port: 80 }),
      server('allow', { protocol: TCP, port: 80 }),
    ],
    ...DENY,
  },
  {
    what: 'UDP to the proxy',
    rules: [OPEN_CLIENT, [SERVER.identity, 'ingress', 'redirect', { ruleset: 1 }]],
    frame: (ends) => packet.udp(ends, { sourcePort: 1, destinationPort: 80 }),
    reason: abi.DROP_NO_PROXY_PROTOCOL,
    direction: EGRESS,
  },
  {
    what: 'an echo request by its type',
    rules: [OPEN_CLIENT, server('allow', { protocol: 1, port: 8 }), server('allow', { protocol: 58, port: 128 })],
    frame: (ends) => packet.icmp(ends, ends.source.includes(':') ? 128 : 8, packet.echo(7)),
    reason: 0,
  },
  {
    what: 'an echo request against a rule for ports',
    rules: [OPEN_CLIENT, server('allow', { protocol: TCP })],
    frame: (ends) => packet.icmp(ends, ends.source.includes(':') ? 128 : 8, packet.echo(7)),
    ...DENIED,
  },
];

describe('from_pod on a new connection', () => {
  for (const { what, rules, reason, direction, match, frame = syn } of CASES) {
    for (const family of FAMILIES) {
      test(`IPv${family}: ${what}`, () => {
        for (const rule of rules) scene.rule(...rule);
        const outcome = scene.fromPod(scene.client, frame(scene.ends(scene.client, scene.server, family)));
        assert.equal(abi.DROP_REASONS[outcome.reason]?.name, abi.DROP_REASONS[reason]?.name);
        assert.equal(outcome.verdict, reason === 0 ? TC.redirect : TC.shot);
        const [event] = outcome.events;
        assert.equal(outcome.events.length, 1);
        assert.equal(event?.kind, reason === 0 ? abi.FLOW_NEW : abi.FLOW_DROP);
        assert.deepEqual([event?.sourceIdentity, event?.destinationIdentity], [CLIENT.identity, SERVER.identity]);
        if (direction !== undefined) assert.equal(outcome.direction, direction);
        if (match !== undefined) assert.deepEqual([event?.egressMatch, event?.ingressMatch], match);
        assert.equal(scene.topology.datapath.maps.conntrack.count(), reason === 0 ? 1 : 0);
      });
    }
  }

  test('an action that the program does not know denies', () => {
    scene.rule(...OPEN_CLIENT);
    scene.rule(...OPEN_SERVER);
    const { policy } = scene.topology.datapath.maps;
    for (const [key, value] of policy.entries()) policy.set(key, { ...value, action: 9 });
    scene.revise();
    assert.equal(scene.fromPod(scene.client, syn(to(scene.server))).reason, abi.DROP_POLICY_DENY);
  });
});

function to(target: Pod | { ip4: string; ip6: string }, family: 4 | 6 = 4): packet.Ends {
  return scene.ends(scene.client, target, family);
}

describe('identities', () => {
  for (const family of FAMILIES) {
    const world = family === 4 ? 9 : 10;
    test(`IPv${family}: the world is allowed by its identity and goes to the stack`, () => {
      assert.equal(scene.fromPod(scene.client, syn(to(OUTSIDE, family))).reason, abi.DROP_POLICY_DENIED);
      scene.rule(CLIENT.identity, 'egress', 'allow', { peer: world });
      assert.equal(scene.fromPod(scene.client, syn(to(OUTSIDE, family))).verdict, TC.ok);
    });

    test(`IPv${family}: a prefix gives its identity to the addresses in it`, () => {
      const prefix = address(family === 4 ? '192.0.2.0' : '2001:db8::');
      scene.topology.datapath.maps.identities.set(
        { prefixlen: family === 4 ? 120 : 32, ip: prefix },
        { identity: 16777217, flags: 0 },
      );
      scene.rule(CLIENT.identity, 'egress', 'allow', { peer: world });
      assert.equal(scene.fromPod(scene.client, syn(to(OUTSIDE, family))).reason, abi.DROP_POLICY_DENIED);
      scene.rule(CLIENT.identity, 'egress', 'allow', { peer: 16777217 });
      assert.equal(scene.fromPod(scene.client, syn(to(OUTSIDE, family))).verdict, TC.ok);
    });

    test(`IPv${family}: the node's own workload is a peer like others, asked from either side`, () => {
      scene.rule(CLIENT.identity, 'egress', 'allow', { peer: RESOLVER.identity });
      assert.equal(scene.fromPod(scene.client, syn(to(RESOLVER, family), 53)).verdict, TC.ok);
      const back = syn(scene.endsFromNode(RESOLVER, scene.client, family), 80);
      assert.equal(scene.toPod(scene.client, back).reason, abi.DROP_POLICY_DENIED);
      scene.rule(CLIENT.identity, 'ingress', 'allow', { peer: RESOLVER.identity });
      assert.equal(scene.toPod(scene.client, back).verdict, TC.ok);
    });

    test(`IPv${family}: the host is a peer like others, known by where its packets come from`, () => {
      const gateway = { ip4: '169.254.1.1', ip6: 'fd00:10:244::1' };
      const frame = syn(scene.endsFromNode(gateway, scene.client, family));
      assert.equal(scene.toPod(scene.client, frame).reason, abi.DROP_POLICY_DENIED);
      scene.rule(CLIENT.identity, 'ingress', 'allow', { peer: 1 });
      assert.equal(scene.toPod(scene.client, frame, { from: 1 }).reason, abi.DROP_POLICY_DENIED, 'what it forwards');
      const outcome = scene.toPod(scene.client, frame);
      assert.equal(outcome.verdict, TC.ok);
      assert.equal(outcome.events[0]?.sourceIdentity, 1);
      scene.revise(); // and still so when the verdict is renewed by the pod's answer
      const answer = packet.tcp(to(gateway, family), { sourcePort: 80, destinationPort: 40000, flags: 18 });
      assert.equal(scene.fromPod(scene.client, answer).verdict, TC.ok);
    });

    test(`IPv${family}: what the host sends passes where the proxy would have to look, and is reported as passed`, () => {
      const gateway = { ip4: '169.254.1.1', ip6: 'fd00:10:244::1' };
      scene.rule(CLIENT.identity, 'ingress', 'redirect', { protocol: TCP, port: 80, ruleset: 7 });
      const outcome = scene.toPod(scene.client, syn(scene.endsFromNode(gateway, scene.client, family)));
      assert.equal(outcome.verdict, TC.ok);
      assert.deepEqual([outcome.events[0]?.ingressAction, outcome.events[0]?.steered], [abi.ACTION_ALLOW, 0]);
      assert.equal(scene.topology.datapath.maps.conntrack.entries()[0]?.[1].ingressRuleset, 7);
    });

    test(`IPv${family}: nobody beyond the node may use an address of the node or of its pods`, () => {
      scene.allowAll();
      const ends = scene.endsFromNode(RESOLVER, scene.client, family);
      assert.equal(scene.toPod(scene.client, syn(ends), { from: 1 }).reason, abi.DROP_SOURCE_IP);
      const asServer = syn(scene.endsFromNode(SERVER, scene.client, family));
      assert.equal(scene.toPod(scene.client, asServer, { from: 1 }).reason, abi.DROP_SOURCE_IP);
      assert.equal(scene.toPod(scene.client, asServer, { from: scene.server.ifindex }).verdict, TC.ok);
    });
  }

  test('the chatter of interfaces without an endpoint is dropped and counted without an event', () => {
    scene.topology.withdraw(scene.client);
    const report = { ...to(scene.server, 6), source: 'fe80::1', destination: 'ff02::16' };
    for (const frame of [
      packet.icmp(report, 143, new Uint8Array(4), { hops: 1 }),
      packet.arp(report, { operation: 1, senderMac: report.sourceMac, sender: CLIENT.ip4, target: '169.254.1.1' }),
    ]) {
      const outcome = scene.fromPod(scene.client, frame);
      assert.equal(outcome.verdict, TC.shot);
      assert.equal(outcome.reason, abi.DROP_ENDPOINT_NOT_READY);
      assert.deepEqual(outcome.events, []);
    }
    const [event] = scene.fromPod(scene.client, syn(to(scene.server))).events;
    assert.equal(event?.destinationPort, 80);
  });

  test('a pod without an endpoint entry neither sends, nor receives, nor is sent to', () => {
    scene.allowAll();
    scene.topology.withdraw(scene.server);
    assert.equal(scene.fromPod(scene.client, syn(to(scene.server))).reason, abi.DROP_ENDPOINT_NOT_READY);
    assert.equal(scene.fromPod(scene.server, syn(to(scene.client))).reason, abi.DROP_ENDPOINT_NOT_READY);
    assert.equal(scene.toPod(scene.server, syn(to(scene.server))).reason, abi.DROP_ENDPOINT_NOT_READY);
  });

  test('a service address that was not translated is not the world', () => {
    scene.allowAll();
    const frontend = { ip4: '10.96.0.20', ip6: 'fd00:10:96::20' };
    const key = { ip: address(frontend.ip4), port: 80, protocol: TCP, slot: 0 };
    scene.topology.datapath.maps.services.set(key, { backend: 0, count: 1, service: 1, flags: 0 });
    assert.equal(scene.fromPod(scene.client, syn(to(frontend))).reason, abi.DROP_CLUSTER_IP);
    assert.equal(scene.fromPod(scene.client, syn(to(frontend), 81)).verdict, TC.ok);
  });

  test('to_pod refuses an address that is not the pod behind the interface', () => {
    scene.allowAll();
    const frame = syn(scene.endsFromNode({ ip4: '10.244.0.1', ip6: '::1' }, scene.client, 4));
    assert.equal(scene.toPod(scene.server, frame).reason, abi.DROP_UNROUTABLE);
  });
});
