// Audit mode of the node, of one endpoint and of one entry: what policy denies passes, is counted and reported. By test run.
//
//   client (identity 300) --lxca--> node --lxcb--> server (identity 400)

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import * as abi from './abi.ts';
import * as packet from './testing/packet.ts';
import { type Outcome, TC } from './testing/run.ts';
import { CLIENT, createScene, FAMILIES, type Family, type Scene, SERVER, syn } from './testing/scene.ts';
import { STEER_MARK } from './testing/topology.ts';

let scene: Scene;
before(async () => {
  scene = await createScene('audit');
});
after(() => scene?.[Symbol.dispose]());
beforeEach(() => scene.reset());

const TCP = packet.PROTOCOL.tcp;
const EVENTS = abi.NODE_VERDICT_EVENTS;
const AUDIT = abi.ACTION_AUDIT;
const send = (family: Family, port = 80, tag = 40000): Outcome =>
  scene.fromPod(scene.client, syn(scene.ends(scene.client, scene.server, family), port, tag));
/** Kind, egress and ingress action of each event. */
const told = ({ events }: Outcome): number[][] => events.map((e) => [e.kind, e.egressAction, e.ingressAction]);
const auditNode = (): void => scene.revise({ flags: EVENTS | abi.NODE_AUDIT });
const auditServer = (on = true): void => {
  const { endpoint_addrs: map } = scene.topology.datapath.maps;
  const endpoint = { ...scene.server.endpoint, flags: on ? abi.ENDPOINT_AUDIT : 0 };
  for (const ip of [scene.server.address4, scene.server.address6]) map.set(ip, endpoint);
  scene.revise();
};

