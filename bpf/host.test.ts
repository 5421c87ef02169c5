// The node's own policy: what is sent to it and what it sends, at its device to the outside and at its pods. By test run.
//
//   client 10.244.0.10 (identity 300) --lxca--> node 192.0.2.1 (identity 1) --up0-- A 192.0.2.7 (5007), B 192.0.2.8 (5008)
//
// Over 300 lines: one scene, and a table of cases for each of its two places.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { address } from '#common/ip.ts';
import * as abi from './abi.ts';
import * as packet from './testing/packet.ts';
import { type Outcome, TC } from './testing/run.ts';
import {
  CLIENT,
  createScene,
  FAMILIES,
  type Family,
  RESOLVER,
  type RuleOptions,
  type Scene,
  SERVER,
} from './testing/scene.ts';
import { macBytes } from './testing/topology.ts';
import { createUplink, HOST_A, HOST_B, IDENTITY_HOST, NODE, type Uplink } from './testing/uplink.ts';

let scene: Scene;
let uplink: Uplink;
before(async () => {
  scene = await createScene('host');
  uplink = createUplink(scene.topology);
});
after(() => {
  uplink?.[Symbol.dispose]();
  scene?.[Symbol.dispose]();
});
beforeEach(() => {
  scene.reset();
  uplink.publish();
});

type Place = { readonly ip4: string; readonly ip6: string };
const EVENTS = abi.NODE_VERDICT_EVENTS;
const { NODE_HOST_INGRESS: INGRESS, NODE_HOST_EGRESS: EGRESS } = abi;
const { tcp: TCP, udp: UDP } = packet.PROTOCOL;
const { syn: SYN, ack: ACK } = packet.TCP_FLAGS;
const ip = (of: Place, family: Family): string => (family === 4 ? of.ip4 : of.ip6);

function ends(from: Place, to: Place, family: Family): packet.Ends {
  const [source, destination] = [uplink.macs.outside, uplink.macs.node].map(macBytes) as [Uint8Array, Uint8Array];
  return { sourceMac: source, destinationMac: destination, source: ip(from, family), destination: ip(to, family) };
}
/** Comes in at the device, and leaves by it (`forwarded`: for somebody else). */
const arrive = (frame: Uint8Array): Outcome => {
  const { ifindex } = uplink;
  return scene.runner.run('from_network', frame, { ifindex, from: ifindex });
};
const leave = (frame: Uint8Array, forwarded = false): Outcome =>
  scene.runner.run('to_network', frame, { ifindex: uplink.ifindex, from: forwarded ? scene.client.ifindex : 0 });
const enforce = (flags: number): void => scene.revise({ flags: EVENTS | flags });
const host = (direction: 'ingress' | 'egress', action: 'allow' | 'deny' | 'redirect', options?: RuleOptions): void =>
  scene.rule(IDENTITY_HOST, direction, action, options);
const segment = (
  from: Place,
  to: Place,
  family: Family,
  ports: readonly [number, number],
  flags: number = SYN,
): Uint8Array => packet.tcp(ends(from, to, family), { sourcePort: ports[0], destinationPort: ports[1], flags });
const passed = (outcome: Outcome): void => {
  assert.equal(outcome.verdict, TC.unspec, abi.DROP_REASONS[outcome.reason]?.text ?? '');
};
const unasked = (outcome: Outcome): void => {
  passed(outcome);
  assert.deepEqual(outcome.events, []);
  assert.equal(scene.topology.datapath.maps.policy_counters.count(), 0);
};

