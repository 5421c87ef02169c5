// System calls of libc, typed and narrow. Only common/native/ may know that koffi is underneath.
//
// Every call returns what the C function returns: -1 is failure, and errno() read next says why. Buffers are Uint8Arrays;
// functions ending in At take an address made by addressOf() instead, for sending from the middle of a buffer without
// a new view. A call costs about 0.1 µs more than the bare system call.

import { constants } from 'node:os';
import koffi from 'koffi';
import { type Address, addressBytes, familyOf, readAddress, writeAddress } from '../ip.ts';

const libc = koffi.load('libc.so.6');
const bind_ = <F>(definition: string): F => libc.func(definition) as unknown as F;

/** Address family, socket type and flag numbers (Linux, the same on x86-64 and arm64). */
export const AF = { UNIX: 1, INET: 2, INET6: 10, NETLINK: 16 } as const;
export const SOCK = { STREAM: 1, DGRAM: 2, RAW: 3, NONBLOCK: 0o4000, CLOEXEC: 0o2000000 } as const;
export const SOL = { SOCKET: 1, IP: 0, TCP: 6, UDP: 17, IPV6: 41 } as const;
export const SO = {
  REUSEADDR: 2,
  ERROR: 4,
  SNDBUF: 7,
  RCVBUF: 8,
  LINGER: 13,
  REUSEPORT: 15,
  MARK: 36,
  COOKIE: 57,
} as const;
export const IP = { TRANSPARENT: 19 } as const;
export const IPV6 = { V6ONLY: 26, TRANSPARENT: 75 } as const;
export const TCP = { NODELAY: 1, QUICKACK: 12, USER_TIMEOUT: 18, DEFER_ACCEPT: 9 } as const;
export const MSG = { PEEK: 2, DONTWAIT: 0x40, NOSIGNAL: 0x4000, MORE: 0x8000 } as const;
export const SHUT = { READ: 0, WRITE: 1, BOTH: 2 } as const;
export const EPOLL = {
  IN: 1,
  OUT: 4,
  ERR: 8,
  HUP: 0x10,
  RDHUP: 0x2000,
  ET: 0x8000_0000,
  ADD: 1,
  DEL: 2,
  MOD: 3,
} as const;
export const OPEN = { RDONLY: 0, WRONLY: 1, RDWR: 2, CREAT: 0o100, NONBLOCK: 0o4000, CLOEXEC: 0o2000000 } as const;
export const PROT = { READ: 1, WRITE: 2 } as const;
export const MAP = { SHARED: 1 } as const;
export const EVENTFD = { NONBLOCK: 0o4000, CLOEXEC: 0o2000000 } as const;
export const FCNTL = { SETSIG: 10, SETLEASE: 1024, RDLCK: 0, UNLCK: 2 } as const;
export const LOCK = { EXCLUSIVE: 2, NONBLOCK: 4 } as const;
export const MNT = { DETACH: 2 } as const;
export const CLONE = { NEWNS: 0x20000, NEWNET: 0x4000_0000 } as const;

/** Numbers of errors, by name: ERRNO.EAGAIN. */
export const ERRNO = constants.errno;
const errorNames = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));

/** errno of the last failed call of this thread. Read it at once. */
export const errno = koffi.errno as () => number;

/** "ECONNREFUSED" for 111; "errno 999" for a number without a name. */
export function errnoName(number: number): string {
  return errorNames.get(number) ?? `errno ${number}`;
}

/** An error that says which call failed and why: "Cannot bind socket: EADDRINUSE". Reads errno. */
export function callError(what: string, number: number = errno()): Error {
  return new Error(`Cannot ${what}: ${errnoName(number)}`);
}

type Fd = number;
type Bytes = Uint8Array;

