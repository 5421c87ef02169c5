// Builds frames byte by byte, right or wrong on purpose, for test runs and raw sockets.

import { address, addressBytes, familyOf } from '#common/ip.ts';

export const TCP_FLAGS = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16 } as const;
export const PROTOCOL = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 } as const;
export const ETHERTYPE = { ipv4: 0x0800, arp: 0x0806, vlan: 0x8100, ipv6: 0x86dd } as const;

/** Both ends of a packet. Addresses are of one family. */
export interface Ends {
  readonly sourceMac: Uint8Array;
  readonly destinationMac: Uint8Array;
  readonly source: string;
  readonly destination: string;
}

/** What may deviate from an ordinary network header. */
export interface IpOptions {
  readonly hops?: number;
  readonly id?: number;
  /** In bytes, a multiple of 8. */
  readonly fragmentOffset?: number;
  readonly moreFragments?: boolean;
  /** IPv4 options, a multiple of 4 bytes. */
  readonly options?: Uint8Array;
  /** IPv6 extension headers as [type, body], the body including its first two bytes, which are filled in. */
  readonly extensions?: readonly (readonly [number, Uint8Array])[];
  /** Overrides the length field. */
  readonly length?: number;
}

export interface TcpOptions {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly flags: number;
  readonly seq?: number;
  readonly ack?: number;
  readonly payload?: Uint8Array;
}

const EMPTY = new Uint8Array(0);

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

function be16(...values: readonly number[]): Uint8Array {
  return Uint8Array.from(values.flatMap((value) => [(value >> 8) & 0xff, value & 0xff]));
}
function be32(value: number): Uint8Array {
  return be16(value >>> 16, value & 0xffff);
}

/** Internet checksum (RFC 1071). */
export function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

export function ethernet(ends: Pick<Ends, 'sourceMac' | 'destinationMac'>, type: number, body: Uint8Array): Uint8Array {
  return concat(ends.destinationMac, ends.sourceMac, be16(type), body);
}

function raw(ip: string): Uint8Array {
  const bytes = addressBytes(address(ip));
  return familyOf(address(ip)) === 4 ? bytes.subarray(12) : bytes;
}

/** A frame with `body` behind a network header of the family of `ends.source`. */
export function ipFrame(ends: Ends, protocol: number, body: Uint8Array, options: IpOptions = {}): Uint8Array {
  return raw(ends.source).length === 4
    ? ethernet(ends, ETHERTYPE.ipv4, concat(ipv4Header(ends, protocol, body.length, options), body))
    : ethernet(ends, ETHERTYPE.ipv6, ipv6Packet(ends, protocol, body, options));
}

function ipv4Header(ends: Ends, protocol: number, bodyLength: number, options: IpOptions): Uint8Array {
  const extra = options.options ?? EMPTY;
  const total = options.length ?? 20 + extra.length + bodyLength;
  const fragment = ((options.fragmentOffset ?? 0) >> 3) | (options.moreFragments ? 0x2000 : 0);
  const header = concat(
    Uint8Array.of(0x45 + extra.length / 4, 0),
    be16(total, options.id ?? 1, fragment),
    Uint8Array.of(options.hops ?? 64, protocol, 0, 0),
    raw(ends.source),
    raw(ends.destination),
    extra,
  );
  header.set(be16(checksum(header)), 10);
  return header;
}

function ipv6Packet(ends: Ends, protocol: number, body: Uint8Array, options: IpOptions): Uint8Array {
  const extensions = [...(options.extensions ?? [])];
  if (options.fragmentOffset !== undefined || options.moreFragments) {
    const position = (options.fragmentOffset ?? 0) | (options.moreFragments ? 1 : 0);
    extensions.push([44, concat(be16(0, position), be32(options.id ?? 1))]);
  }
  let next = protocol;
  let payload = body;
  for (const [type, bytes] of extensions.toReversed()) {
    const header = Uint8Array.from(bytes);
    header[0] = next;
    header[1] = type === 44 ? 0 : bytes.length / 8 - 1;
    payload = concat(header, payload);
    next = type;
  }
  const length = be16(options.length ?? payload.length);
  return concat(
    Uint8Array.of(0x60, 0, 0, 0),
    length,
    Uint8Array.of(next, options.hops ?? 64),
    raw(ends.source),
    raw(ends.destination),
    payload,
  );
}

