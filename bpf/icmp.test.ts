// ICMP and fragments: what belongs to a connection passes with it, everything else by policy or not at all. By test run.
//
//   client 10.244.0.10 (identity 300) --lxca--> node --lxcb--> server 10.244.0.11 (identity 400)

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import * as abi from './abi.ts';
import * as packet from './testing/packet.ts';
import { type Outcome, TC } from './testing/run.ts';
import { CLIENT, createScene, FAMILIES, type Family, reversed, type Scene, SERVER } from './testing/scene.ts';

let scene: Scene;
before(async () => {
  scene = await createScene('icmp');
});
after(() => scene?.[Symbol.dispose]());
beforeEach(() => {
  scene.reset();
  scene.rule(CLIENT.identity, 'egress', 'allow');
  scene.rule(SERVER.identity, 'ingress', 'allow');
});

const ends = (family: Family): packet.Ends => scene.ends(scene.client, scene.server, family);
const back = (family: Family): packet.Ends => reversed(ends(family), scene.server);
const PORTS = { sourcePort: 40000, destinationPort: 53 };
const ECHO = { 4: [8, 0], 6: [128, 129] } as const;
const UNREACHABLE = { 4: 3, 6: 1 } as const;
const PACKET_TOO_BIG = 2;
const request = (family: Family, id: number): Uint8Array => packet.icmp(ends(family), ECHO[family][0], packet.echo(id));
const reply = (family: Family, id: number): Uint8Array => packet.icmp(back(family), ECHO[family][1], packet.echo(id));

