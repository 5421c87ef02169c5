// The socket that steered connections arrive on: one per worker slot, dual stack, made by the agent and handed down.

import * as libc from '#common/native/libc.ts';
import { PROXY_MARK } from '../layout.ts';

/** Connections that may wait while a worker is busy or being replaced. */
const BACKLOG = 4096;
const SO_ACCEPTCONN = 30;
const IPV6_LOOPBACK_SOCKADDR = ((): Uint8Array => {
  const sockaddr = new Uint8Array(libc.SOCKADDR_SIZE);
  sockaddr[0] = libc.AF.INET6;
  sockaddr[8 + 15] = 1;
  return sockaddr;
})();

/**
 * A listening socket that takes connections to any address once the kernel program assigns them. What it accepts inherits
 * its mark, transparency and TCP_NODELAY. It is bound to a free port of loopback, where nobody but the node can reach it.
 * Throws naming the call that the kernel refused.
 */
export function createListener(): number {
  const { AF, SOCK, SOL, SO, IP, IPV6, TCP } = libc;
  const fd = libc.socket(AF.INET6, SOCK.STREAM | SOCK.NONBLOCK | SOCK.CLOEXEC, 0);
  if (fd < 0) throw libc.callError('open a listening socket');
  const options: readonly (readonly [name: string, level: number, option: number, value: number])[] = [
    ['IPV6_V6ONLY', SOL.IPV6, IPV6.V6ONLY, 0],
    ['IPV6_TRANSPARENT', SOL.IPV6, IPV6.TRANSPARENT, 1],
    ['IP_TRANSPARENT', SOL.IP, IP.TRANSPARENT, 1],
    ['SO_MARK', SOL.SOCKET, SO.MARK, PROXY_MARK],
    ['TCP_NODELAY', SOL.TCP, TCP.NODELAY, 1],
  ];
  try {
    for (const [name, level, option, value] of options) {
      const bytes = new Uint8Array(new Int32Array([value]).buffer);
      if (libc.setsockopt(fd, level, option, bytes, bytes.length) < 0)
        throw libc.callError(`set ${name} on a listener`);
    }
    if (libc.bind(fd, IPV6_LOOPBACK_SOCKADDR, libc.SOCKADDR_SIZE) < 0) throw libc.callError('bind a listener');
    if (libc.listen(fd, BACKLOG) < 0) throw libc.callError('listen');
    return fd;
  } catch (cause) {
    libc.close(fd);
    throw cause;
  }
}

/**
 * A copy of descriptor `fd` of process `pid`, the listener that an earlier agent handed to a worker: with it, connections
 * go on waiting when that worker ends. undefined: it is none any more, or cannot be had.
 */
export function listenerOf(pid: number, fd: number): number | undefined {
  const process = libc.pidfdOpen(pid);
  if (process < 0) return undefined;
  const copy = libc.pidfdGetfd(process, fd);
  libc.close(process);
  if (copy < 0) return undefined;
  const value = libc.int32(0);
  const listens = libc.getsockopt(copy, libc.SOL.SOCKET, SO_ACCEPTCONN, value, libc.int32(value.length)) === 0;
  if (listens && value[0] === 1) return copy;
  libc.close(copy);
  return undefined;
}