function withChecksum(ends: Ends, protocol: number, body: Uint8Array, offset: number): Uint8Array {
  const pseudo = concat(raw(ends.source), raw(ends.destination), be32(body.length), be32(protocol));
  body.set(be16(checksum(concat(pseudo, body))), offset);
  return body;
}

export function tcpSegment(ends: Ends, options: TcpOptions): Uint8Array {
  const header = concat(
    be16(options.sourcePort, options.destinationPort),
    be32(options.seq ?? 1000),
    be32(options.ack ?? 0),
    Uint8Array.of(5 << 4, options.flags),
    be16(65535, 0, 0),
  );
  return withChecksum(ends, PROTOCOL.tcp, concat(header, options.payload ?? EMPTY), 16);
}

export function tcp(ends: Ends, options: TcpOptions, ip?: IpOptions): Uint8Array {
  return ipFrame(ends, PROTOCOL.tcp, tcpSegment(ends, options), ip);
}

export function udpDatagram(
  ends: Ends,
  ports: { readonly sourcePort: number; readonly destinationPort: number; readonly payload?: Uint8Array },
): Uint8Array {
  const payload = ports.payload ?? new Uint8Array(8);
  const header = be16(ports.sourcePort, ports.destinationPort, 8 + payload.length, 0);
  return withChecksum(ends, PROTOCOL.udp, concat(header, payload), 6);
}

export function udp(ends: Ends, ports: Parameters<typeof udpDatagram>[1], ip?: IpOptions): Uint8Array {
  return ipFrame(ends, PROTOCOL.udp, udpDatagram(ends, ports), ip);
}

/** An SCTP packet with an INIT chunk's head. Its checksum, which nothing on the way looks at, is zero. */
export function sctp(
  ends: Ends,
  ports: { readonly sourcePort: number; readonly destinationPort: number },
  ip?: IpOptions,
): Uint8Array {
  const header = be16(ports.sourcePort, ports.destinationPort, 0, 0, 0, 0);
  return ipFrame(ends, PROTOCOL.sctp, concat(header, Uint8Array.of(1, 0, 0, 4)), ip);
}

/** ICMP or ICMPv6 by the family of `ends`; `rest` is what follows the checksum. */
export function icmp(ends: Ends, type: number, rest: Uint8Array, ip?: IpOptions): Uint8Array {
  const body = concat(Uint8Array.of(type, 0, 0, 0), rest);
  if (raw(ends.source).length === 16) {
    return ipFrame(ends, PROTOCOL.icmpv6, withChecksum(ends, PROTOCOL.icmpv6, body, 2), ip);
  }
  body.set(be16(checksum(body)), 2);
  return ipFrame(ends, PROTOCOL.icmp, body, ip);
}

/** What follows the checksum of an echo: identifier, sequence number, data. */
export function echo(id: number, sequence = 1): Uint8Array {
  return concat(be16(id, sequence), new Uint8Array(8));
}

/** What follows the checksum of an ICMP error about `frame`: 4 bytes and the head of the packet in it. */
export function about(frame: Uint8Array, bytes = 64): Uint8Array {
  return concat(be32(0), frame.subarray(14, 14 + bytes));
}

/** What follows the checksum of a neighbor message: flags, target, options as [type, MAC]. */
export function neighbor(target: string, options: readonly (readonly [number, Uint8Array])[]): Uint8Array {
  return concat(be32(0), raw(target), ...options.map(([type, mac]) => concat(Uint8Array.of(type, 1), mac)));
}

export function arp(
  ends: Pick<Ends, 'sourceMac' | 'destinationMac'>,
  message: {
    readonly operation: 1 | 2;
    readonly senderMac: Uint8Array;
    readonly sender: string;
    readonly target: string;
  },
): Uint8Array {
  const body = concat(
    be16(1, ETHERTYPE.ipv4),
    Uint8Array.of(6, 4),
    be16(message.operation),
    message.senderMac,
    raw(message.sender),
    new Uint8Array(6),
    raw(message.target),
  );
  return ethernet(ends, ETHERTYPE.arp, body);
}