export const socket = bind_<(domain: number, type: number, protocol: number) => Fd>('int socket(int, int, int)');
export const bind = bind_<(fd: Fd, sockaddr: Bytes, length: number) => number>('int bind(int, void *, int)');
export const listen = bind_<(fd: Fd, backlog: number) => number>('int listen(int, int)');
export const connect = bind_<(fd: Fd, sockaddr: Bytes, length: number) => number>('int connect(int, void *, int)');
/** `length` holds a little-endian u32, the room in `sockaddr`, and is set to what was written. null: not wanted. */
export const accept4 = bind_<(fd: Fd, sockaddr: Bytes | null, length: Bytes | null, flags: number) => Fd>(
  'int accept4(int, void *, void *, int)',
);
export const getsockname = bind_<(fd: Fd, sockaddr: Bytes, length: Bytes) => number>(
  'int getsockname(int, void *, void *)',
);
export const getpeername = bind_<(fd: Fd, sockaddr: Bytes, length: Bytes) => number>(
  'int getpeername(int, void *, void *)',
);
export const setsockopt = bind_<(fd: Fd, level: number, name: number, value: Bytes, length: number) => number>(
  'int setsockopt(int, int, int, void *, int)',
);
export const getsockopt = bind_<(fd: Fd, level: number, name: number, value: Bytes, length: Bytes) => number>(
  'int getsockopt(int, int, int, void *, void *)',
);
export const recv = bind_<(fd: Fd, buffer: Bytes, sizeBytes: number, flags: number) => number>(
  'int recv(int, void *, int, int)',
);
export const send = bind_<(fd: Fd, buffer: Bytes, sizeBytes: number, flags: number) => number>(
  'int send(int, void *, int, int)',
);
export const recvAt = bind_<(fd: Fd, address: number, sizeBytes: number, flags: number) => number>(
  'int recv(int, int64_t, int, int)',
);
export const sendAt = bind_<(fd: Fd, address: number, sizeBytes: number, flags: number) => number>(
  'int send(int, int64_t, int, int)',
);
export const sendto = bind_<
  (fd: Fd, buffer: Bytes, sizeBytes: number, flags: number, sockaddr: Bytes, length: number) => number
>('int sendto(int, void *, int, int, void *, int)');
/** `length` as in accept4. */
export const recvfrom = bind_<
  (fd: Fd, buffer: Bytes, sizeBytes: number, flags: number, sockaddr: Bytes, length: Bytes) => number
>('int recvfrom(int, void *, int, int, void *, void *)');
export const shutdown = bind_<(fd: Fd, how: number) => number>('int shutdown(int, int)');
export const close = bind_<(fd: Fd) => number>('int close(int)');

export const epollCreate1 = bind_<(flags: number) => Fd>('int epoll_create1(int)');
/** `event` is a packed struct epoll_event of 12 bytes on x86-64 (see EPOLL_EVENT); null for EPOLL.DEL. */
export const epollCtl = bind_<(epoll: Fd, operation: number, fd: Fd, event: Bytes | null) => number>(
  'int epoll_ctl(int, int, int, void *)',
);
export const epollWait = bind_<(epoll: Fd, events: Bytes, maxEvents: number, timeoutMs: number) => number>(
  'int epoll_wait(int, void *, int, int)',
);
/** Where the fields of struct epoll_event are: packed on x86-64 only. Offsets in bytes. */
export const EPOLL_EVENT = process.arch === 'x64' ? { size: 12, data: 4 } : { size: 16, data: 8 };

export const eventfd = bind_<(initial: number, flags: number) => Fd>('int eventfd(unsigned int, int)');
export const open = bind_<(path: string, flags: number, mode: number) => Fd>('int open(const char *, int, int)');
export const read = bind_<(fd: Fd, buffer: Bytes, sizeBytes: number) => number>('long read(int, void *, size_t)');
export const write = bind_<(fd: Fd, buffer: Bytes, sizeBytes: number) => number>('long write(int, void *, size_t)');
/** Moves the calling thread only: threads that exist already stay where they are. */
export const setns = bind_<(fd: Fd, kind: number) => number>('int setns(int, int)');
/** Moves the calling thread only, into new namespaces of the `kind` bits. */
export const unshare = bind_<(kind: number) => number>('int unshare(int)');
/** fcntl with a number as argument. */
export const fcntl = bind_<(fd: Fd, command: number, value: number) => number>('int fcntl(int, int, int)');
export const flock = bind_<(fd: Fd, operation: number) => number>('int flock(int, int)');
export const mount = bind_<
  (source: string, target: string, type: string | null, flags: number, data: string | null) => number
