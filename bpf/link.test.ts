// from_pod lets a pod speak ARP and neighbor discovery of itself only. IPv4 has ARP, IPv6 the rest.
//
//   client 10.244.0.10, fd00:10:244::10, MAC 02:00:00:00:01:01 --lxca--> node   (from_pod runs on lxca, by test run)

import { after, before, describe } from 'node:test';
import * as abi from './abi.ts';
import { checkSent } from './testing/cases.ts';
import * as packet from './testing/packet.ts';
import { CLIENT, createScene, type Scene, SERVER } from './testing/scene.ts';
import { GATEWAY4, GATEWAY6, macBytes } from './testing/topology.ts';

let scene: Scene;
before(async () => {
  scene = await createScene('link');
  scene.allowAll();
});
after(() => scene?.[Symbol.dispose]());

type Ends = packet.Ends;
const STRANGER = macBytes('02:00:00:00:0f:0f');
const ROUTERS = 'ff02::2';
const SOLICITED = 'ff02::1:ff00:10'; // of the client's address
const LINK_LOCAL = 'fe80::ff:fe00:101'; // of the client's MAC

describe('from_pod on ARP', () => {
  const own = macBytes('02:00:00:00:01:01');
  const ask = { operation: 1, senderMac: own, sender: CLIENT.ip4, target: GATEWAY4 } as const;
  checkSent(
    () => scene,
    [
      { what: 'a request of its own passes', frame: (ends: Ends) => packet.arp(ends, ask), reason: 0 },
      { what: 'a probe passes', frame: (ends: Ends) => packet.arp(ends, { ...ask, sender: '0.0.0.0' }), reason: 0 },
      {
        what: "another's address",
        frame: (ends: Ends) => packet.arp(ends, { ...ask, operation: 2, sender: SERVER.ip4 }),
        reason: abi.DROP_ARP_SENDER,
      },
      {
        what: "the gateway's address",
        frame: (ends: Ends) => packet.arp(ends, { ...ask, operation: 2, sender: GATEWAY4 }),
        reason: abi.DROP_ARP_SENDER,
      },
      {
        what: "another's MAC inside",
        frame: (ends: Ends) => packet.arp(ends, { ...ask, senderMac: STRANGER }),
        reason: abi.DROP_ARP_SENDER,
      },
      {
        what: 'a message that is cut off',
        frame: (ends: Ends) => packet.arp(ends, ask).subarray(0, 30),
        reason: abi.DROP_TRUNCATED,
      },
    ].map((entry) => ({ ...entry, families: [4] as const })),
  );
});

describe('from_pod on neighbor discovery', () => {
  const own = macBytes('02:00:00:00:01:01');
  const nd = { hops: 255 };
  const solicit = (ends: Ends, change: Partial<Ends> = {}, mac = own, ip: packet.IpOptions = nd): Uint8Array =>
    packet.icmp({ ...ends, destination: GATEWAY6, ...change }, 135, packet.neighbor(GATEWAY6, [[1, mac]]), ip);
  const advert = (ends: Ends, target: string, mac = own): Uint8Array =>
    packet.icmp({ ...ends, destination: GATEWAY6 }, 136, packet.neighbor(target, [[2, mac]]), nd);
  const rest = new Uint8Array(4);
  checkSent(
    () => scene,
    [
      { what: 'a solicitation passes', frame: (ends: Ends) => solicit(ends), reason: 0 },
      {
        what: 'a solicitation from its link-local address passes',
        frame: (ends: Ends) => solicit(ends, { source: LINK_LOCAL }),
        reason: 0,
      },
      {
        what: 'duplicate address detection passes',
        frame: (ends: Ends) =>
          packet.icmp({ ...ends, source: '::', destination: SOLICITED }, 135, packet.neighbor(CLIENT.ip6, []), nd),
        reason: 0,
      },
      {
        what: 'a router solicitation passes',
        frame: (ends: Ends) => packet.icmp({ ...ends, source: LINK_LOCAL, destination: ROUTERS }, 133, rest, nd),
        reason: 0,
      },
      {
        what: 'a listener report passes',
        frame: (ends: Ends) =>
          packet.icmp({ ...ends, source: LINK_LOCAL, destination: 'ff02::16' }, 143, rest, { hops: 1 }),
        reason: 0,
      },
      { what: 'an advertisement of its address passes', frame: (ends: Ends) => advert(ends, CLIENT.ip6), reason: 0 },
      {
        what: "an advertisement of another's address",
        frame: (ends: Ends) => advert(ends, SERVER.ip6),
        reason: abi.DROP_ND_SENDER,
      },
      {
        what: "an advertisement of the gateway's address",
        frame: (ends: Ends) => advert(ends, GATEWAY6),
        reason: abi.DROP_ND_SENDER,
      },
      {
        what: "an advertisement of another's MAC",
        frame: (ends: Ends) => advert(ends, CLIENT.ip6, STRANGER),
        reason: abi.DROP_ND_SENDER,
      },
      {
        what: "a solicitation with another's MAC",
        frame: (ends: Ends) => solicit(ends, {}, STRANGER),
        reason: abi.DROP_ND_SENDER,
      },
      {
        what: "a solicitation from the gateway's address",
        frame: (ends: Ends) => solicit(ends, { source: GATEWAY6 }),
        reason: abi.DROP_ND_SENDER,
      },
      {
        what: 'a solicitation that was forwarded',
        frame: (ends: Ends) => solicit(ends, {}, own, { hops: 64 }),
        reason: abi.DROP_FORBIDDEN_ICMPV6,
      },
      {
        what: 'a solicitation that would leave the link',
        frame: (ends: Ends) => solicit(ends, { destination: SERVER.ip6 }),
        reason: abi.DROP_FORBIDDEN_ICMPV6,
      },
      {
        what: 'a router advertisement',
        frame: (ends: Ends) => packet.icmp({ ...ends, source: LINK_LOCAL }, 134, rest, nd),
        reason: abi.DROP_FORBIDDEN_ICMPV6,
      },
      {
        what: 'a redirect',
        frame: (ends: Ends) => packet.icmp({ ...ends, source: LINK_LOCAL }, 137, rest, nd),
        reason: abi.DROP_FORBIDDEN_ICMPV6,
      },
      {
        what: 'an option of no length',
        frame: (ends: Ends) =>
          packet.icmp(
            { ...ends, destination: GATEWAY6 },
            135,
            packet.concat(packet.neighbor(GATEWAY6, []), new Uint8Array(8)),
            nd,
          ),
        reason: abi.DROP_ND_SENDER,
      },
      {
        what: 'a solicitation that is cut off',
        frame: (ends: Ends) => packet.icmp({ ...ends, destination: GATEWAY6 }, 135, rest, nd),
        reason: abi.DROP_TRUNCATED,
      },
    ].map((entry) => ({ ...entry, families: [6] as const })),
  );
});
