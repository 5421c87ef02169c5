// Real traffic between pods: every packet through the kernel, by the hooks as they are attached on a node.
//
//   client 10.244.0.10  --lxca--> node <--lxcb--  server 10.244.0.11
//   fd00:10:244::10               |               fd00:10:244::11
//                        proxy: one listener in slot 0

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import * as libc from '#common/native/libc.ts';
import * as abi from './abi.ts';
import * as packet from './testing/packet.ts';
import { CLIENT, createScene, data, FAMILIES, type Family, type Scene, SERVER, syn } from './testing/scene.ts';
import { accept, connect, connected, rawSocket, type Socket, serve } from './testing/sockets.ts';
import { macBytes, type Pod, PROXY_MARK, sh } from './testing/topology.ts';

let scene: Scene;
before(async () => {
  scene = await createScene('dp');
});
after(() => scene?.[Symbol.dispose]());
beforeEach(() => scene.reset());

const ip = (pod: { ip4: string; ip6: string }, family: Family): string => (family === 4 ? pod.ip4 : pod.ip6);
const inside = (pod: Pod): { netns: string } => ({ netns: `/run/netns/${pod.netns}` });
const dropped = (reason: number): bigint =>
  scene.topology.datapath
    .counters()
    .filter((row) => row.reason === reason)
    .reduce((total, row) => total + row.packets, 0n);

const eth0Of = (pod: Pod): number => JSON.parse(sh(`ip -n ${pod.netns} -j link show eth0`))[0].ifindex;

/** One connection from client to server, both ends. */
function pair(family: Family, port: number): { client: Socket; server: Socket } {
  using listener = serve(ip(SERVER, family), port, inside(scene.server));
  const client = connected(ip(SERVER, family), port, inside(scene.client));
  return { client, server: accept(listener) };
}

