// Ethernet frames built by hand, for what no well-behaved socket would send.

import { address, addressBytes, familyOf } from '#common/ip.ts';

const ETHERTYPE = { ip4: 0x0800, arp: 0x0806, ip6: 0x86dd } as const;
const UDP = 17;
const ICMPV6 = 58;

export interface FrameEnds {
  readonly sourceMac: string;
  readonly destinationMac: string;
  /** Identifier of the VLAN whose tag the frame has. */
  readonly vlan?: number;
  /** Of one family. */
  readonly source: string;
  readonly destination: string;
}

/** A UDP datagram to port 5000 as a frame, in hexadecimal. */
export function udpFrame(ends: FrameEnds, text: string): string {
  const payload = Buffer.from(text);
  const udp = Buffer.alloc(8 + payload.length);
  udp.writeUInt16BE(5001, 0);
  udp.writeUInt16BE(5000, 2);
  udp.writeUInt16BE(udp.length, 4);
  payload.copy(udp, 8);
  return ipFrame(ends, UDP, withChecksum(udp, 6, ends, UDP));
}

/** A gratuitous neighbour advertisement: "`source` is at `sourceMac`". */
export function neighborAdvertisement(ends: FrameEnds): string {
  const message = Buffer.alloc(32);
  message[0] = 136;
  message[4] = 0x20; // override
  ip(ends.source).copy(message, 8);
  message[24] = 2; // target link-layer address
  message[25] = 1;
  mac(ends.sourceMac).copy(message, 26);
  return ipFrame(ends, ICMPV6, withChecksum(message, 2, ends, ICMPV6), 255);
}

/** A gratuitous ARP reply: "`source` is at `sourceMac`". */
export function arpReply(ends: FrameEnds): string {
  const message = Buffer.from([0, 1, 8, 0, 6, 4, 0, 2]);
  const sender = Buffer.concat([mac(ends.sourceMac), ip(ends.source)]);
  const target = Buffer.concat([mac(ends.destinationMac), ip(ends.destination)]);
  return frame(ends, ETHERTYPE.arp, Buffer.concat([message, sender, target]));
}

function ipFrame(ends: FrameEnds, protocol: number, payload: Buffer, hops = 64): string {
  const [source, destination] = [ip(ends.source), ip(ends.destination)];
  if (source.length === 16) {
    const head = Buffer.alloc(8);
    head[0] = 0x60;
    head.writeUInt16BE(payload.length, 4);
    head[6] = protocol;
    head[7] = hops;
    return frame(ends, ETHERTYPE.ip6, Buffer.concat([head, source, destination, payload]));
  }
  const head = Buffer.alloc(20);
  head[0] = 0x45;
  head.writeUInt16BE(20 + payload.length, 2);
  head[8] = hops;
  head[9] = protocol;
  source.copy(head, 12);
  destination.copy(head, 16);
  head.writeUInt16BE(checksum(head), 10);
  return frame(ends, ETHERTYPE.ip4, Buffer.concat([head, payload]));
}

function frame(ends: FrameEnds, ethertype: number, payload: Buffer): string {
  const type = Buffer.alloc(2);
  type.writeUInt16BE(ethertype);
  const tag = ends.vlan === undefined ? [] : [0x81, 0, ends.vlan >> 8, ends.vlan & 0xff];
  const head = [mac(ends.destinationMac), mac(ends.sourceMac), Buffer.from(tag), type];
  return Buffer.concat([...head, payload]).toString('hex');
}

function withChecksum(message: Buffer, offset: number, ends: FrameEnds, protocol: number): Buffer {
  const pseudo = Buffer.alloc(8);
  pseudo.writeUInt32BE(message.length, 0);
  pseudo[7] = protocol;
  message.writeUInt16BE(checksum(Buffer.concat([ip(ends.source), ip(ends.destination), pseudo, message])), offset);
  return message;
}

/** The Internet checksum (RFC 1071). */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}

function mac(text: string): Buffer {
  return Buffer.from(text.replaceAll(':', ''), 'hex');
}

/** 4 or 16 bytes. */
function ip(text: string): Buffer {
  const bytes = addressBytes(address(text));
  return familyOf(address(text)) === 4 ? bytes.subarray(12) : bytes;
}
