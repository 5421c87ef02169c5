// A source of sockets without the kernel side: a plain listener, and one server for everybody. For tests and benchmarks.

import type { Address } from '#common/ip.ts';
import { familyOf } from '#common/ip.ts';
import {
  AF,
  bind,
  callError,
  close,
  connect,
  decodeSockaddr,
  ERRNO,
  encodeSockaddr,
  errno,
  getsockname,
  int32,
  listen,
  SO,
  SOCK,
  SOCKADDR_SIZE,
  SOL,
  setsockopt,
  socket,
  TCP,
} from '#common/native/libc.ts';
import type { SocketSource } from '../enforce/origin.ts';

export interface Endpoint {
  readonly address: Address;
  readonly port: number;
}

export interface PlainOptions {
  readonly listener: number;
  readonly server: Endpoint;
  /** What each connection is said to be. */
  readonly sourceIdentity: number;
  readonly destinationIdentity: number;
  readonly egressRuleset: number;
  readonly ingressRuleset: number;
}

const BACKLOG = 4096;
const ONE = int32(1);

/** A listening socket at `at`; port 0: any. Throws if it cannot be had. */
export function listenAt(at: Endpoint): { readonly fd: number; readonly port: number } {
  const sockaddr = Buffer.alloc(SOCKADDR_SIZE);
  const length = encodeSockaddr(at.address, at.port, sockaddr);
  const domain = familyOf(at.address) === 4 ? AF.INET : AF.INET6;
  const fd = socket(domain, SOCK.STREAM | SOCK.NONBLOCK | SOCK.CLOEXEC, 0);
  setsockopt(fd, SOL.SOCKET, SO.REUSEADDR, ONE, 4);
  setsockopt(fd, SOL.TCP, TCP.NODELAY, ONE, 4); // accepted sockets have it too
  if (fd < 0 || bind(fd, sockaddr, length) < 0 || listen(fd, BACKLOG) < 0) throw callError('listen');
  getsockname(fd, sockaddr, int32(SOCKADDR_SIZE));
  return { fd, port: decodeSockaddr(sockaddr).port };
}

/** Connections of `options.listener`, all to `options.server`. */
export function createPlainSource(options: PlainOptions): SocketSource {
  const { server } = options;
  const sockaddr = Buffer.alloc(SOCKADDR_SIZE);
  const length = encodeSockaddr(server.address, server.port, sockaddr);
  const domain = familyOf(server.address) === 4 ? AF.INET : AF.INET6;
  return {
    listener: options.listener,
    identify(_fd, peer) {
      const { address, port } = decodeSockaddr(peer);
      return {
        source: address,
        sourcePort: port,
        destination: server.address,
        destinationPort: server.port,
        sourceIdentity: options.sourceIdentity,
        destinationIdentity: options.destinationIdentity,
        egressRuleset: options.egressRuleset,
        ingressRuleset: options.ingressRuleset,
        denied: false,
        audited: false,
        revision: 1,
      };
    },
    beginTurn: () => {},
    refresh: () => true,
    audits: () => false,
    revision: () => 1,
    connect() {
      const fd = socket(domain, SOCK.STREAM | SOCK.NONBLOCK | SOCK.CLOEXEC, 0);
      if (fd < 0) return -errno();
      setsockopt(fd, SOL.TCP, TCP.NODELAY, ONE, 4);
      if (connect(fd, sockaddr, length) < 0 && errno() !== ERRNO.EINPROGRESS) {
        const error = errno();
        close(fd);
        return -error;
      }
      return fd;
    },
  };
}