for (const family of FAMILIES) {
  describe(`IPv${family} echo`, () => {
    test('a reply passes for its own request only', () => {
      assert.equal(scene.fromPod(scene.server, reply(family, 7)).reason, abi.DROP_POLICY_DENIED);
      assert.equal(scene.fromPod(scene.client, request(family, 7)).verdict, TC.redirect);
      assert.equal(scene.fromPod(scene.server, reply(family, 7)).verdict, TC.redirect);
      assert.equal(scene.fromPod(scene.server, reply(family, 8)).reason, abi.DROP_POLICY_DENIED);
    });

    for (const id of [7, 0]) {
      test(`a request of the responder with identifier ${id} is no reply`, () => {
        scene.fromPod(scene.client, request(family, id));
        const crossed = packet.icmp(back(family), ECHO[family][0], packet.echo(id));
        assert.equal(scene.fromPod(scene.server, crossed).reason, abi.DROP_POLICY_DENIED);
        assert.equal(scene.fromPod(scene.server, reply(family, id)).verdict, TC.redirect);
      });
    }

    test('other messages go by the policy for their type', () => {
      const type = family === 4 ? 13 : 139; // timestamp, node information query
      const protocol = family === 4 ? 1 : 58;
      const rest = new Uint8Array(16);
      assert.equal(scene.fromPod(scene.client, packet.icmp(ends(family), type, rest)).verdict, TC.redirect);
      assert.equal(scene.topology.datapath.maps.conntrack.count(), 0);
      scene.rule(SERVER.identity, 'ingress', 'deny', { protocol, port: type });
      assert.equal(scene.fromPod(scene.client, packet.icmp(ends(family), type, rest)).reason, abi.DROP_POLICY_DENY);
      assert.equal(scene.fromPod(scene.client, request(family, 7)).verdict, TC.redirect);
    });
  });

  describe(`IPv${family} errors`, () => {
    const original = (): Uint8Array => packet.udp(ends(family), PORTS);
    const complaint = (about: Uint8Array, change: Partial<packet.Ends> = {}): Uint8Array =>
      packet.icmp({ ...back(family), ...change }, UNREACHABLE[family], packet.about(about));

    test('an error about a connection passes, against the policy of its sender', () => {
      assert.equal(scene.fromPod(scene.server, complaint(original())).reason, abi.DROP_POLICY_DENIED);
      scene.fromPod(scene.client, original());
      assert.equal(scene.fromPod(scene.server, complaint(original())).verdict, TC.redirect);
    });

    for (const { what, about } of [
      { what: 'another port', about: () => packet.udp(ends(family), { ...PORTS, sourcePort: 40001 }) },
      { what: 'a packet that the receiver did not send', about: () => packet.udp(back(family), PORTS) },
      { what: 'a packet that is cut off', about: () => original().subarray(0, family === 4 ? 38 : 58) },
      { what: 'another protocol', about: () => packet.ipFrame(ends(family), 132, new Uint8Array(16)) },
    ]) {
      test(`an error about ${what} is decided by policy`, () => {
        scene.fromPod(scene.client, original());
        const outcome = scene.fromPod(scene.server, complaint(about()));
        assert.equal(outcome.reason, abi.DROP_POLICY_DENIED);
      });
    }

    test('a pod may not complain in the name of another', () => {
      // a connection from the client to the gateway's address, which the server tries to end
      const outside = { ip4: '192.0.2.7', ip6: '2001:db8::7' };
      const sent = packet.udp(scene.ends(scene.client, outside, family), PORTS);
      assert.equal(scene.fromPod(scene.client, sent).verdict, TC.ok);
      assert.equal(scene.fromPod(scene.server, complaint(sent)).reason, abi.DROP_POLICY_DENIED);
    });

    test('an error from a router on the way reaches the pod, one about nothing does not', () => {
      const router = { ip4: '192.0.2.1', ip6: '2001:db8::1' };
      const outside = { ip4: '192.0.2.7', ip6: '2001:db8::7' };
      const sent = packet.udp(scene.ends(scene.client, outside, family), PORTS);
      const type = family === 4 ? 11 : PACKET_TOO_BIG;
      const error = packet.icmp(scene.endsFromNode(router, scene.client, family), type, packet.about(sent));
      assert.equal(scene.toPod(scene.client, error, { from: 1 }).reason, abi.DROP_POLICY_DENIED);
      scene.fromPod(scene.client, sent);
      assert.equal(scene.toPod(scene.client, error, { from: 1 }).verdict, TC.ok);
    });

    test('an error about the connection of another is decided by policy', () => {
      const router = { ip4: '192.0.2.1', ip6: '2001:db8::1' };
      const outside = { ip4: '192.0.2.7', ip6: '2001:db8::7' };
      scene.rule(SERVER.identity, 'egress', 'allow');
      const sent = packet.udp(scene.ends(scene.server, outside, family), PORTS);
      assert.equal(scene.fromPod(scene.server, sent).verdict, TC.ok);
      const ends = scene.endsFromNode(router, scene.client, family);
      const error = packet.icmp(ends, UNREACHABLE[family], packet.about(sent));
      assert.equal(scene.toPod(scene.client, error, { from: 1 }).reason, abi.DROP_POLICY_DENIED);
    });

    test('an error about a denied connection is dropped as the connection is', () => {
      scene.fromPod(scene.client, original());
      scene.rule(CLIENT.identity, 'egress', 'deny');
      assert.equal(scene.fromPod(scene.server, complaint(original())).reason, abi.DROP_POLICY_DENY);
    });

    test('an error about an echo passes with it', () => {
      scene.fromPod(scene.client, request(family, 9));
      assert.equal(scene.fromPod(scene.server, complaint(request(family, 9))).verdict, TC.redirect);
      assert.equal(scene.fromPod(scene.server, complaint(request(family, 10))).reason, abi.DROP_POLICY_DENIED);
    });
  });

  describe(`IPv${family} fragments`, () => {
    const piece = (offset: number, more: boolean, id = 77, protocol: number = packet.PROTOCOL.udp): Outcome => {
      const whole = packet.udpDatagram(ends(family), { ...PORTS, payload: new Uint8Array(64) });
      const body = whole.subarray(offset, offset + 32);
      return scene.fromPod(
        scene.client,
        packet.ipFrame(ends(family), protocol, body, { id, fragmentOffset: offset, moreFragments: more }),
      );
    };

    test('later fragments follow the first', () => {
      assert.equal(piece(32, false).reason, abi.DROP_NO_FIRST_FRAGMENT);
      assert.equal(piece(0, true).verdict, TC.redirect);
      assert.equal(piece(32, false).verdict, TC.redirect);
      assert.equal(piece(32, false, 78).reason, abi.DROP_NO_FIRST_FRAGMENT);
      assert.equal(piece(32, false, 77, packet.PROTOCOL.tcp).reason, abi.DROP_NO_FIRST_FRAGMENT);
    });

    test('a denied first fragment does not open the way for the others', () => {
      scene.rule(SERVER.identity, 'ingress', 'deny');
      assert.equal(piece(0, true).reason, abi.DROP_POLICY_DENY);
      assert.equal(piece(32, false).reason, abi.DROP_POLICY_DENY);
    });

    test('a first fragment without its whole header is refused', () => {
      const frame = packet.ipFrame(ends(family), 17, new Uint8Array(4), { id: 5, moreFragments: true });
      assert.equal(scene.fromPod(scene.client, frame).reason, abi.DROP_TRUNCATED);
    });

    test('a later fragment that would rewrite the TCP header is refused', () => {
      const frame = packet.ipFrame(ends(family), 6, new Uint8Array(32), { id: 6, fragmentOffset: 8 });
      assert.equal(scene.fromPod(scene.client, frame).reason, abi.DROP_FRAGMENT_OVERLAP);
    });

    test('an ICMP error in fragments is refused', () => {
      const rest = packet.about(packet.udp(ends(family), PORTS));
      const frame = packet.icmp(ends(family), UNREACHABLE[family], rest, { id: 8, moreFragments: true });
      assert.equal(scene.fromPod(scene.client, frame).reason, abi.DROP_TRUNCATED);
    });
  });
}
