// Services at the socket: connect, sendmsg and what the application gets to see. Real sockets in the node's cgroup.
//
//   client 10.244.0.10  --> 10.96.0.20:80 --> server 10.244.0.11:8080   (cgroup programs, no packet is translated)

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { address, formatAddress } from '#common/ip.ts';
import * as libc from '#common/native/libc.ts';
import { LOSS_REVERSE } from './abi.ts';
import { PROTOCOL } from './testing/packet.ts';
import { createScene, FAMILIES, type Family, type Scene, SERVER } from './testing/scene.ts';
import { accept, connect, connected, type Socket, type SocketOptions, serve } from './testing/sockets.ts';

const FRONTEND = { ip4: '10.96.0.20', ip6: 'fd00:10:96::20' };
const SERVICE = 7;
let scene: Scene;
before(async () => {
  scene = await createScene('sock');
  scene.topology.datapath.attachCgroup(scene.topology.cgroup);
});
after(() => scene?.[Symbol.dispose]());
beforeEach(() => {
  scene.reset();
  scene.allowAll();
});

const ip = (of: { ip4: string; ip6: string }, family: Family): string => (family === 4 ? of.ip4 : of.ip6);
/** A socket of the client. */
const client = (options: SocketOptions = {}): SocketOptions => ({
  netns: `/run/netns/${scene.client.netns}`,
  cgroup: scene.topology.cgroup,
  ...options,
});
const server = (options: SocketOptions = {}): SocketOptions => ({
  netns: `/run/netns/${scene.server.netns}`,
  ...options,
});

/** A service of `count` slots, of which `written` have the server as backend. */
function publish(family: Family, options: { protocol?: number; count?: number; written?: number } = {}): void {
  const { protocol = PROTOCOL.tcp, count = 1, written = count } = options;
  const { services, backends } = scene.topology.datapath.maps;
  const key = { ip: address(ip(FRONTEND, family)), port: 80, protocol };
  for (let slot = 1; slot <= written; slot++) {
    services.set({ ...key, slot }, { backend: 100 + slot, count: 0, service: SERVICE, flags: 0 });
    backends.set(100 + slot, { ip: address(ip(SERVER, family)), port: 8080, protocol, flags: 0 });
  }
  services.set({ ...key, slot: 0 }, { backend: 0, count, service: SERVICE, flags: 0 });
}

