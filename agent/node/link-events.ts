// Hears of links that come, change and go from the kernel (rtnetlink(7)). The socket is looked at now and then: at rest that
// is a system call, and no process beside the agent that would have to be kept alive.

import { AF, bind, callError, close, ERRNO, errno, recv, SOCK, socket } from '#common/native/libc.ts';
import { inNetns } from './netns.ts';

const NETLINK_ROUTE = 0;
const GROUP_LINK = 1; // RTMGRP_LINK
const SOCKADDR_NL_SIZE = 12;
const NEWLINK = 16;
const DELLINK = 17;
const NAME = 3; // IFLA_IFNAME
/** struct nlmsghdr, and struct ifinfomsg behind it. */
const HEADER_SIZE = 16;
const LINK_SIZE = 16;

/** How late a change is heard of. */
const POLL_MS = 100;
/** The kernel makes none larger. A message that does not fit would be cut, and counts as a change all the same. */
const MESSAGE_BYTES = 32 << 10;
/** For each look; more wait in the socket, and if that is full, the kernel says that something was lost. */
const MAX_PER_LOOK = 256;

/**
 * Calls `onChange` after links of the namespace at `netns` came, changed or went, or may have; `concerns` says of a link's
 * name whether it matters. Returns how to stop. Throws if the kernel refuses the socket.
 */
export function watchLinks(
  netns: string,
  { concerns, onChange }: { readonly concerns: (name: string) => boolean; readonly onChange: () => void },
): () => void {
  const fd = inNetns(netns, openSocket);
  const buffer = new Uint8Array(MESSAGE_BYTES);
  const look = (): void => {
    let isChanged = false;
    for (let left = MAX_PER_LOOK; left > 0; left--) {
      const size = recv(fd, buffer, buffer.length, 0);
      if (size >= 0) {
        isChanged ||= linkNames(buffer.subarray(0, size)).some((name) => name === undefined || concerns(name));
        continue;
      }
      const reason = errno();
      if (reason === ERRNO.EAGAIN) break;
      if (reason === ERRNO.ENOBUFS) isChanged = true;
      else if (reason !== ERRNO.EINTR) throw callError('read link events', reason);
    }
    if (isChanged) onChange();
  };
  const timer = setInterval(look, POLL_MS);
  let isOpen = true;
  return () => {
    clearInterval(timer);
    if (isOpen) close(fd); // once: the number may be another's by then
    isOpen = false;
  };
}

/** The links that the messages in `bytes` are about; undefined for one that does not say. */
export function linkNames(bytes: Uint8Array): (string | undefined)[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const names: (string | undefined)[] = [];
  for (let at = 0; at + HEADER_SIZE <= bytes.length; ) {
    const end = at + view.getUint32(at, true);
    const type = view.getUint16(at + 4, true);
    if (end < at + HEADER_SIZE || end > bytes.length) return [...names, undefined];
    if (type === NEWLINK || type === DELLINK) names.push(nameOf(bytes.subarray(at + HEADER_SIZE + LINK_SIZE, end)));
    at = aligned(end);
  }
  return names;
}

function nameOf(attributes: Uint8Array): string | undefined {
  const view = new DataView(attributes.buffer, attributes.byteOffset, attributes.byteLength);
  for (let at = 0; at + 4 <= attributes.length; ) {
    const size = view.getUint16(at, true);
    if (size < 4) return;
    // The text ends with a zero byte.
    if (view.getUint16(at + 2, true) === NAME)
      return Buffer.from(attributes.subarray(at + 4, at + size - 1)).toString();
    at = aligned(at + size);
  }
}

function aligned(offset: number): number {
  return (offset + 3) & ~3;
}

function openSocket(): number {
  const fd = socket(AF.NETLINK, SOCK.RAW | SOCK.NONBLOCK | SOCK.CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) throw callError('open a netlink socket');
  const own = new DataView(new ArrayBuffer(SOCKADDR_NL_SIZE)); // struct sockaddr_nl; port 0: the kernel chooses
  own.setUint16(0, AF.NETLINK, true);
  own.setUint32(8, GROUP_LINK, true);
  if (bind(fd, new Uint8Array(own.buffer), SOCKADDR_NL_SIZE) < 0) {
    const reason = errno();
    close(fd);
    throw callError('hear of links', reason);
  }
  return fd;
}