>('int mount(const char *, const char *, const char *, unsigned long, const char *)');
export const umount2 = bind_<(target: string, flags: number) => number>('int umount2(const char *, int)');
/** A descriptor of process `pid`; close-on-exec. */
export const pidfdOpen = (pid: number): Fd => numbers(434, pid, 0, 0);
/** A copy of descriptor `fd` of the process behind `pidfd`; close-on-exec. */
export const pidfdGetfd = (pidfd: Fd, fd: Fd): Fd => numbers(438, pidfd, fd, 0);
const numbers = bind_<(number: number, a: number, b: number, c: number) => number>('long syscall(long, int, int, int)');
/** The bpf system call on the attributes in `attr`, laid out as union bpf_attr. */
export const bpf = (command: number, attr: Bytes): number => syscall(BPF_SYSCALL, command, attr, attr.byteLength);
const BPF_SYSCALL = process.arch === 'x64' ? 321 : 280;
const syscall = bind_<(number: number, command: number, attr: Bytes, sizeBytes: number) => number>(
  'long syscall(long, int, void *, unsigned int)',
);

const mmap = bind_<
  (hint: number, sizeBytes: number, protection: number, flags: number, fd: Fd, offset: number) => number
>('int64_t mmap(int64_t, size_t, int, int, int, int64_t)');
const munmap = bind_<(address: number, sizeBytes: number) => number>('int munmap(int64_t, size_t)');

/** A file or map in memory. `bytes` must not be touched after dispose. */
export interface Mapping extends Disposable {
  readonly bytes: ArrayBuffer;
}

/** Maps `sizeBytes` of `fd` (PROT bits in `protection`), shared with everybody else who maps it. Throws if refused. */
export function mapShared(options: { fd: Fd; sizeBytes: number; protection: number; offset?: number }): Mapping {
  const { fd, sizeBytes, protection, offset = 0 } = options;
  const start = mmap(0, sizeBytes, protection, MAP.SHARED, fd, offset);
  if (start === -1) throw callError(`map ${sizeBytes} bytes of descriptor ${fd}`);
  let mapped = true;
  return {
    bytes: koffi.view(BigInt(start), sizeBytes),
    [Symbol.dispose]() {
      if (mapped) munmap(start, sizeBytes);
      mapped = false;
    },
  };
}

/** Where `buffer` starts in memory. Valid while the caller keeps `buffer`; it must not be resized or transferred. */
export function addressOf(buffer: Bytes): number {
  void buffer.buffer; // a short array lives in the moving heap until its ArrayBuffer is asked for
  return Number(koffi.address(buffer));
}

/** Bytes of the largest socket address that is used here (struct sockaddr_in6). */
export const SOCKADDR_SIZE = 28;

/** Writes a socket address of `address`'s own family to `out` and returns its length. `out` has SOCKADDR_SIZE bytes. */
export function encodeSockaddr(address: Address, port: number, out: Bytes): number {
  out.fill(0);
  out[2] = port >> 8;
  out[3] = port & 0xff;
  if (familyOf(address) === 4) {
    out[0] = AF.INET;
    out.set(addressBytes(address).subarray(12), 4);
    return 16;
  }
  out[0] = AF.INET6;
  writeAddress(address, out, 8);
  return SOCKADDR_SIZE;
}

/** Reads a socket address of either family; IPv4 comes out mapped. Throws on another family. */
export function decodeSockaddr(sockaddr: Bytes): { readonly address: Address; readonly port: number } {
  const family = sockaddr[0];
  const port = ((sockaddr[2] ?? 0) << 8) | (sockaddr[3] ?? 0);
  const address = new Uint8Array(16);
  if (family === AF.INET) {
    address[10] = address[11] = 0xff;
    address.set(sockaddr.subarray(4, 8), 12);
  } else if (family === AF.INET6) {
    address.set(sockaddr.subarray(8, 24));
  } else {
    throw new Error(`Cannot read socket address: family ${family} is neither IPv4 nor IPv6`);
  }
  return { address: readAddress(address), port };
}

/** A little-endian i32 in four bytes, as socket options and lengths want it. */
export function int32(value: number): Bytes {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value, true);
  return bytes;
}
