// Three network namespaces for a test of a worker: a client's, the worker's with the steering in it, and a server's.

import { execFileSync } from 'node:child_process';
import * as libc from '#common/native/libc.ts';

const NAME = `weir-px${process.pid}`;
export const [CLIENT, PROXY, SERVER] = ['c', 'p', 's'].map((letter) => `${NAME}${letter}`) as [string, string, string];
export const SERVER_PORT = 8080;
export const MARK = 0xb00;

const ip = (...args: readonly string[]): void => void execFileSync('ip', args, { stdio: 'pipe' });
/** The words before a command that runs it in a namespace. */
export const inNamespace = (name: string): string[] => ['nsenter', `--net=/run/netns/${name}`];

/** Makes the namespaces, their addresses and routes. */
export function createNetwork(): void {
  for (const name of [CLIENT, PROXY, SERVER]) {
    ip('netns', 'add', name);
    ip('-n', name, 'link', 'set', 'lo', 'up');
  }
  for (const [letter, pod, net] of [
    ['c', CLIENT, 1],
    ['s', SERVER, 2],
  ] as const) {
    ip('-n', pod, 'link', 'add', `${letter}0`, 'type', 'veth', 'peer', 'name', `${letter}1`, 'netns', PROXY);
    for (const [namespace, device, host] of [
      [pod, `${letter}0`, 2],
      [PROXY, `${letter}1`, 1],
    ] as const) {
      ip('-n', namespace, 'link', 'set', device, 'up');
      ip('-n', namespace, 'addr', 'add', `10.9.${net}.${host}/24`, 'dev', device);
      ip('-n', namespace, 'addr', 'add', `fd00:9:${net}::${host}/64`, 'dev', device, 'nodad');
    }
    ip('-n', pod, 'route', 'add', 'default', 'via', `10.9.${net}.1`);
    ip('-n', pod, '-6', 'route', 'add', 'default', 'via', `fd00:9:${net}::1`);
    for (const family of ['-4', '-6']) ip('-n', PROXY, family, 'rule', 'add', 'iif', `${letter}1`, 'lookup', '100');
  }
  for (const family of ['-4', '-6'])
    ip('-n', PROXY, family, 'route', 'add', 'local', 'default', 'dev', 'lo', 'table', '100');
}

/** Removes what is there of them. */
export function removeNetwork(): void {
  for (const name of [CLIENT, PROXY, SERVER]) {
    try {
      ip('netns', 'del', name);
    } catch {} // was never there
  }
}

/** Runs `make` in a network namespace; sockets stay in the one they were made in. */
export function within<T>(name: string, make: () => T): T {
  const here = libc.open('/proc/thread-self/ns/net', libc.OPEN.RDONLY, 0);
  const there = libc.open(`/run/netns/${name}`, libc.OPEN.RDONLY, 0);
  if (libc.setns(there, libc.CLONE.NEWNET) < 0) throw libc.callError('enter namespace');
  try {
    return make();
  } finally {
    libc.setns(here, libc.CLONE.NEWNET);
    libc.close(here);
    libc.close(there);
  }
}

/** A worker's listening socket, in the namespace of the caller. */
export function createListener(): number {
  const { AF, SOCK, SOL, SO, IP, IPV6 } = libc;
  const fd = libc.socket(AF.INET6, SOCK.STREAM | SOCK.NONBLOCK | SOCK.CLOEXEC, 0);
  const one = libc.int32(1);
  libc.setsockopt(fd, SOL.IP, IP.TRANSPARENT, one, 4);
  libc.setsockopt(fd, SOL.IPV6, IPV6.TRANSPARENT, one, 4);
  libc.setsockopt(fd, SOL.SOCKET, SO.MARK, libc.int32(MARK), 4);
  const sockaddr = new Uint8Array(libc.SOCKADDR_SIZE);
  sockaddr[0] = AF.INET6;
  sockaddr[2] = SERVER_PORT >> 8;
  sockaddr[3] = SERVER_PORT & 255;
  if (libc.bind(fd, sockaddr, sockaddr.length) < 0 || libc.listen(fd, 128) < 0) throw libc.callError('listen');
  return fd;
}
