// Runs in a pod: answers over TCP with what it is sent, one client after the other, and has a UDP socket that nobody reads:
// what does not fit into it is dropped there, at the end of its way. Argument: the UDP port; TCP has the one after it.

import { address } from '#common/ip.ts';
import {
  AF,
  accept4,
  bind,
  callError,
  close,
  encodeSockaddr,
  listen,
  recv,
  SOCK,
  SOCKADDR_SIZE,
  SOL,
  send,
  setsockopt,
  socket,
  TCP,
} from '#common/native/libc.ts';

const port = Number(process.argv[2]);
const on = new Uint8Array([1, 0, 0, 0]);
const room = new Uint8Array(2_048);

open(SOCK.DGRAM, port);
const listener = open(SOCK.STREAM, port + 1);
if (listen(listener, 8) < 0) throw callError('listen');
console.log('listening');
for (;;) {
  const connection = accept4(listener, null, null, SOCK.CLOEXEC);
  if (connection < 0) throw callError('accept');
  if (setsockopt(connection, SOL.TCP, TCP.NODELAY, on, on.length) < 0) throw callError('set TCP_NODELAY');
  for (let size = recv(connection, room, room.length, 0); size > 0; size = recv(connection, room, room.length, 0)) {
    if (send(connection, room, size, 0) !== size) break;
  }
  close(connection);
}

function open(type: number, at: number): number {
  const fd = socket(AF.INET, type | SOCK.CLOEXEC, 0);
  const sockaddr = new Uint8Array(SOCKADDR_SIZE);
  const length = encodeSockaddr(address('0.0.0.0'), at, sockaddr);
  if (fd < 0 || bind(fd, sockaddr, length) < 0) throw callError(`bind port ${at}`);
  return fd;
}
