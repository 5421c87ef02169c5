// What a connection's entry remembers: replies, revisions, restarts, expiry, ends. By test run.
//
//   client 10.244.0.10 (identity 300) --lxca--> node --lxcb--> server 10.244.0.11 (identity 400)

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import * as abi from './abi.ts';
import * as packet from './testing/packet.ts';
import { type Outcome, TC } from './testing/run.ts';
import {
  CLIENT,
  createScene,
  data,
  FAMILIES,
  type Family,
  reversed,
  type Scene,
  SERVER,
  syn,
} from './testing/scene.ts';

const { fin, rst, ack, syn: SYN } = packet.TCP_FLAGS;
let scene: Scene;
before(async () => {
  scene = await createScene('ct');
});
after(() => scene?.[Symbol.dispose]());
beforeEach(() => scene.reset());

const ends = (family: Family): packet.Ends => scene.ends(scene.client, scene.server, family);
const request = (family: Family, flags: number): Outcome =>
  scene.fromPod(scene.client, packet.tcp(ends(family), { sourcePort: 40000, destinationPort: 80, flags }));
const answer = (family: Family, flags: number): Outcome =>
  scene.fromPod(
    scene.server,
    packet.tcp(reversed(ends(family), scene.server), { sourcePort: 80, destinationPort: 40000, flags }),
  );
const entry = (family: Family): abi.CtEntry => {
  const found = scene.entry(ends(family), 40000, 80);
  assert.ok(found);
  return found;
};
const kinds = (outcome: Outcome): number[] => outcome.events.map(({ kind }) => kind);
const bootSeconds = (): number => Number(process.hrtime.bigint() / 1_000_000_000n); // the machine does not sleep
/** Within two seconds of `lifetime` from now. */
const expiresIn = (e: abi.CtEntry, lifetime: number): boolean => Math.abs(e.expires - bootSeconds() - lifetime) <= 2;

/** Client may send, server may receive; the server itself may open nothing. */
function oneWay(): void {
  scene.rule(CLIENT.identity, 'egress', 'allow', { cookie: 11 });
  scene.rule(SERVER.identity, 'ingress', 'allow', { cookie: 22 });
}

