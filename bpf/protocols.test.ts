// One policy table for every protocol: ports of TCP, UDP and SCTP, types of ICMP, whole protocols, and all of them at once.
// By test run, in both families.
//
//   client (identity 300) --lxca--> node --lxcb--> server (identity 400)

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { address, parseCidr } from '#common/ip.ts';
import * as abi from './abi.ts';
import * as packet from './testing/packet.ts';
import type { RuleOptions } from './testing/policy.ts';
import { type Outcome, TC } from './testing/run.ts';
import { CLIENT, createScene, FAMILIES, type Family, type Scene, SERVER, syn } from './testing/scene.ts';

let scene: Scene;
before(async () => {
  scene = await createScene('proto');
});
after(() => scene?.[Symbol.dispose]());
beforeEach(() => scene.reset());

const { tcp: TCP, udp: UDP, sctp: SCTP } = packet.PROTOCOL;
const PEER = CLIENT.identity;
const DENIED = abi.DROP_POLICY_DENIED;
const ICMP = (family: Family): number => (family === 4 ? packet.PROTOCOL.icmp : packet.PROTOCOL.icmpv6);
const ECHO = { request: { 4: 8, 6: 128 }, reply: { 4: 0, 6: 129 } } as const;

type Frame = (ends: packet.Ends, family: Family) => Uint8Array;
const tcp: Frame = (ends) => syn(ends, 80);
const udp: Frame = (ends) => packet.udp(ends, { sourcePort: 40000, destinationPort: 80 });
const sctp: Frame = (ends) => packet.sctp(ends, { sourcePort: 40000, destinationPort: 80 });
const echo: Frame = (ends, family) => packet.icmp(ends, ECHO.request[family], packet.echo(9));
const reply: Frame = (ends, family) => packet.icmp(ends, ECHO.reply[family], packet.echo(9));
const unreachable: Frame = (ends, family) => packet.icmp(ends, family === 4 ? 3 : 1, new Uint8Array(64));

interface Entry {
  readonly action?: 'allow' | 'deny';
  readonly options: RuleOptions | ((family: Family) => RuleOptions);
}
const allow = (options: Entry['options']): Entry => ({ options });
const deny = (options: Entry['options']): Entry => ({ action: 'deny', options });

const reasonOf = ({ reason }: Outcome): string => abi.DROP_REASONS[reason]?.text ?? '';

/** Frames that pass the server's entries with how they matched, and frames that do not with the reason. */
interface Case {
  readonly what: string;
  readonly entries: readonly Entry[];
  readonly pass?: readonly (readonly [Frame, number])[];
  readonly drop?: readonly (readonly [Frame, number])[];
}
const all: readonly Frame[] = [tcp, udp, sctp, echo, reply, unreachable];
const each = (frames: readonly Frame[], value: number): [Frame, number][] => frames.map((frame) => [frame, value]);

const CASES: readonly Case[] = [
  { what: 'a peer alone is every protocol', entries: [allow({ peer: PEER })], pass: each(all, abi.MATCH_L3_ONLY) },
  { what: 'no peer and no port is everything', entries: [allow({})], pass: each(all, abi.MATCH_ALL) },
  {
    what: 'a port is of its protocol only',
    entries: [allow({ protocol: SCTP, port: 80 })],
    pass: [[sctp, abi.MATCH_L4_ONLY]],
    drop: each([tcp, udp, echo, reply, unreachable], DENIED),
  },
  {
    what: 'another port of the protocol',
    entries: [allow({ protocol: SCTP, port: 81 })],
    drop: each(all, DENIED),
  },
  {
    what: 'every port of a protocol',
    entries: [allow({ peer: PEER, protocol: UDP })],
    pass: [[udp, abi.MATCH_L3_PROTO]],
    drop: each([tcp, sctp, echo], DENIED),
  },
  {
    what: 'a range of ports',
    entries: [allow({ protocol: SCTP, port: 80, l4Bits: 20 })],
    pass: [[sctp, abi.MATCH_L4_ONLY]],
    drop: [[tcp, DENIED]],
  },
  {
    what: 'a type of ICMP is its port',
    entries: [allow((family) => ({ protocol: ICMP(family), port: ECHO.request[family] }))],
    pass: [[echo, abi.MATCH_L4_ONLY]],
    drop: each([reply, unreachable, tcp], DENIED),
  },
  {
    what: 'every type of ICMP (type 0 in a policy) is the protocol',
    entries: [allow((family) => ({ protocol: ICMP(family) }))],
    pass: each([echo, reply, unreachable], abi.MATCH_PROTO_ONLY),
    drop: each([tcp, udp, sctp], DENIED),
  },
  {
    what: "the other family's ICMP says nothing",
    entries: [allow((family) => ({ protocol: ICMP(family === 4 ? 6 : 4) }))],
    drop: each([echo, reply, unreachable], DENIED),
  },
  {
    what: 'ICMP has no ports',
    entries: [allow({ protocol: TCP }), allow({ protocol: UDP }), allow({ protocol: SCTP })],
    pass: each([tcp, udp, sctp], abi.MATCH_PROTO_ONLY),
    drop: each([echo, reply, unreachable], DENIED),
  },
  {
    what: 'a denied type among all protocols of a peer',
    entries: [
      allow({ peer: PEER }),
      deny((family) => ({ protocol: ICMP(family), port: ECHO.request[family], precedence: 2 })),
    ],
    pass: each([tcp, sctp, reply, unreachable], abi.MATCH_L3_ONLY),
    drop: [[echo, abi.DROP_POLICY_DENY]],
  },
  {
    what: 'a denied peer is denied on every protocol, whatever its ports allow',
    entries: [
      deny({ peer: PEER, precedence: 2 }),
      allow({ protocol: TCP, port: 80 }),
      allow({ protocol: SCTP, port: 80 }),
      allow((family) => ({ protocol: ICMP(family) })),
    ],
    drop: each(all, abi.DROP_POLICY_DENY),
  },
];

