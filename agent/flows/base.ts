// What flows of the kernel and of the proxy have in common: ends, names, layer 4.

import { randomUUID } from 'node:crypto';
import { type Address, familyOf, formatAddress } from '#common/ip.ts';
import { type Endpoint, type Flow, type Layer4, toTimestamp } from '#observe/flow/model.ts';
import { tcpFlags, tcpSummary } from '#observe/flow/text.ts';
import type { Names } from './names.ts';

export interface FlowContext {
  readonly node: string;
  readonly names: Names;
  /** CLOCK_BOOTTIME in ns to ns since 1970. */
  wallNs(bootNs: bigint): bigint;
}

export const PROTOCOL = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 } as const;

/** Sender and receiver of a packet or message, with their names of the moment. */
export interface Ends {
  readonly source: Address;
  readonly destination: Address;
  readonly sourceName: Endpoint;
  readonly destinationName: Endpoint;
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** IP protocol number. */
  readonly protocol: number;
}

/** The ends of an event or record: who is behind its addresses now. */
export function endsOf(
  seen: Omit<Ends, 'sourceName' | 'destinationName'> & {
    readonly sourceIdentity: number;
    readonly destinationIdentity: number;
  },
  names: Names,
): Ends {
  return {
    source: seen.source,
    destination: seen.destination,
    sourceName: names.endpoint(seen.source, seen.sourceIdentity),
    destinationName: names.endpoint(seen.destination, seen.destinationIdentity),
    sourcePort: seen.sourcePort,
    destinationPort: seen.destinationPort,
    protocol: seen.protocol,
  };
}

/** The same ends with the roles of sender and receiver exchanged. */
export function reversed(ends: Ends): Ends {
  return {
    source: ends.destination,
    destination: ends.source,
    sourceName: ends.destinationName,
    destinationName: ends.sourceName,
    sourcePort: ends.destinationPort,
    destinationPort: ends.sourcePort,
    protocol: ends.protocol,
  };
}

/** Time (ns since 1970), id, node, addresses and names of a flow between `ends`. `tcpFlagsByte` 0: not known. */
export function baseFlow(
  context: FlowContext,
  ends: Ends,
  details: { readonly timeNs: bigint; readonly tcpFlagsByte: number },
): Pick<Flow, 'time' | 'uuid' | 'node_name' | 'IP' | 'l4' | 'source' | 'destination' | 'Summary'> {
  const { names } = context;
  const { l4, summary } = layer4(ends, details.tcpFlagsByte);
  const sourceService = names.service(ends.source, ends.sourcePort, ends.protocol);
  const destinationService = names.service(ends.destination, ends.destinationPort, ends.protocol);
  return {
    time: toTimestamp(details.timeNs),
    uuid: randomUUID(),
    node_name: context.node,
    IP: {
      source: formatAddress(ends.source),
      destination: formatAddress(ends.destination),
      ipVersion: familyOf(ends.source) === 4 ? 'IPv4' : 'IPv6',
    },
    ...(l4 ? { l4 } : {}),
    source: ends.sourceName,
    destination: ends.destinationName,
    ...(sourceService ? { source_service: sourceService } : {}),
    ...(destinationService ? { destination_service: destinationService } : {}),
    Summary: summary,
  };
}

function layer4(ends: Ends, flagsByte: number): { l4: Layer4 | undefined; summary: string } {
  const ports = { source_port: ends.sourcePort, destination_port: ends.destinationPort };
  switch (ends.protocol) {
    case PROTOCOL.tcp: {
      if (flagsByte === 0) return { l4: { TCP: ports }, summary: 'TCP' };
      const flags = tcpFlags(flagsByte);
      return { l4: { TCP: { ...ports, flags } }, summary: tcpSummary(flags) };
    }
    case PROTOCOL.udp:
      return { l4: { UDP: ports }, summary: 'UDP' };
    case PROTOCOL.sctp:
      return { l4: { SCTP: ports }, summary: 'SCTP' };
    // The kernel gives an ICMP message's type in the place of the destination port.
    case PROTOCOL.icmp:
      return { l4: { ICMPv4: { type: ends.destinationPort } }, summary: icmpSummary('ICMPv4', ends.destinationPort) };
    case PROTOCOL.icmpv6:
      return { l4: { ICMPv6: { type: ends.destinationPort } }, summary: icmpSummary('ICMPv6', ends.destinationPort) };
    default:
      return { l4: undefined, summary: `IP protocol ${ends.protocol}` };
  }
}

const ICMP_TYPES: Readonly<Record<'ICMPv4' | 'ICMPv6', Readonly<Record<number, string>>>> = {
  ICMPv4: { 0: 'EchoReply', 3: 'DestinationUnreachable', 5: 'Redirect', 8: 'EchoRequest', 11: 'TimeExceeded' },
  ICMPv6: {
    1: 'DestinationUnreachable',
    2: 'PacketTooBig',
    3: 'TimeExceeded',
    128: 'EchoRequest',
    129: 'EchoReply',
    133: 'RouterSolicitation',
    134: 'RouterAdvertisement',
    135: 'NeighborSolicitation',
    136: 'NeighborAdvertisement',
  },
};

function icmpSummary(family: 'ICMPv4' | 'ICMPv6', type: number): string {
  return `${family} ${ICMP_TYPES[family][type] ?? `type ${type}`}`;
}