for (const family of FAMILIES) {
  describe(`IPv${family}`, () => {
    test('a reply passes without a policy of its own, and not before the request', () => {
      oneWay();
      assert.equal(answer(family, SYN | ack).reason, abi.DROP_UNTRACKED);
      assert.deepEqual(kinds(request(family, SYN)), [abi.FLOW_NEW]);
      assert.equal(answer(family, SYN | ack).verdict, TC.redirect);
      assert.equal(answer(family, SYN).reason, abi.DROP_POLICY_DENIED); // no reply: a connection the other way
      assert.equal(request(family, ack).verdict, TC.redirect);
    });

    test('the entry says who, why and how much', () => {
      oneWay();
      request(family, SYN);
      assert.ok(expiresIn(entry(family), 60));
      answer(family, SYN | ack);
      request(family, ack);
      const e = entry(family);
      assert.deepEqual([e.sourceIdentity, e.destinationIdentity], [CLIENT.identity, SERVER.identity]);
      assert.deepEqual([e.egressCookie, e.ingressCookie], [11, 22]);
      assert.deepEqual([e.egressAction, e.ingressAction], [abi.ACTION_ALLOW, abi.ACTION_ALLOW]);
      assert.equal(e.flags, abi.CT_REPLIED | abi.CT_INITIATOR_A);
      assert.deepEqual([e.forward.packets, e.reply.packets], [2n, 1n]);
      const header = family === 4 ? 54n : 74n;
      assert.deepEqual([e.forward.bytes, e.reply.bytes], [2n * header, header]);
      assert.ok(expiresIn(e, 8000));
    });

    test('a change of policy takes hold of the next packet, in both directions, and back', () => {
      oneWay();
      request(family, SYN);
      answer(family, SYN | ack);
      scene.rule(SERVER.identity, 'ingress', 'deny');
      const cut = request(family, ack);
      assert.equal(cut.reason, abi.DROP_POLICY_DENY);
      assert.deepEqual(kinds(cut), [abi.FLOW_CHANGED, abi.FLOW_DROP]);
      assert.equal(answer(family, ack).reason, abi.DROP_POLICY_DENY);
      assert.deepEqual(kinds(answer(family, ack)), [abi.FLOW_DROP]);
      assert.equal(entry(family).flags & abi.CT_DENIED, abi.CT_DENIED);
      scene.rule(SERVER.identity, 'ingress', 'allow');
      const again = answer(family, ack); // the reply alone brings it back
      assert.equal(again.verdict, TC.redirect);
      assert.deepEqual(kinds(again), [abi.FLOW_CHANGED]);
      assert.equal(request(family, ack).verdict, TC.redirect);
      assert.equal(entry(family).flags & abi.CT_DENIED, 0);
    });

    test('a reply finds out about a denial first', () => {
      oneWay();
      request(family, SYN);
      scene.rule(CLIENT.identity, 'egress', 'deny');
      const outcome = answer(family, SYN | ack);
      assert.equal(outcome.reason, abi.DROP_POLICY_DENY);
      assert.equal(outcome.direction, abi.POLICY_EGRESS);
      assert.equal(outcome.events.at(-1)?.isReply, 1);
      assert.equal(outcome.events.at(-1)?.sourceIdentity, SERVER.identity);
    });

    test('a new revision without a new verdict is silent and keeps the counts', () => {
      oneWay();
      request(family, SYN);
      answer(family, SYN | ack);
      scene.revise();
      assert.deepEqual(kinds(request(family, ack)), []);
      const e = entry(family);
      assert.equal(e.revision, scene.topology.datapath.maps.node_config.get(0)?.revision);
      assert.deepEqual([e.forward.packets, e.reply.packets], [2n, 1n]);
    });

    test('an address that changes hands takes its connections to its new identity', () => {
      oneWay();
      request(family, SYN);
      const other = { ...scene.server, identity: 999, endpoint: { ...scene.server.endpoint, identity: 999 } };
      scene.topology.publish(other);
      scene.revise();
      assert.equal(request(family, SYN).reason, abi.DROP_POLICY_DENIED);
      assert.equal(request(family, ack).reason, abi.DROP_POLICY_DENIED);
    });

    test('a first packet again: a retransmission is not a new connection, a reused port is', () => {
      oneWay();
      request(family, SYN);
      assert.deepEqual(kinds(request(family, SYN)), []);
      assert.equal(entry(family).forward.packets, 2n);
      answer(family, SYN | ack);
      assert.deepEqual(kinds(request(family, SYN)), [abi.FLOW_NEW]);
      assert.equal(entry(family).forward.packets, 1n);
      assert.equal(entry(family).flags & abi.CT_REPLIED, 0);
    });

    test('a first packet of the responder is judged by its own policy and leaves the entry alone', () => {
      oneWay();
      request(family, SYN);
      assert.equal(answer(family, SYN).reason, abi.DROP_POLICY_DENIED);
      answer(family, SYN | ack);
      assert.equal(answer(family, SYN).reason, abi.DROP_POLICY_DENIED);
      assert.equal(entry(family).sourceIdentity, CLIENT.identity);
      assert.equal(request(family, ack).verdict, TC.redirect);
      scene.allowAll();
      assert.equal(answer(family, SYN).verdict, TC.redirect);
      assert.equal(entry(family).sourceIdentity, SERVER.identity);
    });

    test('an expired entry counts for nothing', () => {
      oneWay();
      request(family, SYN);
      answer(family, SYN | ack);
      scene.patchEntry(ends(family), [40000, 80], { expires: bootSeconds() - 1 });
      assert.equal(answer(family, ack).reason, abi.DROP_UNTRACKED);
      assert.equal(request(family, ack).reason, abi.DROP_UNTRACKED);
      assert.deepEqual(kinds(request(family, SYN)), [abi.FLOW_NEW]);
      assert.equal(answer(family, ack).verdict, TC.redirect);
    });

    for (const [who, speak, deny] of [
      ['client', request, () => scene.rule(CLIENT.identity, 'ingress', 'deny')],
      ['client', request, () => scene.rule(SERVER.identity, 'ingress', 'deny')],
      ['server', answer, () => scene.rule(SERVER.identity, 'egress', 'deny')],
      ['server', answer, () => scene.rule(CLIENT.identity, 'egress', 'deny')],
    ] as const) {
      test(`a forgotten connection whose ${who} speaks goes on only where both may open it`, () => {
        scene.allowAll();
        assert.deepEqual(kinds(speak(family, ack)), [abi.FLOW_NEW]);
        const { conntrack } = scene.topology.datapath.maps;
        for (const [key] of conntrack.entries()) conntrack.delete(key);
        deny();
        const outcome = speak(family, ack);
        assert.equal(outcome.reason, abi.DROP_UNTRACKED);
        assert.equal(outcome.verdict, TC.redirect, 'the sender is answered by RST');
        assert.equal(conntrack.entries().length, 0);
      });
    }

    for (const [what, close] of [
      ['FIN from both', () => [request(family, fin | ack), answer(family, fin | ack)]],
      ['RST from one', () => [answer(family, rst)]],
    ] as const) {
      test(`${what} ends it: one event, a short life, the last packets still pass`, () => {
        oneWay();
        request(family, SYN);
        answer(family, SYN | ack);
        const outcomes = close();
        assert.deepEqual(outcomes.flatMap(kinds), [abi.FLOW_CLOSED]);
        const event = outcomes.at(-1)?.events[0];
        assert.equal(event?.sourceIdentity, CLIENT.identity);
        assert.equal(event?.destinationPort, 80);
        assert.equal(event?.forwardPackets, BigInt(outcomes.length));
        const last = request(family, ack);
        assert.equal(last.verdict, TC.redirect);
        assert.deepEqual(kinds(last), []);
        assert.ok(expiresIn(entry(family), 10));
        assert.deepEqual(kinds(request(family, SYN)), [abi.FLOW_NEW]);
      });
    }

    test('half-closed is not closed', () => {
      oneWay();
      request(family, SYN);
      answer(family, SYN | ack);
      assert.deepEqual(kinds(request(family, fin | ack)), []);
      assert.ok(expiresIn(entry(family), 8000));
    });
  });
}

