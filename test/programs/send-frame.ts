// Sends Ethernet frames, as they are given in hexadecimal, out of eth0 of the namespace it runs in.

import { readFileSync } from 'node:fs';
import * as libc from '#common/native/libc.ts';

const AF_PACKET = 17;
const ETH_P_ALL = 0x0300; // 0x0003 in network order
const SOCKADDR_LL_SIZE = 20;

const ifindex = Number(readFileSync('/sys/class/net/eth0/ifindex', 'utf8'));
const fd = libc.socket(AF_PACKET, libc.SOCK.RAW, ETH_P_ALL);
if (fd < 0) throw libc.callError('open a packet socket');
const sockaddr = new DataView(new ArrayBuffer(SOCKADDR_LL_SIZE));
sockaddr.setUint16(0, AF_PACKET, true);
sockaddr.setUint16(2, ETH_P_ALL, true);
sockaddr.setInt32(4, ifindex, true);
if (libc.bind(fd, new Uint8Array(sockaddr.buffer), SOCKADDR_LL_SIZE) < 0) throw libc.callError('bind a packet socket');
for (const hex of process.argv.slice(2)) {
  const frame = Buffer.from(hex, 'hex');
  if (libc.send(fd, frame, frame.length, 0) !== frame.length) throw libc.callError('send a frame');
}
