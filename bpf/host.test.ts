// The node's own policy: what is sent to it and what it sends, at its device to the outside. By test run.
//
//   client 10.244.0.10 (identity 300) --lxca--> node 192.0.2.1 (identity 1) --up0-- A 192.0.2.7 (5007), B 192.0.2.8 (5008)

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { address } from '#common/ip.ts';
import * as abi from './abi.ts';
import { type Place, passed, unasked, useNode } from './testing/node.ts';
import * as packet from './testing/packet.ts';
import { TC } from './testing/run.ts';
import { CLIENT, FAMILIES, RESOLVER } from './testing/scene.ts';
import { HOST_A, HOST_B, IDENTITY_HOST, NODE } from './testing/uplink.ts';

const node = useNode('host');
const { NODE_HOST_INGRESS: INGRESS, NODE_HOST_EGRESS: EGRESS } = abi;
const { tcp: TCP, udp: UDP } = packet.PROTOCOL;
const { syn: SYN, ack: ACK } = packet.TCP_FLAGS;

for (const family of FAMILIES) {
  describe(`IPv${family}: what is sent to the node`, () => {
    const to22 = (from: Place = HOST_A): Uint8Array => node.segment({ from, to: NODE, family, ports: [40000, 22] });

    test('passes without a look while the node is under no policy', () => {
      node.rule('ingress', 'deny');
      unasked(node, node.arrive(to22()));
      assert.equal(node.scene.topology.datapath.maps.conntrack.count(), 0);
    });

    const CASES = [
      { what: 'nothing', rules: [], reason: abi.DROP_POLICY_DENIED },
      { what: 'the peer', rules: [['allow', { peer: HOST_A.identity }]], reason: 0 },
      { what: 'another peer', rules: [['allow', { peer: HOST_B.identity }]], reason: abi.DROP_POLICY_DENIED },
      { what: 'the port', rules: [['allow', { protocol: TCP, port: 22 }]], reason: 0 },
      { what: 'another port', rules: [['allow', { protocol: TCP, port: 23 }]], reason: abi.DROP_POLICY_DENIED },
      {
        what: 'everyone but the peer',
        rules: [
          ['allow', {}],
          ['deny', { peer: HOST_A.identity, precedence: 2 }],
        ],
        reason: abi.DROP_POLICY_DENY,
      },
      { what: 'what only a proxy could look at', rules: [['redirect', { ruleset: 4 }]], reason: abi.DROP_POLICY_DENY },
    ] as const;
    for (const { what, rules, reason } of CASES) {
      test(`is judged by the node's ingress: entries for ${what}`, () => {
        for (const [action, options] of rules) node.rule('ingress', action, options);
        node.enforce(INGRESS);
        const outcome = node.arrive(to22());
        assert.equal(abi.DROP_REASONS[outcome.reason]?.name, abi.DROP_REASONS[reason]?.name);
        assert.equal(outcome.verdict, reason === 0 ? TC.unspec : TC.shot);
        const [event] = outcome.events;
        assert.deepEqual([event?.sourceIdentity, event?.destinationIdentity], [HOST_A.identity, IDENTITY_HOST]);
        assert.equal(event?.egressAction, abi.ACTION_NOT_ASKED);
        if (reason !== 0) assert.equal(outcome.direction, abi.POLICY_INGRESS);
      });
    }

    test('answers to what the node began pass, and nothing else does', () => {
      node.enforce(INGRESS);
      passed(node.leave(node.segment({ from: NODE, to: HOST_A, family, ports: [50000, 443] })));
      passed(node.arrive(node.segment({ from: HOST_A, to: NODE, family, ports: [443, 50000], flags: SYN | ACK })));
      assert.equal(
        node.arrive(node.segment({ from: HOST_A, to: NODE, family, ports: [443, 50001], flags: SYN | ACK })).verdict,
        TC.shot,
      );
      assert.equal(
        node.arrive(node.segment({ from: HOST_A, to: NODE, family, ports: [443, 50000] })).verdict,
        TC.shot,
        'a new connection',
      );
    });

    test('errors about a connection of the node pass, others by their type', () => {
      node.enforce(INGRESS | EGRESS);
      node.rule('egress', 'allow', { protocol: UDP });
      const sent = packet.udp(node.ends(NODE, HOST_A, family), { sourcePort: 50000, destinationPort: 99 });
      const type = family === 4 ? 3 : 1;
      const error = packet.icmp(node.ends(HOST_B, NODE, family), type, packet.about(sent));
      assert.equal(node.arrive(error).reason, abi.DROP_POLICY_DENIED);
      passed(node.leave(sent));
      passed(node.arrive(error));
      node.rule('ingress', 'allow', { protocol: family === 4 ? 1 : 58, port: type });
      passed(node.arrive(packet.icmp(node.ends(HOST_A, NODE, family), type, new Uint8Array(64))));
    });

    test('protocols without ports are judged by peer and protocol', () => {
      const esp = packet.ipFrame(node.ends(HOST_A, NODE, family), 50, new Uint8Array(64));
      node.enforce(INGRESS);
      assert.equal(node.arrive(esp).reason, abi.DROP_POLICY_DENIED);
      node.rule('ingress', 'allow', { protocol: TCP });
      assert.equal(node.arrive(esp).reason, abi.DROP_POLICY_DENIED);
      node.rule('ingress', 'allow', { protocol: 50, peer: HOST_A.identity });
      passed(node.arrive(esp));
      node.rule('ingress', 'deny', { precedence: 2 });
      assert.equal(node.arrive(esp).reason, abi.DROP_POLICY_DENY);
    });

    test('for a pod, ready or not, is not the node’s to judge', () => {
      node.enforce(INGRESS | EGRESS);
      unasked(node, node.arrive(node.segment({ from: HOST_A, to: CLIENT, family, ports: [40000, 80] })));
      node.scene.topology.withdraw(node.scene.client);
      unasked(node, node.arrive(node.segment({ from: HOST_A, to: CLIENT, family, ports: [40000, 80] })));
    });

    test('nobody outside is the node or one of its pods', () => {
      node.enforce(INGRESS);
      node.rule('ingress', 'allow');
      for (const from of [CLIENT, NODE, RESOLVER]) assert.equal(node.arrive(to22(from)).reason, abi.DROP_SOURCE_IP);
      passed(node.arrive(to22()));
    });

    for (const flag of [abi.NODE_AUDIT, abi.NODE_HOST_AUDIT]) {
      test(`is reported, not dropped, in audit mode (flag ${flag})`, () => {
        node.enforce(INGRESS | flag);
        const outcome = node.arrive(to22());
        passed(outcome);
        assert.equal(outcome.events[0]?.ingressAction, abi.ACTION_AUDIT);
        const frame = packet.tcp(node.scene.ends(node.scene.client, node.scene.server, family), {
          sourcePort: 1,
          destinationPort: 2,
          flags: SYN,
        });
        const pods = node.scene.fromPod(node.scene.client, frame);
        assert.equal(pods.verdict === TC.shot, flag === abi.NODE_HOST_AUDIT, 'the pods have their own');
      });
    }
  });

  describe(`IPv${family}: what the node sends`, () => {
    const to443 = (to: Place = HOST_A): Uint8Array => node.segment({ from: NODE, to, family, ports: [50000, 443] });

    test("is judged by the node's egress", () => {
      unasked(node, node.leave(to443()));
      node.enforce(EGRESS);
      const outcome = node.leave(to443());
      assert.equal(outcome.reason, abi.DROP_POLICY_DENIED);
      assert.equal(outcome.direction, abi.POLICY_EGRESS);
      node.rule('egress', 'allow', { peer: HOST_A.identity, protocol: TCP, port: 443 });
      passed(node.leave(to443()));
      assert.equal(node.leave(to443(HOST_B)).reason, abi.DROP_POLICY_DENIED);
      node.rule('egress', 'deny', { precedence: 3 });
      assert.equal(node.leave(to443()).reason, abi.DROP_POLICY_DENY, 'the connection that exists, too');
    });

    test('is not judged by it for answers', () => {
      node.enforce(INGRESS | EGRESS);
      node.rule('ingress', 'allow', { protocol: TCP, port: 22 });
      passed(node.arrive(node.segment({ from: HOST_A, to: NODE, family, ports: [40000, 22] })));
      passed(node.leave(node.segment({ from: NODE, to: HOST_A, family, ports: [22, 40000], flags: SYN | ACK })));
    });

    test('by an address that no map knows is still the node’s', () => {
      node.enforce(EGRESS);
      const other = { ip4: '203.0.113.1', ip6: '2001:db8:ffff::1' };
      assert.equal(
        node.leave(node.segment({ from: other, to: HOST_A, family, ports: [50000, 443] })).reason,
        abi.DROP_POLICY_DENIED,
      );
    });

    test('for others only passes through, and so do the answers', () => {
      node.enforce(INGRESS | EGRESS);
      unasked(node, node.leave(node.segment({ from: CLIENT, to: HOST_A, family, ports: [40000, 80] })));
      // with the node's address, as masquerading gives it
      passed(node.leave(node.segment({ from: NODE, to: HOST_A, family, ports: [40001, 80] }), { forwarded: true }));
      passed(node.arrive(node.segment({ from: HOST_A, to: NODE, family, ports: [80, 40001], flags: SYN | ACK })));
      node.scene.revise();
      passed(node.arrive(node.segment({ from: HOST_A, to: NODE, family, ports: [80, 40001], flags: ACK })));
      assert.equal(
        node.leave(node.segment({ from: NODE, to: HOST_A, family, ports: [40002, 80] })).reason,
        abi.DROP_POLICY_DENIED,
      );
    });

    const lifeline = (of: Place, protocol: number, port: number): void => {
      node.scene.topology.datapath.maps.lifelines.set(
        { ip: address(family === 4 ? of.ip4 : of.ip6), port, protocol },
        1,
      );
    };
    const LIFELINES = [
      {
        what: 'its API server, whatever the port',
        frame: () => node.segment({ from: NODE, to: HOST_A, family, ports: [1, 6443] }),
        passes: true,
      },
      {
        what: 'the API server over UDP',
        frame: () => packet.udp(node.ends(NODE, HOST_A, family), { sourcePort: 1, destinationPort: 6443 }),
        passes: false,
      },
      {
        what: 'another host',
        frame: () =>
          node.segment({ from: NODE, to: { ip4: '192.0.2.9', ip6: '2001:db8::9' }, family, ports: [1, 6443] }),
        passes: false,
      },
      {
        what: 'its name server',
        frame: () => packet.udp(node.ends(NODE, HOST_B, family), { sourcePort: 1, destinationPort: 53 }),
        passes: true,
      },
      {
        what: 'another port of the name server',
        frame: () => node.segment({ from: NODE, to: HOST_B, family, ports: [1, 54] }),
        passes: false,
      },
    ];
    for (const { what, frame, passes } of LIFELINES) {
      test(`to ${what} ${passes ? 'passes whatever its policy says' : 'is judged'}`, () => {
        lifeline(HOST_A, TCP, 0);
        lifeline(HOST_B, UDP, 53);
        node.rule('egress', 'deny', { precedence: 9 });
        node.enforce(INGRESS | EGRESS);
        assert.equal(node.leave(frame()).verdict === TC.unspec, passes);
      });
    }
  });
}