for (const family of FAMILIES) {
  describe(`IPv${family}: what is sent to the node`, () => {
    const to22 = (from: Place = HOST_A): Uint8Array => segment(from, NODE, family, [40000, 22]);

    test('passes without a look while the node is under no policy', () => {
      host('ingress', 'deny');
      unasked(arrive(to22()));
      assert.equal(scene.topology.datapath.maps.conntrack.count(), 0);
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
        for (const [action, options] of rules) host('ingress', action, options);
        enforce(INGRESS);
        const outcome = arrive(to22());
        assert.equal(abi.DROP_REASONS[outcome.reason]?.name, abi.DROP_REASONS[reason]?.name);
        assert.equal(outcome.verdict, reason === 0 ? TC.unspec : TC.shot);
        const [event] = outcome.events;
        assert.deepEqual([event?.sourceIdentity, event?.destinationIdentity], [HOST_A.identity, IDENTITY_HOST]);
        assert.equal(event?.egressAction, abi.ACTION_NOT_ASKED);
        if (reason !== 0) assert.equal(outcome.direction, abi.POLICY_INGRESS);
      });
    }

    test('answers to what the node began pass, and nothing else does', () => {
      enforce(INGRESS);
      passed(leave(segment(NODE, HOST_A, family, [50000, 443])));
      passed(arrive(segment(HOST_A, NODE, family, [443, 50000], SYN | ACK)));
      assert.equal(arrive(segment(HOST_A, NODE, family, [443, 50001], SYN | ACK)).verdict, TC.shot);
      assert.equal(arrive(segment(HOST_A, NODE, family, [443, 50000])).verdict, TC.shot, 'a new connection');
    });

    test('errors about a connection of the node pass, others by their type', () => {
      enforce(INGRESS | EGRESS);
      host('egress', 'allow', { protocol: UDP });
      const sent = packet.udp(ends(NODE, HOST_A, family), { sourcePort: 50000, destinationPort: 99 });
      const type = family === 4 ? 3 : 1;
      const error = packet.icmp(ends(HOST_B, NODE, family), type, packet.about(sent));
      assert.equal(arrive(error).reason, abi.DROP_POLICY_DENIED);
      passed(leave(sent));
      passed(arrive(error));
      host('ingress', 'allow', { protocol: family === 4 ? 1 : 58, port: type });
      passed(arrive(packet.icmp(ends(HOST_A, NODE, family), type, new Uint8Array(64))));
    });

    test('protocols without ports are judged by peer and protocol', () => {
      const esp = packet.ipFrame(ends(HOST_A, NODE, family), 50, new Uint8Array(64));
      enforce(INGRESS);
      assert.equal(arrive(esp).reason, abi.DROP_POLICY_DENIED);
      host('ingress', 'allow', { protocol: TCP });
      assert.equal(arrive(esp).reason, abi.DROP_POLICY_DENIED);
      host('ingress', 'allow', { protocol: 50, peer: HOST_A.identity });
      passed(arrive(esp));
      host('ingress', 'deny', { precedence: 2 });
      assert.equal(arrive(esp).reason, abi.DROP_POLICY_DENY);
    });

    test('for a pod, ready or not, is not the node’s to judge', () => {
      enforce(INGRESS | EGRESS);
      unasked(arrive(segment(HOST_A, CLIENT, family, [40000, 80])));
      scene.topology.withdraw(scene.client);
      unasked(arrive(segment(HOST_A, CLIENT, family, [40000, 80])));
    });

    test('nobody outside is the node or one of its pods', () => {
      enforce(INGRESS);
      host('ingress', 'allow');
      for (const from of [CLIENT, NODE, RESOLVER]) assert.equal(arrive(to22(from)).reason, abi.DROP_SOURCE_IP);
      passed(arrive(to22()));
    });

    for (const flag of [abi.NODE_AUDIT, abi.NODE_HOST_AUDIT]) {
      test(`is reported, not dropped, in audit mode (flag ${flag})`, () => {
        enforce(INGRESS | flag);
        const outcome = arrive(to22());
        passed(outcome);
        assert.equal(outcome.events[0]?.ingressAction, abi.ACTION_AUDIT);
        const frame = packet.tcp(scene.ends(scene.client, scene.server, family), {
          sourcePort: 1,
          destinationPort: 2,
          flags: SYN,
        });
        const pods = scene.fromPod(scene.client, frame);
        assert.equal(pods.verdict === TC.shot, flag === abi.NODE_HOST_AUDIT, 'the pods have their own');
      });
    }
  });

  describe(`IPv${family}: what the node sends`, () => {
    const to443 = (to: Place = HOST_A): Uint8Array => segment(NODE, to, family, [50000, 443]);

    test("is judged by the node's egress", () => {
      unasked(leave(to443()));
      enforce(EGRESS);
      const outcome = leave(to443());
      assert.equal(outcome.reason, abi.DROP_POLICY_DENIED);
      assert.equal(outcome.direction, abi.POLICY_EGRESS);
      host('egress', 'allow', { peer: HOST_A.identity, protocol: TCP, port: 443 });
      passed(leave(to443()));
      assert.equal(leave(to443(HOST_B)).reason, abi.DROP_POLICY_DENIED);
      host('egress', 'deny', { precedence: 3 });
      assert.equal(leave(to443()).reason, abi.DROP_POLICY_DENY, 'the connection that exists, too');
    });

    test('is not judged by it for answers', () => {
      enforce(INGRESS | EGRESS);
      host('ingress', 'allow', { protocol: TCP, port: 22 });
      passed(arrive(segment(HOST_A, NODE, family, [40000, 22])));
      passed(leave(segment(NODE, HOST_A, family, [22, 40000], SYN | ACK)));
    });

    test('by an address that no map knows is still the node’s', () => {
      enforce(EGRESS);
      const other = { ip4: '203.0.113.1', ip6: '2001:db8:ffff::1' };
      assert.equal(leave(segment(other, HOST_A, family, [50000, 443])).reason, abi.DROP_POLICY_DENIED);
    });

    test('for others only passes through, and so do the answers', () => {
      enforce(INGRESS | EGRESS);
      unasked(leave(segment(CLIENT, HOST_A, family, [40000, 80])));
      // with the node's address, as masquerading gives it
      passed(leave(segment(NODE, HOST_A, family, [40001, 80]), true));
      passed(arrive(segment(HOST_A, NODE, family, [80, 40001], SYN | ACK)));
      scene.revise();
      passed(arrive(segment(HOST_A, NODE, family, [80, 40001], ACK)));
      assert.equal(leave(segment(NODE, HOST_A, family, [40002, 80])).reason, abi.DROP_POLICY_DENIED);
    });

    const lifeline = (of: Place, protocol: number, port: number): void => {
      scene.topology.datapath.maps.lifelines.set({ ip: address(ip(of, family)), port, protocol }, 1);
    };
    const LIFELINES = [
      {
        what: 'its API server, whatever the port',
        frame: () => segment(NODE, HOST_A, family, [1, 6443]),
        passes: true,
      },
      {
        what: 'the API server over UDP',
        frame: () => packet.udp(ends(NODE, HOST_A, family), { sourcePort: 1, destinationPort: 6443 }),
        passes: false,
      },
      {
        what: 'another host',
        frame: () => segment(NODE, { ip4: '192.0.2.9', ip6: '2001:db8::9' }, family, [1, 6443]),
        passes: false,
      },
      {
        what: 'its name server',
        frame: () => packet.udp(ends(NODE, HOST_B, family), { sourcePort: 1, destinationPort: 53 }),
        passes: true,
      },
      { what: 'another port of the name server', frame: () => segment(NODE, HOST_B, family, [1, 54]), passes: false },
    ];
    for (const { what, frame, passes } of LIFELINES) {
      test(`to ${what} ${passes ? 'passes whatever its policy says' : 'is judged'}`, () => {
        lifeline(HOST_A, TCP, 0);
        lifeline(HOST_B, UDP, 53);
        host('egress', 'deny', { precedence: 9 });
        enforce(INGRESS | EGRESS);
        assert.equal(leave(frame()).verdict === TC.unspec, passes);
      });
    }
  });

  describe(`IPv${family}: between the node and its pods`, () => {
    const fromClient = (to: Place): Outcome =>
      scene.fromPod(
        scene.client,
        packet.tcp(scene.ends(scene.client, to, family), { sourcePort: 40000, destinationPort: 22, flags: SYN }),
      );

    test("what a pod sends to the node needs the pod's egress and the node's ingress", () => {
      scene.rule(CLIENT.identity, 'egress', 'allow');
      assert.equal(fromClient(NODE).verdict, TC.ok, 'the node is under no policy');
      enforce(INGRESS);
      const outcome = fromClient(NODE);
      assert.deepEqual([outcome.reason, outcome.direction], [abi.DROP_POLICY_DENIED, abi.POLICY_INGRESS]);
      host('ingress', 'allow', { peer: CLIENT.identity, protocol: TCP, port: 22 });
      assert.equal(fromClient(NODE).verdict, TC.ok);
      scene.rule(CLIENT.identity, 'egress', 'deny');
      assert.equal(fromClient(NODE).reason, abi.DROP_POLICY_DENY);
    });

    test('the resolver is a workload, not the node', () => {
      scene.rule(CLIENT.identity, 'egress', 'allow');
      enforce(INGRESS | EGRESS);
      assert.equal(fromClient(RESOLVER).verdict, TC.ok);
    });

    test("health checks reach the pods whatever the node's egress says", () => {
      scene.rule(SERVER.identity, 'ingress', 'allow', { peer: IDENTITY_HOST });
      host('egress', 'deny');
      enforce(INGRESS | EGRESS);
      const probe = packet.tcp(scene.endsFromNode(NODE, scene.server, family), {
        sourcePort: 50000,
        destinationPort: 80,
        flags: SYN,
      });
      assert.equal(scene.toPod(scene.server, probe).verdict, TC.ok);
      const answer = packet.tcp(scene.ends(scene.server, NODE, family), {
        sourcePort: 80,
        destinationPort: 50000,
        flags: SYN | ACK,
      });
      assert.equal(scene.fromPod(scene.server, answer).verdict, TC.ok);
    });
  });
}