for (const family of FAMILIES) {
  describe(`IPv${family}`, () => {
    test('connect reaches a backend, and the application sees the service', () => {
      publish(family, { count: 3 });
      using listener = serve(ip(SERVER, family), 8080, server());
      using socket = connected(ip(FRONTEND, family), 80, client());
      using accepted = accept(listener);
      assert.equal(accepted.peer(), socket.local());
      assert.equal(socket.peer(), `${ip(FRONTEND, family)} 80`);
      socket.send('hello');
      assert.equal(accepted.receive(), 'hello');
      const { reverse } = scene.topology.datapath.maps;
      assert.ok(reverse.entries().some(([, value]) => value.service === SERVICE && value.port === 80));
    });

    test('an address that is no service stays as it is', () => {
      publish(family);
      using listener = serve(ip(SERVER, family), 8081, server());
      using socket = connected(ip(SERVER, family), 8081, client());
      using accepted = accept(listener);
      assert.equal(socket.peer(), `${ip(SERVER, family)} 8081`);
      assert.equal(accepted.peer(), socket.local());
    });

    test('a socket outside the cgroup gets no backend', () => {
      publish(family);
      using _listener = serve(ip(SERVER, family), 8080, server());
      const outcome = connect(ip(FRONTEND, family), 80, { netns: client().netns as string, timeoutMs: 500 });
      assert.equal(typeof outcome, 'string');
    });

    for (const { what, options } of [
      { what: 'without backends', options: { count: 0 } },
      { what: 'that is half written', options: { count: 2, written: 0 } },
    ]) {
      test(`a service ${what} refuses`, () => {
        publish(family, options);
        assert.equal(connect(ip(FRONTEND, family), 80, client()), 'ECONNREFUSED');
      });
    }

    test('a service whose backend entry is missing refuses', () => {
      publish(family);
      scene.topology.datapath.maps.backends.delete(101);
      assert.equal(connect(ip(FRONTEND, family), 80, client()), 'ECONNREFUSED');
    });

    test('a service that is shrinking still answers from the slots that it has', () => {
      publish(family, { count: 8, written: 1 });
      using listener = serve(ip(SERVER, family), 8080, server());
      for (let i = 0; i < 8; i++) {
        using socket = connected(ip(FRONTEND, family), 80, client());
        using accepted = accept(listener);
        assert.equal(accepted.peer(), socket.local());
      }
    });

    test('UDP: the answer seems to come from the service', () => {
      publish(family, { protocol: PROTOCOL.udp });
      using backend = serve(ip(SERVER, family), 8080, server({ type: 'udp' }));
      using socket = serve(ip(scene.client, family), 5300, client({ type: 'udp' }));
      assert.equal(sendTo(socket, ip(FRONTEND, family), 80, 'query'), 5);
      const asked = receiveFrom(backend);
      assert.equal(asked.text, 'query');
      assert.equal(asked.from, `${ip(scene.client, family)} 5300`);
      assert.equal(sendTo(backend, ip(scene.client, family), 5300, 'answer'), 6);
      const got = receiveFrom(socket);
      assert.deepEqual(got, { text: 'answer', from: `${ip(FRONTEND, family)} 80` });
    });

    test('UDP: sending to a service without backends fails', () => {
      publish(family, { protocol: PROTOCOL.udp, count: 0 });
      using socket = serve(ip(scene.client, family), 5301, client({ type: 'udp' }));
      assert.equal(sendTo(socket, ip(FRONTEND, family), 80, 'query'), -1);
      assert.equal(libc.errno(), libc.ERRNO.ECONNREFUSED);
    });
  });
}

describe('IPv4 on IPv6 sockets', () => {
  test('connect to a mapped service address reaches a backend', () => {
    publish(4);
    using listener = serve(SERVER.ip4, 8080, server());
    using socket = connected(FRONTEND.ip4, 80, client({ mapped: true }));
    using accepted = accept(listener);
    assert.equal(accepted.peer(), socket.local());
    assert.equal(socket.peer(), `${FRONTEND.ip4} 80`);
  });

  test('a mapped service without backends refuses', () => {
    publish(4, { count: 0 });
    assert.equal(connect(FRONTEND.ip4, 80, client({ mapped: true })), 'ECONNREFUSED');
  });

  test('an IPv6 backend behind an IPv4 service refuses', () => {
    publish(4);
    const { backends } = scene.topology.datapath.maps;
    backends.set(101, { ip: address(SERVER.ip6), port: 8080, protocol: PROTOCOL.tcp, flags: 0 });
    assert.equal(connect(FRONTEND.ip4, 80, client()), 'ECONNREFUSED');
  });
});

test('nothing was lost', () => {
  assert.equal(scene.topology.datapath.losses()[LOSS_REVERSE], 0n);
});

function sendTo(socket: Socket, to: string, port: number, text: string): number {
  const bytes = new Uint8Array(libc.SOCKADDR_SIZE);
  const length = libc.encodeSockaddr(address(to), port, bytes);
  return libc.sendto(socket.fd, Buffer.from(text), text.length, 0, bytes, length);
}

function receiveFrom(socket: Socket): { text: string; from: string } {
  const buffer = Buffer.alloc(256);
  const where = new Uint8Array(libc.SOCKADDR_SIZE);
  const length = libc.recvfrom(socket.fd, buffer, buffer.length, 0, where, libc.int32(where.length));
  if (length < 0) throw libc.callError('receive');
  const { address: ip, port } = libc.decodeSockaddr(where);
  return { text: buffer.toString('latin1', 0, length), from: `${formatAddress(ip)} ${port}` };
}
