// Protocols and ports as the policy map keys them: a protocol and a prefix of the 16 port bits.

import type { Protocol } from '#mesh-config/model.ts';

/** One key of the L4 part of the policy map. `bits` counts from the protocol: 0 all, 8 a protocol, 9..24 a port prefix. */
export interface L4 {
  readonly protocol: number;
  readonly port: number;
  readonly bits: number;
}

export const L4_ALL: L4 = { protocol: 0, port: 0, bits: 0 };
export const IP_PROTOCOL = { ICMP: 1, TCP: 6, UDP: 17, ICMPv6: 58, SCTP: 132 } as const;

/** IP protocol numbers of a protocol as users write it; ANY is every protocol with ports. */
export function protocolNumbers(protocol: Protocol): readonly number[] {
  return protocol === 'ANY' ? [IP_PROTOCOL.TCP, IP_PROTOCOL.UDP, IP_PROTOCOL.SCTP] : [IP_PROTOCOL[protocol]];
}

/** Ports as one rule gives them for one protocol. */
export interface PortSpan {
  readonly protocol: number;
  /** 0: every port. */
  readonly port: number;
  readonly endPort: number;
}

/** The spans of a port match by number: one for each of its protocols. */
export function portSpans(match: {
  readonly port: number;
  readonly endPort: number;
  readonly protocol: Protocol;
}): PortSpan[] {
  const { port, endPort } = match;
  return protocolNumbers(match.protocol).map((protocol) => ({ protocol, port, endPort: port === 0 ? 0 : endPort }));
}

/** The fewest keys that cover a span: at most 30. */
export function expandSpan({ protocol, port: first, endPort }: PortSpan): readonly L4[] {
  if (first === 0) return [{ protocol, port: 0, bits: 8 }];
  const keys: L4[] = [];
  for (let port = first; port <= endPort; ) {
    let size = port & -port;
    while (port + size - 1 > endPort) size >>= 1;
    keys.push({ protocol, port, bits: 24 - Math.log2(size) });
    port += size;
  }
  return keys;
}

/** A key for Map, equal for equal spans. */
export function spanKey({ protocol, port, endPort }: PortSpan): number {
  return (protocol * 65536 + port) * 65536 + endPort;
}

/** A key for Map, unique among L4s whose unused bits are zero. */
export function l4Key(l4: L4): number {
  return (l4.bits * 256 + l4.protocol) * 65536 + l4.port;
}

/** The keys that cover `l4`, widest first, itself last. */
export function l4Covers(l4: L4): readonly L4[] {
  const covers: L4[] = [L4_ALL];
  for (let bits = 8; bits <= l4.bits; bits++) {
    const port = bits === 8 ? 0 : (l4.port >> (24 - bits)) << (24 - bits);
    covers.push({ protocol: l4.protocol, port, bits });
  }
  return covers;
}
