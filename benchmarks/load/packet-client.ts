// Runs in the client's namespace: for each line on stdin, which is a number of milliseconds, it sends for so long and
// prints how many packets, or round trips, that were a second. Arguments: "roundTrips" (TCP) or "packets" (UDP), the
// server's address, its UDP port; TCP has the one after it.

import { createInterface } from 'node:readline';
import { address } from '#common/ip.ts';
import {
  AF,
  callError,
  connect,
  encodeSockaddr,
  recv,
  SOCK,
  SOCKADDR_SIZE,
  SOL,
  send,
  setsockopt,
  socket,
  TCP,
} from '#common/native/libc.ts';

const [kind, host = '', port] = process.argv.slice(2);
const PAYLOAD = new Uint8Array(64);
const EACH = 16; // between two looks at the clock
const on = new Uint8Array([1, 0, 0, 0]);
const room = new Uint8Array(2_048);

const isTcp = kind === 'roundTrips';
const fd = socket(AF.INET, (isTcp ? SOCK.STREAM : SOCK.DGRAM) | SOCK.CLOEXEC, 0);
const sockaddr = new Uint8Array(SOCKADDR_SIZE);
const length = encodeSockaddr(address(host), Number(port) + (isTcp ? 1 : 0), sockaddr);
if (fd < 0 || connect(fd, sockaddr, length) < 0) throw callError(`connect to ${host}`);
if (isTcp && setsockopt(fd, SOL.TCP, TCP.NODELAY, on, on.length) < 0) throw callError('set TCP_NODELAY');
console.log('ready');
for await (const line of createInterface({ input: process.stdin })) console.log(String(rateFor(Number(line))));

function rateFor(ms: number): number {
  const begun = performance.now();
  let count = 0;
  let now = begun;
  for (; now - begun < ms; now = performance.now()) {
    for (let i = 0; i < EACH; i++) (isTcp ? roundTrip : datagram)();
    count += EACH;
  }
  return (count / (now - begun)) * 1_000;
}

function roundTrip(): void {
  if (send(fd, PAYLOAD, PAYLOAD.length, 0) !== PAYLOAD.length) throw callError('send');
  for (let left = PAYLOAD.length; left > 0; ) {
    const size = recv(fd, room, left, 0);
    if (size <= 0) throw callError('receive');
    left -= size;
  }
}

function datagram(): void {
  if (send(fd, PAYLOAD, PAYLOAD.length, 0) !== PAYLOAD.length) throw callError('send');
}
