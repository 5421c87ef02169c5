// icmps of a policy: types by number or name (IANA's registries of ICMP and ICMPv6 parameters).

import type { PortMatch, PortRule, Protocol } from '../../model.ts';
import { show } from '../../schema/report.ts';
import { didYouMean } from '../../schema/suggest.ts';
import { inside, type Place } from './place.ts';
import type { WrittenIcmp, WrittenIcmpField } from './ports-schema.ts';

const FAMILIES = {
  IPv4: {
    protocol: 'ICMP',
    types: {
      EchoReply: 0,
      DestinationUnreachable: 3,
      Redirect: 5,
      Echo: 8,
      EchoRequest: 8,
      RouterAdvertisement: 9,
      RouterSelection: 10,
      TimeExceeded: 11,
      ParameterProblem: 12,
      Timestamp: 13,
      TimestampReply: 14,
      Photuris: 40,
      ExtendedEchoRequest: 42,
      ExtendedEchoReply: 43,
    },
  },
  IPv6: {
    protocol: 'ICMPv6',
    types: {
      DestinationUnreachable: 1,
      PacketTooBig: 2,
      TimeExceeded: 3,
      ParameterProblem: 4,
      EchoRequest: 128,
      EchoReply: 129,
      MulticastListenerQuery: 130,
      MulticastListenerReport: 131,
      MulticastListenerDone: 132,
      RouterSolicitation: 133,
      RouterAdvertisement: 134,
      NeighborSolicitation: 135,
      NeighborAdvertisement: 136,
      RedirectMessage: 137,
      RouterRenumbering: 138,
      ICMPNodeInformationQuery: 139,
      ICMPNodeInformationResponse: 140,
      InverseNeighborDiscoverySolicitation: 141,
      InverseNeighborDiscoveryAdvertisement: 142,
      HomeAgentAddressDiscoveryRequest: 144,
      HomeAgentAddressDiscoveryReply: 145,
      MobilePrefixSolicitation: 146,
      MobilePrefixAdvertisement: 147,
      DuplicateAddressRequestCodeSuffix: 157,
      DuplicateAddressConfirmationCodeSuffix: 158,
      ExtendedEchoRequest: 160,
      ExtendedEchoReply: 161,
    },
  },
} as const satisfies Record<string, { protocol: Protocol; types: Readonly<Record<string, number>> }>;

/** Every name of a type, of either family. */
export const ICMP_TYPE_NAMES: readonly string[] = [
  ...new Set(Object.values(FAMILIES).flatMap(({ types }) => Object.keys(types))),
];

/** All entries of icmps: one rule for the ports, a type being a port. */
export function lowerIcmps(written: readonly WrittenIcmp[], place: Place): PortRule {
  const ports = written.flatMap(({ fields = [] }, i) =>
    fields.map((field, j) => lowerField(field, inside(place, i, 'fields', j))),
  );
  if (ports.length === 0) place.report.warn(place.path, 'matches no traffic: no type is listed');
  return { ports, l7: undefined, serverNames: [] };
}

function lowerField({ family = 'IPv4', type: written }: WrittenIcmpField, place: Place): PortMatch {
  const { protocol, types } = FAMILIES[family];
  const type = typeof written === 'number' ? written : numberOf(types, written);
  if (type === undefined) {
    const hint = didYouMean(String(written), Object.keys(types)) || otherFamily(String(written), family);
    place.report.problem([...place.path, 'type'], `${show(written)} is no type of ICMP for ${family}${hint}`);
  } else if (type === 0) {
    place.report.warn([...place.path, 'type'], `${show(written)} stands for every type of ${protocol}, not only for 0`);
  }
  return { kind: 'number', port: type ?? 0, endPort: type ?? 0, protocol };
}

function numberOf(types: Readonly<Record<string, number>>, name: string): number | undefined {
  if (/^(0|[1-9]\d{0,2})$/.test(name) && Number(name) <= 255) return Number(name);
  return Object.hasOwn(types, name) ? types[name] : undefined;
}

function otherFamily(name: string, family: string): string {
  const other = family === 'IPv4' ? 'IPv6' : 'IPv4';
  return Object.hasOwn(FAMILIES[other].types, name)
    ? `, but of family ${other}`
    : ': write its name, or its number from 0 to 255';
}
