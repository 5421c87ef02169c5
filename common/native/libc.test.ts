import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { address, formatAddress } from '../ip.ts';
import * as libc from './libc.ts';

test('errno tells why a call failed', () => {
  assert.equal(libc.close(-1), -1);
  assert.equal(libc.errno(), libc.ERRNO.EBADF);
  assert.equal(libc.callError('close nothing', libc.ERRNO.EBADF).message, 'Cannot close nothing: EBADF');
  assert.equal(libc.errnoName(9999), 'errno 9999');
});

for (const { name, text, length } of [
  { name: 'IPv4', text: '127.0.0.1', length: 16 },
  { name: 'IPv6', text: '::1', length: 28 },
]) {
  test(`sockets of ${name} carry bytes and end`, () => {
    const sockaddr = new Uint8Array(libc.SOCKADDR_SIZE);
    const room = libc.int32(libc.SOCKADDR_SIZE);
    const domain = name === 'IPv4' ? libc.AF.INET : libc.AF.INET6;
    const listener = libc.socket(domain, libc.SOCK.STREAM | libc.SOCK.CLOEXEC, 0);
    assert.equal(libc.encodeSockaddr(address(text), 0, sockaddr), length);
    assert.equal(libc.bind(listener, sockaddr, length), 0);
    assert.equal(libc.listen(listener, 1), 0);
    assert.equal(libc.getsockname(listener, sockaddr, room), 0);
    const bound = libc.decodeSockaddr(sockaddr);
    assert.equal(formatAddress(bound.address), text);
    assert.ok(bound.port > 0);

    const client = libc.socket(domain, libc.SOCK.STREAM | libc.SOCK.CLOEXEC, 0);
    assert.equal(libc.connect(client, sockaddr, length), 0);
    const server = libc.accept4(listener, null, null, libc.SOCK.NONBLOCK | libc.SOCK.CLOEXEC);
    assert.ok(server > 0);
    const buffer = new Uint8Array(128);
    assert.equal(libc.recv(server, buffer, 128, 0), -1);
    assert.equal(libc.errno(), libc.ERRNO.EAGAIN);
    assert.equal(libc.sendAt(client, libc.addressOf(Buffer.from('-hello-'.padEnd(100))) + 1, 5, libc.MSG.NOSIGNAL), 5);
    assert.equal(libc.recvAt(server, libc.addressOf(buffer) + 3, 100, 0), 5);
    assert.equal(Buffer.from(buffer.subarray(3, 8)).toString(), 'hello');
    libc.close(client);
    assert.equal(libc.recv(server, buffer, 128, 0), 0);
    libc.close(server);
    libc.close(listener);
  });
}

test('epoll reports an eventfd once it was written', () => {
  const epoll = libc.epollCreate1(libc.SOCK.CLOEXEC);
  const fd = libc.eventfd(0, libc.EVENTFD.NONBLOCK | libc.EVENTFD.CLOEXEC);
  const event = new Uint8Array(libc.EPOLL_EVENT.size);
  const view = new DataView(event.buffer);
  view.setUint32(0, libc.EPOLL.IN, true);
  view.setInt32(libc.EPOLL_EVENT.data, fd, true);
  assert.equal(libc.epollCtl(epoll, libc.EPOLL.ADD, fd, event), 0);
  assert.equal(libc.epollWait(epoll, event, 1, 0), 0);
  assert.equal(libc.write(fd, new BigUint64Array([1n]) as unknown as Uint8Array, 8), 8);
  assert.equal(libc.epollWait(epoll, event, 1, 1000), 1);
  assert.equal(view.getInt32(libc.EPOLL_EVENT.data, true), fd);
  libc.close(fd);
  libc.close(epoll);
});

test('mapShared sees later writes and refuses what the descriptor does not allow', () => {
  const directory = mkdtempSync(join(tmpdir(), 'weir-libc-'));
  try {
    const path = join(directory, 'file');
    writeFileSync(path, Buffer.alloc(4096));
    const reader = libc.open(path, libc.OPEN.RDONLY | libc.OPEN.CLOEXEC, 0);
    using mapping = libc.mapShared({ fd: reader, sizeBytes: 4096, protection: libc.PROT.READ });
    const words = new Uint32Array(mapping.bytes);
    assert.equal(words[0], 0);
    const writer = libc.open(path, libc.OPEN.WRONLY | libc.OPEN.CLOEXEC, 0);
    libc.write(writer, new Uint8Array([7, 0, 0, 0]), 4);
    assert.equal(words[0], 7);
    assert.throws(
      () => libc.mapShared({ fd: reader, sizeBytes: 4096, protection: libc.PROT.READ | libc.PROT.WRITE }),
      /^Error: Cannot map 4096 bytes of descriptor \d+: EACCES$/,
    );
    libc.close(writer);
    libc.close(reader);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