describe('policy by protocol', () => {
  for (const { what, entries, pass = [], drop = [] } of CASES) {
    for (const family of FAMILIES) {
      test(`IPv${family}: ${what}`, () => {
        scene.rule(CLIENT.identity, 'egress', 'allow');
        for (const { action = 'allow', options } of entries) {
          const given = typeof options === 'function' ? options(family) : options;
          scene.rule(SERVER.identity, 'ingress', action, given);
        }
        const ends = scene.ends(scene.client, scene.server, family);
        for (const [frame, match] of pass) {
          const outcome = scene.fromPod(scene.client, frame(ends, family));
          assert.equal(outcome.verdict, TC.redirect, reasonOf(outcome));
          const [event] = outcome.events;
          if (event) assert.equal(event.ingressMatch, match);
        }
        for (const [frame, reason] of drop) {
          const outcome = scene.fromPod(scene.client, frame(ends, family));
          assert.equal(abi.DROP_REASONS[outcome.reason]?.name, abi.DROP_REASONS[reason]?.name);
        }
      });
    }
  }

  for (const family of FAMILIES) {
    test(`IPv${family}: an SCTP association is tracked: its answers pass`, () => {
      scene.rule(CLIENT.identity, 'egress', 'allow', { protocol: SCTP, port: 80 });
      scene.rule(SERVER.identity, 'ingress', 'allow', { protocol: SCTP, port: 80 });
      const there = scene.ends(scene.client, scene.server, family);
      const back = scene.ends(scene.server, scene.client, family);
      const answer = packet.sctp(back, { sourcePort: 80, destinationPort: 40000 });
      assert.equal(scene.fromPod(scene.server, answer).reason, DENIED);
      assert.equal(scene.fromPod(scene.client, sctp(there, family)).verdict, TC.redirect);
      assert.equal(scene.fromPod(scene.server, answer).verdict, TC.redirect);
    });
  }
});

describe('addresses by longest prefix', () => {
  const PREFIXES: Readonly<Record<Family, readonly (readonly [string, number])[]>> = {
    4: [
      ['0.0.0.0/0', 1001],
      ['10.0.0.0/8', 1002],
      ['192.0.2.0/24', 1003],
      ['192.0.2.64/26', 1004],
      ['192.0.2.65/32', 1005],
    ],
    6: [
      ['::/0', 2001],
      ['fd00::/8', 2002],
      ['2001:db8::/32', 2003],
      ['2001:db8:0:1::/64', 2004],
      ['2001:db8:0:1::1/128', 2005],
    ],
  };
  const WHO: Readonly<Record<Family, readonly (readonly [string, number])[]>> = {
    4: [
      ['198.51.100.1', 1001],
      ['10.9.9.9', 1002],
      ['192.0.2.1', 1003],
      ['192.0.2.66', 1004],
      ['192.0.2.65', 1005],
      [SERVER.ip4, SERVER.identity],
    ],
    6: [
      ['2400::1', 2001],
      ['fd00:1::1', 2002],
      ['2001:db8:1::1', 2003],
      ['2001:db8:0:1::2', 2004],
      ['2001:db8:0:1::1', 2005],
      [SERVER.ip6, SERVER.identity],
    ],
  };
  const write = (): void => {
    for (const [text, identity] of [...PREFIXES[4], ...PREFIXES[6]]) {
      const cidr = parseCidr(text);
      assert.ok(cidr.ok);
      const { address: ip, bits: prefixlen } = cidr.value;
      scene.topology.datapath.maps.identities.set({ prefixlen, ip }, { identity, flags: 0 });
    }
  };
  for (const family of FAMILIES) {
    for (const [ip, identity] of WHO[family]) {
      test(`IPv${family}: ${ip} is ${identity}`, () => {
        write();
        scene.rule(CLIENT.identity, 'egress', 'allow', { peer: identity });
        if (identity === SERVER.identity) scene.rule(SERVER.identity, 'ingress', 'allow');
        const to = { ip4: ip, ip6: ip };
        const outcome = scene.fromPod(scene.client, syn(scene.ends(scene.client, to, family)));
        assert.notEqual(outcome.verdict, TC.shot, reasonOf(outcome));
        assert.equal(outcome.events[0]?.destinationIdentity, identity);
      });
    }

    test(`IPv${family}: a pod is not its prefix, ready or not`, () => {
      write();
      scene.rule(CLIENT.identity, 'egress', 'allow', { peer: PREFIXES[family][1]?.[1] ?? 0 });
      const frame = syn(scene.ends(scene.client, scene.server, family));
      assert.equal(scene.fromPod(scene.client, frame).reason, DENIED);
      scene.topology.withdraw(scene.server);
      assert.equal(scene.fromPod(scene.client, frame).reason, abi.DROP_ENDPOINT_NOT_READY);
      const ip = address(family === 4 ? SERVER.ip4 : SERVER.ip6);
      scene.topology.datapath.maps.identities.delete({ prefixlen: 128, ip });
      assert.equal(scene.fromPod(scene.client, frame).verdict, TC.ok, 'nobody here has the address any more');
    });
  }
});
