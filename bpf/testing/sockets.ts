// Sockets in any namespace from one thread, blocking with a time limit: a test reads top to bottom, and what must not
// arrive shows as "EAGAIN".

import { writeFileSync } from 'node:fs';
import { type Address, address, familyOf, formatAddress, writeAddress } from '#common/ip.ts';
import * as libc from '#common/native/libc.ts';
import { enterNetns } from './topology.ts';

const SO_RCVTIMEO = 20;
const SO_SNDTIMEO = 21;
const AF_PACKET = 17;
const ETH_P_ALL = 3;
/** Long enough for a busy machine, short enough for what must fail. */
const TIMEOUT_MS = 1500;
const BUFFER = 1 << 16;

export interface Socket extends Disposable {
  readonly fd: number;
  /** Sends all of it; returns "" or the errno's name. */
  send(bytes: Uint8Array | string): string;
  /** What arrived: text, "" at the end, or the errno's name in angle brackets. */
  receive(): string;
  /** The other end, as "address port". */
  peer(): string;
  /** This end, as "address port". */
  local(): string;
}
export interface SocketOptions {
  /** Namespace path; default: where the thread is. */
  readonly netns?: string;
  /** cgroup that the socket is born into. */
  readonly cgroup?: string;
  readonly type?: 'tcp' | 'udp';
  /** Of IPv6 even if the address is IPv4. */
  readonly mapped?: boolean;
  /** Owned by the proxy: transparent, marked. */
  readonly proxyMark?: number;
  readonly from?: { readonly ip: string; readonly port: number };
  readonly timeoutMs?: number;
}

/** Runs `make` in a namespace and cgroup. */
export function within<T>(options: Pick<SocketOptions, 'netns' | 'cgroup'>, make: () => T): T {
  const leave = options.netns === undefined ? () => {} : enterNetns(options.netns);
  if (options.cgroup !== undefined) writeFileSync(`${options.cgroup}/cgroup.procs`, `${process.pid}`);
  try {
    return make();
  } finally {
    if (options.cgroup !== undefined) writeFileSync(`${options.cgroup}/../cgroup.procs`, `${process.pid}`);
    leave();
  }
}

function newSocket(ip: string, options: SocketOptions): number {
  const family = options.mapped || familyOf(address(ip)) === 6 ? libc.AF.INET6 : libc.AF.INET;
  const kind = options.type === 'udp' ? libc.SOCK.DGRAM : libc.SOCK.STREAM;
  const fd = libc.socket(family, kind | libc.SOCK.CLOEXEC, 0);
  if (fd < 0) throw libc.callError('create socket');
  const set = (level: number, name: number, value: number): void => {
    if (libc.setsockopt(fd, level, name, libc.int32(value), 4) !== 0) throw libc.callError('set socket option');
  };
  set(libc.SOL.SOCKET, libc.SO.REUSEADDR, 1);
  limit(fd, options.timeoutMs ?? TIMEOUT_MS);
  if (options.proxyMark !== undefined) {
    set(libc.SOL.IP, libc.IP.TRANSPARENT, 1);
    if (family === libc.AF.INET6) set(libc.SOL.IPV6, libc.IPV6.TRANSPARENT, 1);
    set(libc.SOL.SOCKET, libc.SO.MARK, options.proxyMark);
  }
  if (options.from !== undefined) call(libc.bind, fd, options.from, family, 'bind socket');
  return fd;
}

function limit(fd: number, ms: number): void {
  const time = new Uint8Array(new BigInt64Array([BigInt(Math.floor(ms / 1000)), BigInt((ms % 1000) * 1000)]).buffer);
  libc.setsockopt(fd, libc.SOL.SOCKET, SO_RCVTIMEO, time, time.length);
  libc.setsockopt(fd, libc.SOL.SOCKET, SO_SNDTIMEO, time, time.length);
}

type AddressCall = typeof libc.bind;
function sockaddr(end: { ip: string; port: number }, family: number): { bytes: Uint8Array; length: number } {
  const bytes = new Uint8Array(libc.SOCKADDR_SIZE);
  const ip = address(end.ip);
  const length = libc.encodeSockaddr(ip, end.port, bytes);
  if (family === libc.AF.INET || familyOf(ip) === 6) return { bytes, length };
  bytes.fill(0);
  bytes[0] = libc.AF.INET6;
  bytes.set([end.port >> 8, end.port & 0xff], 2);
  writeAddress(ip, bytes, 8);
  return { bytes, length: libc.SOCKADDR_SIZE };
}
function call(make: AddressCall, fd: number, end: { ip: string; port: number }, family: number, what: string): void {
  const { bytes, length } = sockaddr(end, family);
  if (make(fd, bytes, length) !== 0) throw libc.callError(`${what} ${end.ip} port ${end.port}`);
}

