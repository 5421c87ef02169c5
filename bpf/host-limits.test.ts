// Where the node's own policy ends: between it and its pods, and at what keeps it on its link. By test run.
//
//   client 10.244.0.10 (identity 300) --lxca--> node 192.0.2.1 (identity 1) --up0-- A 192.0.2.7 (5007)

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as abi from './abi.ts';
import { type Place, unasked, useNode } from './testing/node.ts';
import * as packet from './testing/packet.ts';
import { type Outcome, TC } from './testing/run.ts';
import { CLIENT, FAMILIES, RESOLVER, SERVER } from './testing/scene.ts';
import { macBytes } from './testing/topology.ts';
import { HOST_A, IDENTITY_HOST, NODE } from './testing/uplink.ts';

const node = useNode('hostlim');
const { NODE_HOST_INGRESS: INGRESS, NODE_HOST_EGRESS: EGRESS } = abi;
const { tcp: TCP } = packet.PROTOCOL;
const { syn: SYN, ack: ACK } = packet.TCP_FLAGS;

for (const family of FAMILIES) {
  describe(`IPv${family}: between the node and its pods`, () => {
    const fromClient = (to: Place, destinationPort = 22): Outcome =>
      node.scene.fromPod(
        node.scene.client,
        packet.tcp(node.scene.ends(node.scene.client, to, family), {
          sourcePort: 40000,
          destinationPort,
          flags: SYN,
        }),
      );

    test("what a pod sends to the node needs the pod's egress and the node's ingress", () => {
      node.scene.rule(CLIENT.identity, 'egress', 'allow');
      assert.equal(fromClient(NODE).verdict, TC.ok, 'the node is under no policy');
      node.enforce(INGRESS);
      const outcome = fromClient(NODE);
      assert.deepEqual([outcome.reason, outcome.direction], [abi.DROP_POLICY_DENIED, abi.POLICY_INGRESS]);
      node.rule('ingress', 'allow', { peer: CLIENT.identity, protocol: TCP, port: 22 });
      assert.equal(fromClient(NODE).verdict, TC.ok);
      node.scene.rule(CLIENT.identity, 'egress', 'deny');
      assert.equal(fromClient(NODE).reason, abi.DROP_POLICY_DENY);
    });

    test('the resolver is a workload, not the node', () => {
      node.scene.rule(CLIENT.identity, 'egress', 'allow');
      node.enforce(INGRESS | EGRESS);
      assert.equal(fromClient(RESOLVER, 53).verdict, TC.ok);
    });

    test("every other port of the resolver's address is the node's", () => {
      node.scene.rule(CLIENT.identity, 'egress', 'allow');
      assert.equal(fromClient(RESOLVER).verdict, TC.ok, 'the node is under no policy');
      node.enforce(INGRESS);
      const outcome = fromClient(RESOLVER);
      assert.deepEqual([outcome.reason, outcome.direction], [abi.DROP_POLICY_DENIED, abi.POLICY_INGRESS]);
      node.rule('ingress', 'allow', { peer: CLIENT.identity, protocol: TCP, port: 22 });
      assert.equal(fromClient(RESOLVER).verdict, TC.ok);
    });

    test("health checks reach the pods whatever the node's egress says", () => {
      node.scene.rule(SERVER.identity, 'ingress', 'allow', { peer: IDENTITY_HOST });
      node.rule('egress', 'deny');
      node.enforce(INGRESS | EGRESS);
      const probe = packet.tcp(node.scene.endsFromNode(NODE, node.scene.server, family), {
        sourcePort: 50000,
        destinationPort: 80,
        flags: SYN,
      });
      assert.equal(node.scene.toPod(node.scene.server, probe).verdict, TC.ok);
      const answer = packet.tcp(node.scene.ends(node.scene.server, NODE, family), {
        sourcePort: 80,
        destinationPort: 50000,
        flags: SYN | ACK,
      });
      assert.equal(node.scene.fromPod(node.scene.server, answer).verdict, TC.ok);
    });
  });
}

describe('what keeps the node on its link passes whatever its policy says', () => {
  const own = (): packet.Ends => node.ends(HOST_A, NODE, 6);
  const v4 = (destination: string): packet.Ends => ({ ...node.ends(HOST_A, NODE, 4), destination });
  const mac = macBytes('02:00:00:00:0a:02');
  const tagged = (vlan: number, ethertype: number): Uint8Array => {
    const bytes = new DataView(new ArrayBuffer(60));
    bytes.setUint16(0, 0xe000 | vlan); // and the highest priority
    bytes.setUint16(2, ethertype);
    return new Uint8Array(bytes.buffer);
  };
  const FRAMES: readonly { readonly what: string; readonly frame: () => Uint8Array; readonly out?: boolean }[] = [
    {
      what: 'ARP',
      frame: () => packet.arp(own(), { operation: 1, senderMac: mac, sender: HOST_A.ip4, target: NODE.ip4 }),
    },
    { what: 'neighbor discovery', frame: () => packet.icmp(own(), 135, packet.neighbor(NODE.ip6, []), { hops: 255 }) },
    {
      what: 'router advertisements',
      frame: () => packet.icmp({ ...own(), source: 'fe80::9' }, 134, new Uint8Array(12)),
    },
    {
      what: 'IGMP',
      frame: () => packet.ipFrame(v4('224.0.0.22'), 2, new Uint8Array(16), { options: Uint8Array.of(0x94, 4, 0, 0) }),
    },
    { what: 'DHCP', frame: () => packet.udp(v4('255.255.255.255'), { sourcePort: 67, destinationPort: 68 }) },
    {
      what: 'a DHCP request',
      frame: () => packet.udp({ ...v4('255.255.255.255'), source: '0.0.0.0' }, { sourcePort: 68, destinationPort: 67 }),
      out: true,
    },
    { what: 'DHCPv6', frame: () => packet.udp(own(), { sourcePort: 547, destinationPort: 546 }) },
    { what: 'what is not IP', frame: () => packet.ethernet(own(), 0x88cc, new Uint8Array(46)) },
    { what: 'what is for a VLAN device', frame: () => packet.ethernet(own(), 0x8100, tagged(7, 0x0800)) },
    { what: 'what is not IP, with a priority', frame: () => packet.ethernet(own(), 0x8100, tagged(0, 0x88cc)) },
  ];
  for (const { what, frame, out } of FRAMES) {
    test(what, () => {
      node.rule('ingress', 'deny');
      node.rule('egress', 'deny');
      node.enforce(INGRESS | EGRESS);
      unasked(node, out ? node.leave(frame()) : node.arrive(frame()));
    });
  }

  test('and nothing that only looks like it does', () => {
    node.enforce(INGRESS | EGRESS);
    const dhcpOut = packet.udp(v4('192.0.2.1'), { sourcePort: 68, destinationPort: 67 });
    assert.equal(node.arrive(dhcpOut).reason, abi.DROP_POLICY_DENIED, 'the node is no DHCP server');
    const options = packet.ipFrame(v4(NODE.ip4), TCP, new Uint8Array(20), { options: new Uint8Array(4) });
    assert.equal(node.arrive(options).reason, abi.DROP_IPV4_OPTIONS);
    assert.equal(node.arrive(packet.ipFrame(v4(NODE.ip4), TCP, new Uint8Array(3))).reason, abi.DROP_TRUNCATED);
    for (const inner of [0x0800, 0x86dd, 0x8100, 0x88a8]) {
      assert.equal(node.arrive(packet.ethernet(own(), 0x8100, tagged(0, inner))).reason, abi.DROP_VLAN, 'no VLAN');
    }
  });
});
