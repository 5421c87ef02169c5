// from_pod refuses what a pod cannot honestly have sent: another's MAC or address, malformed headers.
//
//   client 10.244.0.10 --lxca--> node --lxcb--> server 10.244.0.11   (from_pod runs on lxca, by test run)

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { UNSPECIFIED } from '#common/ip.ts';
import * as abi from './abi.ts';
import { checkSent } from './testing/cases.ts';
import * as packet from './testing/packet.ts';
import { createScene, OUTSIDE, RESOLVER, type Scene, syn } from './testing/scene.ts';
import { macBytes } from './testing/topology.ts';

let scene: Scene;
before(async () => {
  scene = await createScene('src');
  scene.allowAll();
});
after(() => scene?.[Symbol.dispose]());

type Ends = packet.Ends;
const STRANGER = macBytes('02:00:00:00:0f:0f');
const LINK_LOCAL = 'fe80::ff:fe00:101'; // of the client's MAC 02:00:00:00:01:01

const ports = { sourcePort: 40000, destinationPort: 80 };

describe('from_pod on claimed senders', () => {
  checkSent(
    () => scene,
    [
      { what: 'own MAC and address pass', frame: syn, reason: 0 },
      { what: "another's MAC", frame: (ends) => syn({ ...ends, sourceMac: STRANGER }), reason: abi.DROP_SOURCE_MAC },
      {
        what: 'a frame past the gateway',
        frame: (ends) => syn({ ...ends, destinationMac: STRANGER }),
        reason: abi.DROP_DESTINATION_MAC,
      },
      {
        what: "the server's address",
        frame: (ends) => syn({ ...ends, source: ends.destination }),
        reason: abi.DROP_SOURCE_IP,
      },
      {
        what: 'an outside address',
        families: [4],
        frame: (ends) => syn({ ...ends, source: OUTSIDE.ip4 }),
        reason: abi.DROP_SOURCE_IP,
      },
      {
        what: 'an outside address',
        families: [6],
        frame: (ends) => syn({ ...ends, source: OUTSIDE.ip6 }),
        reason: abi.DROP_SOURCE_IP,
      },
      {
        what: 'the resolver',
        families: [4],
        frame: (ends) => syn({ ...ends, source: RESOLVER.ip4 }),
        reason: abi.DROP_SOURCE_IP,
      },
      {
        what: 'no address',
        families: [4],
        frame: (ends) => syn({ ...ends, source: '0.0.0.0' }),
        reason: abi.DROP_SOURCE_IP,
      },
      {
        what: 'no address',
        families: [6],
        frame: (ends) => syn({ ...ends, source: '::' }),
        reason: abi.DROP_SOURCE_IP,
      },
      {
        what: 'TCP from its link-local address',
        families: [6],
        frame: (ends) => syn({ ...ends, source: LINK_LOCAL }),
        reason: abi.DROP_SOURCE_IP,
      },
      {
        what: 'echo from its link-local address',
        families: [6],
        frame: (ends) => packet.icmp({ ...ends, source: LINK_LOCAL }, 128, packet.echo(1)),
        reason: abi.DROP_SOURCE_IP,
      },
      {
        what: 'a fragment of ICMPv6 from a link-local address',
        families: [6],
        frame: (ends) => packet.icmp({ ...ends, source: LINK_LOCAL }, 128, packet.echo(1), { moreFragments: true }),
        reason: abi.DROP_SOURCE_IP,
      },
    ],
  );
});

test('a pod without an IPv6 address has not the address of zeros', () => {
  const { endpoints } = scene.topology.datapath.maps;
  endpoints.set(scene.client.ifindex, { ...scene.client.endpoint, ip6: UNSPECIFIED });
  const outcome = scene.fromPod(scene.client, syn({ ...scene.ends(scene.client, scene.server, 6), source: '::' }));
  scene.topology.publish(scene.client);
  assert.equal(outcome.reason, abi.DROP_SOURCE_IP);
});

