// Connections that the proxy must see: steering without a proxy, marks, connections that would bypass it. By test run;
// what a listener makes of it is in datapath.test.ts, for the kernel assigns no socket in a test run.
//
//   client 10.244.0.10 (identity 300) --lxca--> node (proxy) --lxcb--> server 10.244.0.11 (identity 400)

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import * as abi from './abi.ts';
import * as packet from './testing/packet.ts';
import { type Outcome, TC } from './testing/run.ts';
import {
  CLIENT,
  createScene,
  data,
  FAMILIES,
  type Family,
  OUTSIDE,
  reversed,
  type Scene,
  SERVER,
  syn,
} from './testing/scene.ts';
import { PROXY_MARK, STEER_MARK } from './testing/topology.ts';

const { fin, rst, ack, syn: SYN } = packet.TCP_FLAGS;
let scene: Scene;
before(async () => {
  scene = await createScene('steer');
});
after(() => scene?.[Symbol.dispose]());
beforeEach(() => {
  scene.reset();
  scene.rule(CLIENT.identity, 'egress', 'allow');
});

const ends = (family: Family): packet.Ends => scene.ends(scene.client, scene.server, family);
const back = (family: Family): packet.Ends => reversed(ends(family), scene.server);
const redirect = (): void => scene.rule(SERVER.identity, 'ingress', 'redirect', { ruleset: 5 });
const allow = (): void => scene.rule(SERVER.identity, 'ingress', 'allow');
const answer = (family: Family, flags: number): Uint8Array =>
  packet.tcp(back(family), { sourcePort: 80, destinationPort: 40000, flags, seq: 5001, ack: 1001 });
/** As the proxy's socket sends it, in the client's name. */
const upstream = (family: Family, flags: number): Uint8Array =>
  packet.tcp(scene.endsFromNode(scene.client, scene.server, family), {
    sourcePort: 40000,
    destinationPort: 80,
    flags,
  });
const fromProxy = (frame: Uint8Array, mark = PROXY_MARK, from = 0): Outcome =>
  scene.toPod(scene.server, frame, { mark, from });

/** Ports, sequence numbers and flags of a TCP frame, and whether its checksums are right. */
function readTcp(frame: Uint8Array, family: Family) {
  const l4 = family === 4 ? 34 : 54;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const addresses = family === 4 ? frame.slice(26, 34) : frame.slice(22, 54);
  const segment = frame.slice(l4);
  const pseudo = packet.concat(addresses, Uint8Array.of(0, 0, 0, segment.length, 0, 0, 0, 6));
  return {
    length: frame.length - l4,
    ports: [view.getUint16(l4), view.getUint16(l4 + 2)],
    seq: view.getUint32(l4 + 4),
    ack: view.getUint32(l4 + 8),
    flags: frame[l4 + 13],
    valid:
      packet.checksum(packet.concat(pseudo, segment)) === 0 &&
      (family === 6 || packet.checksum(frame.subarray(14, 34)) === 0),
  };
}