describe('audit mode', () => {
  for (const family of FAMILIES) {
    test(`IPv${family}: of the node, lets pass what no entry allows, and says so`, () => {
      assert.equal(send(family).reason, abi.DROP_POLICY_DENIED);
      auditNode();
      const outcome = send(family);
      assert.equal(outcome.verdict, TC.redirect);
      assert.deepEqual(told(outcome), [[abi.FLOW_NEW, AUDIT, AUDIT]]);
      assert.deepEqual([outcome.events[0]?.egressMatch, outcome.events[0]?.ingressMatch], [0, 0]);
      assert.deepEqual(told(send(family)), [], 'once for each connection');
    });

    test(`IPv${family}: of the node, lets pass what an entry denies, under the entry's name`, () => {
      scene.rule(CLIENT.identity, 'egress', 'allow');
      scene.rule(SERVER.identity, 'ingress', 'deny', { peer: CLIENT.identity, cookie: 5 });
      auditNode();
      const outcome = send(family);
      assert.deepEqual(told(outcome), [[abi.FLOW_NEW, abi.ACTION_ALLOW, AUDIT]]);
      assert.deepEqual([outcome.events[0]?.ingressMatch, outcome.events[0]?.ingressCookie], [abi.MATCH_L3_ONLY, 5]);
    });

    test(`IPv${family}: of one endpoint, concerns that endpoint's policy only`, () => {
      auditServer();
      assert.equal(send(family).reason, abi.DROP_POLICY_DENIED);
      scene.rule(CLIENT.identity, 'egress', 'allow');
      assert.deepEqual(told(send(family)), [[abi.FLOW_NEW, abi.ACTION_ALLOW, AUDIT]]);
    });

    test(`IPv${family}: of one entry`, () => {
      scene.rule(CLIENT.identity, 'egress', 'allow');
      scene.rule(SERVER.identity, 'ingress', 'audit', { protocol: TCP, port: 80, cookie: 6 });
      const outcome = send(family);
      assert.equal(outcome.verdict, TC.redirect);
      assert.deepEqual(told(outcome), [[abi.FLOW_NEW, abi.ACTION_ALLOW, AUDIT]]);
      assert.equal(outcome.events[0]?.ingressCookie, 6);
      assert.equal(send(family, 81).reason, abi.DROP_POLICY_DENIED);
    });

    test(`IPv${family}: ends at once for connections that live by it, and begins for those that were denied`, () => {
      scene.rule(CLIENT.identity, 'egress', 'allow');
      auditServer();
      assert.equal(send(family).verdict, TC.redirect);
      auditServer(false);
      assert.equal(send(family).reason, abi.DROP_POLICY_DENIED);
      auditServer();
      const outcome = send(family);
      assert.equal(outcome.verdict, TC.redirect);
      assert.deepEqual(told(outcome), [[abi.FLOW_CHANGED, abi.ACTION_ALLOW, AUDIT]]);
      scene.rule(SERVER.identity, 'ingress', 'allow');
      assert.deepEqual(
        told(send(family)),
        [[abi.FLOW_CHANGED, abi.ACTION_ALLOW, abi.ACTION_ALLOW]],
        'no longer audited',
      );
    });

    test(`IPv${family}: of both sides, is reported when it begins and ends at either`, () => {
      const change = (side: 'ingress' | 'egress', action: 'allow' | 'deny'): number[][] => {
        scene.rule(side === 'egress' ? CLIENT.identity : SERVER.identity, side, action);
        return told(send(family));
      };
      auditNode();
      scene.rule(SERVER.identity, 'ingress', 'allow');
      assert.deepEqual(told(send(family)), [[abi.FLOW_NEW, AUDIT, abi.ACTION_ALLOW]]);
      assert.deepEqual(change('ingress', 'deny'), [[abi.FLOW_CHANGED, AUDIT, AUDIT]]);
      assert.deepEqual(change('egress', 'allow'), [[abi.FLOW_CHANGED, abi.ACTION_ALLOW, AUDIT]]);
    });

    test(`IPv${family}: does not spare anybody the proxy`, () => {
      scene.rule(SERVER.identity, 'ingress', 'redirect', { protocol: TCP, port: 80, ruleset: 3 });
      auditNode();
      const outcome = send(family);
      assert.equal(outcome.reason, abi.DROP_NO_LISTENER, 'sent to the proxy, which this test has not');
      const [entry] = scene.topology.datapath.maps.conntrack.entries();
      assert.deepEqual([entry?.[1].egressAction, entry?.[1].ingressAction], [AUDIT, abi.ACTION_REDIRECT]);
      assert.notEqual(outcome.mark, STEER_MARK);
    });

    test(`IPv${family}: reports packets without a connection too, one by one`, () => {
      auditNode();
      const type = family === 4 ? 3 : 1;
      const ends = scene.ends(scene.client, scene.server, family);
      for (let i = 0; i < 2; i++) {
        const outcome = scene.fromPod(scene.client, packet.icmp(ends, type, new Uint8Array(64)));
        assert.equal(outcome.verdict, TC.redirect);
        assert.deepEqual(told(outcome), [[abi.FLOW_NEW, AUDIT, AUDIT]]);
        assert.equal(outcome.events[0]?.destinationPort, type);
      }
    });
  }

  test('does not make a pod of what is none', () => {
    auditNode();
    scene.topology.withdraw(scene.server);
    assert.equal(send(4).reason, abi.DROP_ENDPOINT_NOT_READY);
    const forged = { ...scene.ends(scene.client, scene.server, 4), source: '10.244.0.99' };
    assert.equal(scene.fromPod(scene.client, syn(forged)).reason, abi.DROP_SOURCE_IP);
  });

  test('an action that the program does not know is a denial, and is audited as one', () => {
    scene.rule(CLIENT.identity, 'egress', 'allow');
    scene.rule(SERVER.identity, 'ingress', 'allow');
    const { policy } = scene.topology.datapath.maps;
    for (const [key, value] of policy.entries()) policy.set(key, { ...value, action: 9 });
    auditNode();
    assert.deepEqual(told(send(4)), [[abi.FLOW_NEW, AUDIT, AUDIT]]);
  });
});
