// What tests of the node's own policy start from: a node with a device to the outside, packets that come and go by it.

import assert from 'node:assert/strict';
import { after, before, beforeEach } from 'node:test';
import { DROP_REASONS, NODE_VERDICT_EVENTS } from '../abi.ts';
import * as packet from './packet.ts';
import type { RuleOptions } from './policy.ts';
import { type Outcome, TC } from './run.ts';
import { createScene, type Family, type Scene } from './scene.ts';
import { macBytes } from './topology.ts';
import { createUplink, IDENTITY_HOST, type Uplink } from './uplink.ts';

export interface Place {
  readonly ip4: string;
  readonly ip6: string;
}

export interface NodeRig {
  readonly scene: Scene;
  readonly uplink: Uplink;
  /** Ends of a packet that is on the device, in either direction. */
  ends(from: Place, to: Place, family: Family): packet.Ends;
  /** A TCP segment (a SYN, unless told) on the device. */
  segment(at: {
    readonly from: Place;
    readonly to: Place;
    readonly family: Family;
    readonly ports: readonly [number, number];
    readonly flags?: number;
  }): Uint8Array;
  /** Comes in at the device. */
  arrive(frame: Uint8Array): Outcome;
  /** Leaves by it; `forwarded`: for somebody else. */
  leave(frame: Uint8Array, options?: { readonly forwarded: boolean }): Outcome;
  /** Puts the node under policy by NODE_HOST_* flags. */
  enforce(flags: number): void;
  /** An entry of the node's own. */
  rule(direction: 'ingress' | 'egress', action: 'allow' | 'deny' | 'redirect', options?: RuleOptions): void;
}

/** The node of the test file that calls this: built before its tests, emptied before each, gone after them. */
export function useNode(name: string): NodeRig {
  let scene: Scene;
  let uplink: Uplink;
  before(async () => {
    scene = await createScene(name);
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
  const ip = (of: Place, family: Family): string => (family === 4 ? of.ip4 : of.ip6);
  const rig: NodeRig = {
    get scene() {
      return scene;
    },
    get uplink() {
      return uplink;
    },
    ends: (from, to, family) => ({
      sourceMac: macBytes(uplink.macs.outside),
      destinationMac: macBytes(uplink.macs.node),
      source: ip(from, family),
      destination: ip(to, family),
    }),
    segment: ({ from, to, family, ports: [sourcePort, destinationPort], flags = packet.TCP_FLAGS.syn }) =>
      packet.tcp(rig.ends(from, to, family), { sourcePort, destinationPort, flags }),
    arrive: (frame) => scene.runner.run('from_network', frame, { ifindex: uplink.ifindex, from: uplink.ifindex }),
    leave: (frame, { forwarded } = { forwarded: false }) =>
      scene.runner.run('to_network', frame, { ifindex: uplink.ifindex, from: forwarded ? scene.client.ifindex : 0 }),
    enforce: (flags) => scene.revise({ flags: NODE_VERDICT_EVENTS | flags }),
    rule: (direction, action, options) => scene.rule(IDENTITY_HOST, direction, action, options),
  };
  return rig;
}

/** The packet goes on, to whoever else is at the device. */
export function passed(outcome: Outcome): void {
  assert.equal(outcome.verdict, TC.unspec, DROP_REASONS[outcome.reason]?.text ?? '');
}

/** It does so without that any policy was asked. */
export function unasked({ scene }: NodeRig, outcome: Outcome): void {
  passed(outcome);
  assert.deepEqual(outcome.events, []);
  assert.equal(scene.topology.datapath.maps.policy_counters.count(), 0);
}