for (const family of FAMILIES) {
  describe(`IPv${family} steering`, () => {
    test('without a listener in the slot nothing passes', () => {
      redirect();
      const outcome = scene.fromPod(scene.client, syn(ends(family)));
      assert.equal(outcome.reason, abi.DROP_NO_LISTENER);
      assert.deepEqual(
        outcome.events.map(({ kind, steered }) => [kind, steered]),
        [
          [abi.FLOW_NEW, 1],
          [abi.FLOW_DROP, 1],
        ],
      );
      const entry = scene.entry(ends(family), 40000, 80);
      assert.equal((entry?.flags ?? 0) & abi.CT_STEERED, abi.CT_STEERED);
      assert.equal(entry?.ingressRuleset, 5);
      assert.equal(entry?.egressRuleset, 0);
      scene.revise({ workerSlots: 0 });
      assert.equal(scene.fromPod(scene.client, syn(ends(family))).reason, abi.DROP_NO_LISTENER);
    });

    test('connections spread over the worker slots, each staying in its own', () => {
      redirect();
      scene.revise({ workerSlots: 4 });
      const slotOf = (port: number): number => {
        scene.fromPod(scene.client, syn(ends(family), 80, port));
        return scene.entry(ends(family), port, 80)?.slot ?? -1;
      };
      const slots = Array.from({ length: 200 }, (_, i) => slotOf(30000 + i));
      for (const slot of [0, 1, 2, 3]) assert.ok(slots.filter((s) => s === slot).length > 20, `slot ${slot}`);
      const { conntrack } = scene.topology.datapath.maps;
      for (const [key] of conntrack.entries()) conntrack.delete(key);
      assert.equal(slotOf(30000), slots[0]);
    });

    test('a segment for which the proxy has no socket is answered by RST', () => {
      redirect();
      const outcome = scene.fromPod(scene.client, data(ends(family)));
      assert.equal(outcome.reason, abi.DROP_NOT_STEERED);
      assert.equal(outcome.verdict, TC.redirect);
      assert.deepEqual(outcome.data.slice(0, 6), scene.client.endpoint.podMac);
      const tcp = readTcp(outcome.data, family);
      assert.deepEqual(tcp, { length: 20, ports: [80, 40000], seq: 5001, ack: 0, flags: rst, valid: true });
      const bare = packet.tcp(ends(family), { sourcePort: 40001, destinationPort: 80, flags: 0, seq: 70 });
      assert.deepEqual(readTcp(scene.fromPod(scene.client, bare).data, family), {
        ...tcp,
        ports: [80, 40001],
        seq: 0,
        ack: 70,
        flags: rst | ack,
      });
      const last = packet.tcp(ends(family), { sourcePort: 40002, destinationPort: 80, flags: fin, seq: 70 });
      assert.equal(readTcp(scene.fromPod(scene.client, last).data, family).ack, 71);
    });

    test('a first packet in fragments is refused, for the stack might find a listener of its own for it', () => {
      redirect();
      const segment = packet.tcpSegment(ends(family), { sourcePort: 40000, destinationPort: 80, flags: SYN });
      const frame = packet.ipFrame(ends(family), 6, packet.concat(segment, new Uint8Array(4)), { moreFragments: true });
      const outcome = scene.fromPod(scene.client, frame);
      assert.equal(outcome.reason, abi.DROP_NOT_STEERED);
      assert.equal(outcome.verdict, TC.shot);
    });

    test('a RST is never answered by RST', () => {
      redirect();
      const frame = packet.tcp(ends(family), { sourcePort: 40000, destinationPort: 80, flags: rst });
      assert.equal(scene.fromPod(scene.client, frame).verdict, TC.shot);
    });

    test('the proxy reaches the server for a steered connection only', () => {
      redirect();
      assert.equal(fromProxy(upstream(family, SYN)).reason, abi.DROP_NOT_STEERED);
      assert.equal(scene.topology.datapath.maps.conntrack.count(), 0);
      scene.fromPod(scene.client, syn(ends(family)));
      assert.equal(fromProxy(upstream(family, SYN)).verdict, TC.ok);
      assert.equal(fromProxy(upstream(family, rst), STEER_MARK).verdict, TC.ok);
    });

    test('nobody else does: neither the host nor what was forwarded, whatever its mark', () => {
      redirect();
      scene.fromPod(scene.client, syn(ends(family)));
      for (const [mark, from] of [
        [0, 0],
        [0, 1],
        [PROXY_MARK, 1],
        [STEER_MARK, 1],
      ] as const) {
        assert.equal(fromProxy(upstream(family, ack), mark, from).reason, abi.DROP_NOT_STEERED, `${mark} ${from}`);
      }
    });

    test("the proxy's mark opens nothing that was not steered", () => {
      allow();
      scene.fromPod(scene.client, syn(ends(family)));
      assert.equal(fromProxy(upstream(family, SYN)).reason, abi.DROP_NOT_STEERED);
    });

    test('a denial cuts both legs', () => {
      redirect();
      scene.fromPod(scene.client, syn(ends(family)));
      scene.rule(SERVER.identity, 'ingress', 'deny');
      assert.equal(fromProxy(upstream(family, ack)).reason, abi.DROP_POLICY_DENY);
      assert.equal(scene.fromPod(scene.client, data(ends(family))).reason, abi.DROP_POLICY_DENY);
    });

    test('a steered connection stays so when its policy no longer asks for it', () => {
      redirect();
      scene.fromPod(scene.client, syn(ends(family)));
      allow();
      assert.equal(fromProxy(upstream(family, ack)).verdict, TC.ok);
      const entry = scene.entry(ends(family), 40000, 80);
      assert.equal((entry?.flags ?? 0) & abi.CT_STEERED, abi.CT_STEERED);
      assert.equal(entry?.ingressRuleset, 0);
    });

    test('traffic that no pod of this node sent cannot be steered, and does not pass', () => {
      redirect();
      const frame = syn(scene.endsFromNode(OUTSIDE, scene.server, family));
      assert.equal(scene.toPod(scene.server, frame, { from: 1 }).reason, abi.DROP_CANNOT_STEER);
    });
  });

  describe(`IPv${family} connections that would bypass the proxy`, () => {
    const establish = (): void => {
      allow();
      scene.fromPod(scene.client, syn(ends(family)));
      scene.fromPod(scene.server, answer(family, SYN | ack));
      redirect();
    };

    test('the receiver gets a RST in place of the segment', () => {
      establish();
      const outcome = scene.fromPod(scene.client, data(ends(family)));
      assert.equal(outcome.reason, abi.DROP_CUT);
      assert.equal(outcome.verdict, TC.redirect);
      assert.deepEqual(outcome.data.slice(0, 6), scene.server.endpoint.podMac);
      assert.deepEqual(readTcp(outcome.data, family), {
        length: 20,
        ports: [40000, 80],
        seq: 1001,
        ack: 5001,
        flags: rst | ack,
        valid: true,
      });
      assert.deepEqual(
        outcome.events.map(({ kind }) => kind),
        [abi.FLOW_CHANGED, abi.FLOW_DROP, abi.FLOW_CLOSED],
      );
    });

    test('either side finds out, and on its way in as well', () => {
      establish();
      assert.equal(scene.fromPod(scene.server, answer(family, ack)).reason, abi.DROP_CUT);
      const outcome = scene.toPod(scene.server, upstream(family, ack), { from: 1 });
      assert.equal(outcome.reason, abi.DROP_CUT);
      assert.equal(outcome.verdict, TC.ok);
      assert.equal(readTcp(outcome.data, family).flags, rst | ack);
    });

    test('a new connection on the same ports is steered', () => {
      establish();
      scene.fromPod(scene.client, data(ends(family)));
      assert.equal(scene.fromPod(scene.client, syn(ends(family))).reason, abi.DROP_NO_LISTENER);
    });

    test('it goes on if the policy takes the rule back in time', () => {
      establish();
      allow();
      assert.equal(scene.fromPod(scene.client, data(ends(family))).verdict, TC.redirect);
      assert.equal(scene.fromPod(scene.client, data(ends(family))).reason, 0);
    });
  });
}