describe('what keeps the node on its link passes whatever its policy says', () => {
  const own = (): packet.Ends => ends(HOST_A, NODE, 6);
  const v4 = (destination: string): packet.Ends => ({ ...ends(HOST_A, NODE, 4), destination });
  const mac = macBytes('02:00:00:00:0a:02');
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
    { what: 'what is for a VLAN device', frame: () => packet.ethernet(own(), 0x8100, new Uint8Array(60)) },
  ];
  for (const { what, frame, out } of FRAMES) {
    test(what, () => {
      host('ingress', 'deny');
      host('egress', 'deny');
      enforce(INGRESS | EGRESS);
      unasked(out ? leave(frame()) : arrive(frame()));
    });
  }

  test('and nothing that only looks like it does', () => {
    enforce(INGRESS | EGRESS);
    const dhcpOut = packet.udp(v4('192.0.2.1'), { sourcePort: 68, destinationPort: 67 });
    assert.equal(arrive(dhcpOut).reason, abi.DROP_POLICY_DENIED, 'the node is no DHCP server');
    const options = packet.ipFrame(v4(NODE.ip4), TCP, new Uint8Array(20), { options: new Uint8Array(4) });
    assert.equal(arrive(options).reason, abi.DROP_IPV4_OPTIONS);
    assert.equal(arrive(packet.ipFrame(v4(NODE.ip4), TCP, new Uint8Array(3))).reason, abi.DROP_TRUNCATED);
  });
});