for (const family of FAMILIES) {
  describe(`IPv${family}`, () => {
    test('TCP passes both ways where it is allowed', () => {
      scene.allowAll();
      const { client, server } = pair(family, 8001);
      assert.equal(client.send('question'), '');
      assert.equal(server.receive(), 'question');
      assert.equal(server.send('answer'), '');
      assert.equal(client.receive(), 'answer');
      assert.equal(server.peer().split(' ')[0], CLIENT[family === 4 ? 'ip4' : 'ip6']);
      client[Symbol.dispose]();
      assert.equal(server.receive(), '');
      server[Symbol.dispose]();
    });

    test('TCP does not pass where it is not', () => {
      scene.rule(CLIENT.identity, 'egress', 'allow');
      using _listener = serve(ip(SERVER, family), 8002, inside(scene.server));
      const before = dropped(abi.DROP_POLICY_DENIED);
      assert.equal(connect(ip(SERVER, family), 8002, inside(scene.client)), 'EINPROGRESS');
      assert.ok(dropped(abi.DROP_POLICY_DENIED) > before);
    });

    test('large transfers arrive whole', () => {
      scene.allowAll();
      const { client, server } = pair(family, 8003);
      const chunk = Buffer.alloc(60_000, 'x');
      let received = 0;
      for (let i = 0; i < 50; i++) {
        assert.equal(client.send(chunk), '');
        while (received < (i + 1) * chunk.length) received += server.receive().length;
      }
      assert.equal(received, 50 * chunk.length);
      client[Symbol.dispose]();
      server[Symbol.dispose]();
    });

    test('UDP passes, in fragments as well, and its errors come back', () => {
      scene.rule(CLIENT.identity, 'egress', 'allow');
      scene.rule(SERVER.identity, 'ingress', 'allow');
      using server = serve(ip(SERVER, family), 8004, { ...inside(scene.server), type: 'udp' });
      using client = connected(ip(SERVER, family), 8004, { ...inside(scene.client), type: 'udp' });
      client.send('small');
      assert.equal(server.receive(), 'small');
      client.send('y'.repeat(9000));
      assert.equal(server.receive().length, 9000);
      using closed = connected(ip(SERVER, family), 8005, { ...inside(scene.client), type: 'udp' });
      closed.send('nobody');
      assert.equal(closed.receive(), '<ECONNREFUSED>');
    });

    test('a denial stops a live connection, and the allowance lets it go on', () => {
      scene.allowAll();
      const { client, server } = pair(family, 8006);
      client.send('one');
      assert.equal(server.receive(), 'one');
      scene.rule(SERVER.identity, 'ingress', 'deny');
      client.send('two');
      assert.equal(server.receive(), '<EAGAIN>');
      scene.rule(SERVER.identity, 'ingress', 'allow');
      assert.equal(server.receive(), 'two'); // the kernel sends it again by itself
      client[Symbol.dispose]();
      server[Symbol.dispose]();
    });

    test('the node reaches a pod that lets the host in, and a pod the node by its own policy', () => {
      using listener = serve(ip(SERVER, family), 8007, inside(scene.server));
      assert.equal(connect(ip(SERVER, family), 8007), 'EINPROGRESS');
      scene.rule(SERVER.identity, 'ingress', 'allow', { peer: 1 });
      const client = connected(ip(SERVER, family), 8007);
      using server = accept(listener);
      client.send('probe');
      assert.equal(server.receive(), 'probe');
      server.send('alive');
      assert.equal(client.receive(), 'alive');
      client[Symbol.dispose]();
      const gateway = family === 4 ? '169.254.1.1' : 'fd00:10:244::1';
      if (family === 6) sh(`ip -6 addr replace ${gateway}/128 dev lo nodad`);
      using _node = serve(gateway, 8008);
      assert.equal(connect(gateway, 8008, inside(scene.client)), 'EINPROGRESS');
      scene.allowAll();
      const reached = connect(gateway, 8008, inside(scene.client));
      assert.ok(typeof reached !== 'string', String(reached));
      reached[Symbol.dispose]();
    });

    test('what a raw socket forges is dropped and counted', () => {
      scene.allowAll();
      using server = serve(ip(SERVER, family), 8009, { ...inside(scene.server), type: 'udp' });
      using raw = rawSocket(eth0Of(scene.client), inside(scene.client));
      const honest = scene.ends(scene.client, scene.server, family);
      const ports = { sourcePort: 5, destinationPort: 8009, payload: Buffer.from('forged') };
      const expectDrop = (reason: number, frame: Uint8Array): void => {
        const before = dropped(reason);
        assert.equal(raw.send(frame), '');
        assert.equal(dropped(reason), before + 1n, abi.DROP_REASONS[reason]?.text ?? '');
      };
      const other = family === 4 ? '10.244.0.99' : 'fd00:10:244::99';
      expectDrop(abi.DROP_SOURCE_IP, packet.udp({ ...honest, source: other }, ports));
      expectDrop(abi.DROP_SOURCE_MAC, packet.udp({ ...honest, sourceMac: macBytes('02:00:00:00:09:09') }, ports));
      expectDrop(abi.DROP_TRUNCATED, packet.udp(honest, ports).subarray(0, 30));
      raw.send(packet.udp(honest, { ...ports, payload: Buffer.from('honest') }));
      assert.equal(server.receive(), 'honest');
    });
  });

  describe(`IPv${family} steering`, () => {
    const steer = (): Socket => {
      scene.rule(CLIENT.identity, 'egress', 'allow');
      scene.rule(SERVER.identity, 'ingress', 'redirect', { ruleset: 1 });
      const listener = serve('::1', 15001, { proxyMark: PROXY_MARK });
      scene.topology.datapath.maps.listeners.set(0, BigInt(listener.fd));
      return listener;
    };
    /** The proxy's own connection to the server, in the client's name and port. */
    const goUpstream = (downstream: Socket): Socket => {
      const [clientIp, clientPort] = downstream.peer().split(' ');
      const [serverIp, serverPort] = downstream.local().split(' ');
      return connected(serverIp ?? '', Number(serverPort), {
        proxyMark: PROXY_MARK,
        from: { ip: clientIp ?? '', port: Number(clientPort) },
      });
    };

    test('the proxy gets the connection, and the server sees the client', () => {
      using proxy = steer();
      using listener = serve(ip(SERVER, family), 8010, inside(scene.server));
      using client = connected(ip(SERVER, family), 8010, inside(scene.client));
      using downstream = accept(proxy);
      assert.equal(downstream.local(), `${ip(SERVER, family)} 8010`);
      assert.equal(downstream.peer(), client.local());
      client.send('question');
      assert.equal(downstream.receive(), 'question');
      using upstream = goUpstream(downstream);
      using server = accept(listener);
      assert.equal(server.peer(), client.local());
      upstream.send('question');
      assert.equal(server.receive(), 'question');
      server.send('z'.repeat(200));
      assert.equal(upstream.receive().length, 200);
      downstream.send('answer');
      assert.equal(client.receive(), 'answer');
      const entry = scene.topology.datapath.maps.conntrack.entries().find(([, e]) => e.flags & abi.CT_STEERED)?.[1];
      assert.equal(entry?.ingressRuleset, 1);
      client[Symbol.dispose]();
      assert.equal(downstream.receive(), '');
    });

    test('a connection whose entry was lost stays with the proxy, even if its policy no longer asks for one', () => {
      using proxy = steer();
      using client = connected(ip(SERVER, family), 8014, inside(scene.client));
      using downstream = accept(proxy);
      scene.allowAll();
      const { conntrack } = scene.topology.datapath.maps;
      for (const [key] of conntrack.entries()) conntrack.delete(key);
      client.send('still there?');
      assert.equal(downstream.receive(), 'still there?');
    });

    test("a steered connection whose entry was lost is still its client's, whoever speaks first", () => {
      for (const first of ['client', 'server'] as const) {
        scene.reset();
        using proxy = steer();
        using listener = serve(ip(SERVER, family), 8016, inside(scene.server));
        using client = connected(ip(SERVER, family), 8016, inside(scene.client));
        using downstream = accept(proxy);
        using upstream = goUpstream(downstream);
        using server = accept(listener);
        const { conntrack } = scene.topology.datapath.maps;
        for (const [key] of conntrack.entries()) conntrack.delete(key);
        if (first === 'client') client.send('again');
        else server.send('again');
        assert.equal((first === 'client' ? downstream : upstream).receive(), 'again', `${first} first`);
        const entries = conntrack.entries().map(([, e]) => e);
        assert.deepEqual(
          entries.map((e) => [e.sourceIdentity, e.destinationIdentity, e.ingressRuleset, e.flags & abi.CT_STEERED]),
          [[CLIENT.identity, SERVER.identity, 1, abi.CT_STEERED]],
          `${first} first`,
        );
      }
    });

    test('a denial holds for a connection whose entry was lost, also when the server speaks first', () => {
      scene.allowAll();
      const { client, server } = pair(family, 8017);
      const { conntrack } = scene.topology.datapath.maps;
      for (const [key] of conntrack.entries()) conntrack.delete(key);
      scene.rule(SERVER.identity, 'ingress', 'deny');
      server.send('hello');
      client.send('hello');
      assert.equal(server.receive(), '<ECONNRESET>');
      assert.equal(client.receive(), '<ECONNRESET>');
      client[Symbol.dispose]();
      server[Symbol.dispose]();
    });

    test('a port is used again at once, as the node keeps no TIME_WAIT', () => {
      using proxy = steer();
      const from = { ip: ip(CLIENT, family), port: 41000 };
      for (let round = 0; round < 3; round++) {
        using client = connected(ip(SERVER, family), 8015, { ...inside(scene.client), from });
        const downstream = accept(proxy);
        downstream[Symbol.dispose](); // the side that closes first would have the TIME_WAIT
        assert.equal(client.receive(), '');
      }
    });

    test('without a proxy the connection is refused admission', () => {
      using _proxy = steer();
      scene.topology.datapath.maps.listeners.delete(0);
      using _listener = serve(ip(SERVER, family), 8011, inside(scene.server));
      const before = dropped(abi.DROP_NO_LISTENER);
      assert.equal(connect(ip(SERVER, family), 8011, inside(scene.client)), 'EINPROGRESS');
      assert.ok(dropped(abi.DROP_NO_LISTENER) > before);
    });

    test('a client whose proxy socket vanished is reset', () => {
      using proxy = steer();
      using client = connected(ip(SERVER, family), 8012, inside(scene.client));
      const downstream = accept(proxy);
      const TCP_REPAIR = 19; // closes without a word
      assert.equal(libc.setsockopt(downstream.fd, libc.SOL.TCP, TCP_REPAIR, libc.int32(1), 4), 0);
      downstream[Symbol.dispose]();
      assert.equal(client.send('anyone?'), '');
      assert.equal(client.receive(), '<ECONNRESET>');
    });

    test('a live connection that would bypass the proxy is reset on both sides, whoever speaks first', () => {
      for (const [first, length] of [
        ['client', 1],
        ['server', 1],
        ['client', 8000],
      ] as const) {
        scene.reset();
        scene.allowAll();
        const ends = pair(family, 8013);
        ends.client.send('before');
        assert.equal(ends.server.receive(), 'before');
        scene.rule(SERVER.identity, 'ingress', 'redirect', { ruleset: 1 });
        ends[first].send('after'.repeat(length));
        assert.equal(ends.client.receive(), '<ECONNRESET>', `${first} first: client`);
        assert.equal(ends.server.receive(), '<ECONNRESET>', `${first} first: server`);
        ends.client[Symbol.dispose]();
        ends.server[Symbol.dispose]();
      }
    });
  });
}

describe('test frames', () => {
  test('the builder makes frames that the kernel accepts', () => {
    scene.allowAll();
    for (const family of FAMILIES) {
      const ends = scene.ends(scene.client, scene.server, family);
      assert.equal(scene.fromPod(scene.client, syn(ends)).reason, 0);
      assert.equal(scene.fromPod(scene.client, data(ends)).reason, 0);
    }
  });
});