describe('from_pod on malformed packets', () => {
  const options = Uint8Array.of(7, 3, 4, 0); // record route
  const padding = new Uint8Array(8);
  checkSent(
    () => scene,
    [
      {
        what: 'a VLAN tag',
        frame: (ends) =>
          packet.ethernet(ends, packet.ETHERTYPE.vlan, packet.concat(Uint8Array.of(0, 5), syn(ends).subarray(12))),
        reason: abi.DROP_VLAN,
      },
      {
        what: 'an unknown network protocol',
        frame: (ends) => packet.ethernet(ends, 0x88cc, new Uint8Array(64)),
        reason: abi.DROP_UNKNOWN_L3,
      },
      {
        what: 'a transport header that is cut off',
        frame: (ends) => packet.ipFrame(ends, 6, new Uint8Array(16)),
        reason: abi.DROP_TRUNCATED,
      },
      {
        what: 'a UDP header that is cut off',
        frame: (ends) => packet.ipFrame(ends, 17, new Uint8Array(4)),
        reason: abi.DROP_TRUNCATED,
      },
      {
        what: 'a TCP header of less than 5 words',
        frame: (ends) => {
          const segment = packet.tcpSegment(ends, { ...ports, flags: 2 });
          segment[12] = 4 << 4;
          return packet.ipFrame(ends, 6, segment);
        },
        reason: abi.DROP_TRUNCATED,
      },
      {
        what: 'SCTP',
        frame: (ends) => packet.sctp(ends, { sourcePort: 1, destinationPort: 2 }),
        reason: 0,
      },
      {
        what: 'SCTP that is cut off',
        frame: (ends) => packet.ipFrame(ends, packet.PROTOCOL.sctp, new Uint8Array(11)),
        reason: abi.DROP_TRUNCATED,
      },
      {
        what: 'GRE',
        frame: (ends) => packet.ipFrame(ends, 47, new Uint8Array(32)),
        reason: abi.DROP_UNKNOWN_L4,
      },
      {
        what: "the other family's ICMP",
        families: [4],
        frame: (ends) => packet.ipFrame(ends, 58, new Uint8Array(32)),
        reason: abi.DROP_UNKNOWN_L4,
      },
      {
        what: "the other family's ICMP",
        families: [6],
        frame: (ends) => packet.ipFrame(ends, 1, new Uint8Array(32)),
        reason: abi.DROP_UNKNOWN_L4,
      },
      {
        what: 'a length beyond the frame',
        frame: (ends) => packet.tcp(ends, { ...ports, flags: 2 }, { length: 500 }),
        reason: abi.DROP_INVALID_PACKET,
      },
      {
        what: 'a length of zero',
        frame: (ends) => packet.tcp(ends, { ...ports, flags: 2 }, { length: 0 }),
        reason: abi.DROP_INVALID_PACKET,
      },
      {
        what: 'IPv4 options',
        families: [4],
        frame: (ends) => packet.tcp(ends, { ...ports, flags: 2 }, { options }),
        reason: abi.DROP_IPV4_OPTIONS,
      },
      {
        what: 'the wrong version',
        families: [4],
        frame: (ends) => syn(ends).map((byte, i) => (i === 14 ? 0x65 : byte)),
        reason: abi.DROP_INVALID_PACKET,
      },
      { what: 'a mapped destination', families: [6], frame: (ends) => mapped(ends), reason: abi.DROP_INVALID_PACKET },
      {
        what: 'destination options are stepped over',
        families: [6],
        frame: (ends) => packet.tcp(ends, { ...ports, flags: 2 }, { extensions: [[60, padding]] }),
        reason: 0,
      },
      {
        what: 'a used-up routing header is stepped over',
        families: [6],
        frame: (ends) => packet.tcp(ends, { ...ports, flags: 2 }, { extensions: [[43, padding]] }),
        reason: 0,
      },
      {
        what: 'a routing header with segments left',
        families: [6],
        frame: (ends) =>
          packet.tcp(ends, { ...ports, flags: 2 }, { extensions: [[43, Uint8Array.of(0, 0, 0, 1, 0, 0, 0, 0)]] }),
        reason: abi.DROP_IPV6_EXTENSION,
      },
      {
        what: 'too many extension headers',
        families: [6],
        frame: (ends) =>
          packet.tcp(
            ends,
            { ...ports, flags: 2 },
            { extensions: Array.from({ length: 7 }, () => [60, padding] as const) },
          ),
        reason: abi.DROP_IPV6_EXTENSION,
      },
    ],
  );
});

function mapped(ends: Ends): Uint8Array {
  const frame = syn(ends);
  frame.set([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 244, 0, 11], 38);
  return frame;
}