describe('what is delivered', () => {
  for (const family of FAMILIES) {
    test(`IPv${family}: the frame has the receiver's MACs, one hop less and a right checksum`, () => {
      scene.allowAll();
      const frame = data(ends(family));
      const outcome = scene.fromPod(scene.client, frame);
      assert.equal(outcome.verdict, TC.redirect);
      const { podMac, hostMac } = scene.server.endpoint;
      assert.deepEqual([outcome.data.slice(0, 6), outcome.data.slice(6, 12)], [podMac, hostMac]);
      const hops = family === 4 ? 22 : 21;
      assert.equal(outcome.data[hops], (frame[hops] ?? 0) - 1);
      if (family === 4) assert.equal(packet.checksum(outcome.data.subarray(14, 34)), 0);
      assert.deepEqual(outcome.data.subarray(family === 4 ? 26 : 22), frame.subarray(family === 4 ? 26 : 22));
    });

    test(`IPv${family}: a packet on its last hop goes to the stack, which answers`, () => {
      oneWay();
      const frame = packet.udp(ends(family), { sourcePort: 1, destinationPort: 2 }, { hops: 1 });
      assert.equal(scene.fromPod(scene.client, frame).verdict, TC.ok);
    });
  }

  test('every checksum of an IPv4 header survives one hop less', () => {
    oneWay();
    for (let id = 0; id < 0x10000; id += 251) {
      const frame = packet.udp(ends(4), { sourcePort: 1, destinationPort: 2 }, { id, hops: 1 + (id % 254) + 1 });
      const outcome = scene.fromPod(scene.client, frame);
      assert.equal(packet.checksum(outcome.data.subarray(14, 34)), 0, `id ${id}`);
    }
  });

  test('forwarded packets are counted for both pods', () => {
    oneWay();
    const forwarded = (direction: number): bigint =>
      scene.topology.datapath.counters().find((row) => row.reason === 0 && row.direction === direction)?.packets ?? 0n;
    const before = [forwarded(abi.POLICY_EGRESS), forwarded(abi.POLICY_INGRESS)] as const;
    scene.fromPod(scene.client, syn(ends(4)));
    assert.equal(forwarded(abi.POLICY_EGRESS), before[0] + 1n);
    assert.equal(forwarded(abi.POLICY_INGRESS), before[1] + 1n);
  });
});

describe('events', () => {
  test('drops beyond the budget of a second are counted, not reported', async () => {
    await sleep(1_001); // what was dropped before is of another second
    const { node_config: config } = scene.topology.datapath.maps;
    const settings = config.get(0);
    assert.ok(settings);
    config.set(0, { ...settings, dropEventsPerSecond: 2 });
    const lost = scene.topology.datapath.losses()[abi.LOSS_DROP_EVENT] ?? 0n;
    // For a reason that no other test has used up within this second.
    const forged = { ...ends(4), sourceMac: Uint8Array.of(2, 0, 0, 0, 9, 9) };
    const outcomes = Array.from({ length: 20 }, () => scene.fromPod(scene.client, syn(forged)));
    config.set(0, settings);
    assert.ok(outcomes.every(({ reason }) => reason === abi.DROP_SOURCE_MAC));
    const sent = outcomes.filter(({ events }) => events.length > 0).length;
    assert.ok(sent >= 2 && sent < 20, `${sent} were sent`);
    const now = scene.topology.datapath.losses()[abi.LOSS_DROP_EVENT] ?? 0n;
    assert.equal(now - lost, BigInt(20 - sent));
  });

  test('a node without NODE_VERDICT_EVENTS reports drops only', () => {
    oneWay();
    const { node_config: config } = scene.topology.datapath.maps;
    const settings = config.get(0);
    assert.ok(settings);
    config.set(0, { ...settings, flags: 0 });
    assert.deepEqual(kinds(request(4, SYN)), []);
    assert.deepEqual(kinds(answer(6, SYN)), [abi.FLOW_DROP]);
    config.set(0, settings);
  });
});