/** A listening TCP socket, or a bound UDP one. */
export function serve(ip: string, port: number, options: SocketOptions = {}): Socket {
  return within(options, () => {
    const fd = newSocket(ip, { ...options, from: { ip, port } });
    if (options.type !== 'udp' && libc.listen(fd, 64) !== 0) throw libc.callError('listen');
    return wrap(fd);
  });
}

/** A connected socket, or the name of the errno of connect(): "EINPROGRESS" is a time-out. */
export function connect(ip: string, port: number, options: SocketOptions = {}): Socket | string {
  return within(options, () => {
    const fd = newSocket(ip, options);
    const family = options.mapped || familyOf(address(ip)) === 6 ? libc.AF.INET6 : libc.AF.INET;
    const { bytes, length } = sockaddr({ ip, port }, family);
    const name = persist(() => libc.connect(fd, bytes, length)).error;
    if (name === '') return wrap(fd);
    libc.close(fd);
    return name === 'EALREADY' ? 'EINPROGRESS' : name; // waited twice, because a signal came
  });
}

/** Makes a call again that a signal (of a child process, say) interrupted. */
function persist(make: () => number): { readonly result: number; readonly error: string } {
  for (;;) {
    const result = make();
    if (result >= 0) return { result, error: '' };
    const reason = libc.errno();
    if (reason === libc.ERRNO.EAGAIN) return { result, error: 'EAGAIN' };
    if (reason !== libc.ERRNO.EINTR) return { result, error: libc.errnoName(reason) };
  }
}

/** Like connect(), for what must succeed. */
export function connected(ip: string, port: number, options: SocketOptions = {}): Socket {
  const socket = connect(ip, port, options);
  if (typeof socket === 'string') throw new Error(`Cannot connect to ${ip} port ${port}: ${socket}`);
  return socket;
}

/** The next connection of a listener. Throws if none comes in time. */
export function accept(listener: Socket): Socket {
  const { result: fd, error } = persist(() => libc.accept4(listener.fd, null, null, libc.SOCK.CLOEXEC));
  if (error !== '') throw new Error(`Cannot accept connection: ${error}`);
  limit(fd, TIMEOUT_MS);
  return wrap(fd);
}

/** A raw socket that sends whole frames on an interface. */
export function rawSocket(ifindex: number, options: Pick<SocketOptions, 'netns'>): Socket {
  return within(options, () => {
    const fd = libc.socket(AF_PACKET, libc.SOCK.RAW | libc.SOCK.CLOEXEC, ETH_P_ALL << 8);
    const where = new Uint8Array(20); // struct sockaddr_ll
    const view = new DataView(where.buffer);
    view.setUint16(0, AF_PACKET, true);
    view.setUint16(2, ETH_P_ALL);
    view.setInt32(4, ifindex, true);
    if (libc.bind(fd, where, where.length) !== 0) throw libc.callError('bind packet socket');
    limit(fd, TIMEOUT_MS);
    return wrap(fd);
  });
}

function wrap(fd: number): Socket {
  let isOpen = true;
  const nameOf = (get: typeof libc.getpeername): string => {
    const bytes = new Uint8Array(libc.SOCKADDR_SIZE);
    if (get(fd, bytes, libc.int32(bytes.length)) !== 0) return libc.errnoName(libc.errno());
    const end = libc.decodeSockaddr(bytes);
    return `${formatAddress(end.address as Address)} ${end.port}`;
  };
  return {
    fd,
    send(data) {
      const bytes = typeof data === 'string' ? Buffer.from(data) : data;
      for (let at = 0; at < bytes.length; ) {
        const { result, error } = persist(() =>
          libc.send(fd, bytes.subarray(at), bytes.length - at, libc.MSG.NOSIGNAL),
        );
        if (error !== '') return error;
        at += result;
      }
      return '';
    },
    receive() {
      const buffer = Buffer.alloc(BUFFER);
      const { result, error } = persist(() => libc.recv(fd, buffer, buffer.length, 0));
      return error === '' ? buffer.toString('latin1', 0, result) : `<${error}>`;
    },
    peer: () => nameOf(libc.getpeername),
    local: () => nameOf(libc.getsockname),
    [Symbol.dispose]() {
      if (isOpen) libc.close(fd);
      isOpen = false;
    },
  };
}
