// A pod that sends under another's name is not heard: raw frames with forged addresses, for IPv4, IPv6, ARP and ND.
//
//   thief  ─┐
//           ├── node ── victim :5000/UDP
//   client ─┘          (policy: only client may send)

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { nodeLayout, podNetns } from '#agent/layout.ts';
import { arpReply, type FrameEnds, neighborAdvertisement, udpFrame } from '../frames.ts';
import { apps, needsRoot, pod, policy, startTestMesh, type TestMesh } from '../mesh.ts';

const SEND_FRAME = join(import.meta.dirname, '../programs/send-frame.ts');
const FORGED_MAC = '02:00:00:00:00:99';
const WAIT_MS = 5_000;

describe('forged sources', { skip: needsRoot }, () => {
  let mesh: TestMesh;
  before(async () => {
    mesh = await startTestMesh([pod('client'), pod('thief'), pod('victim', ['udp.ts'])]);
    const toPorts = [{ ports: [{ port: '5000', protocol: 'UDP' }] }];
    await mesh.setPolicies([policy('p', 'victim', { ingress: [{ fromEndpoints: apps('client'), toPorts }] })]);
  });
  after(() => mesh?.[Symbol.asyncDispose]());

  const inside = (name: string, command: readonly string[]): string => {
    const netns = `/run/netns/${podNetns(nodeLayout(mesh.node, ''), { namespace: 'default', name })}`;
    return execFileSync('nsenter', [`--net=${netns}`, '--mount=/proc/self/ns/mnt', ...command], { encoding: 'utf8' });
  };
  const send = (name: string, frame: string): void => {
    // Sysfs of the pod: its own mount of /sys, in a mount namespace that ends with the command.
    const script = 'mount -t sysfs sysfs /sys && exec "$@"';
    inside(name, ['unshare', '--mount', 'sh', '-c', script, 'sh', process.execPath, SEND_FRAME, frame]);
  };
  /** What a frame of `name` would honestly say. */
  const honest = async (name: string, family: 4 | 6): Promise<FrameEnds> => {
    const link = JSON.parse(inside(name, ['ip', '-j', 'link', 'show', 'eth0']))[0];
    const gateway = family === 4 ? '169.254.1.1' : 'fe80::1';
    const neighbor = JSON.parse(inside(name, ['ip', '-j', 'neigh', 'show', gateway, 'dev', 'eth0']))[0];
    return {
      sourceMac: link.address,
      destinationMac: neighbor.lladdr,
      source: await mesh.address(name, family),
      destination: await mesh.address('victim', family),
    };
  };
  const heard = async (text: string): Promise<string[]> => {
    const { stdout } = await mesh.weir(['logs', 'victim']);
    return stdout.split('\n').filter((line) => line.endsWith(text));
  };
  const hears = async (text: string): Promise<string[]> => {
    const deadline = performance.now() + WAIT_MS;
    for (;;) {
      const lines = await heard(text);
      if (lines.length > 0 || performance.now() > deadline) return lines;
      await sleep(100);
    }
  };
  const drops = async (reason: string): Promise<number> => {
    const { stdout } = await mesh.weir(['metrics', 'cilium_drop_count_total']);
    const values = stdout.split('\n').filter((line) => line.includes(`reason="${reason}"`));
    return values.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  };
  /** Link-layer address by address, as the victim and the node know their neighbours. */
  const neighbors = (): Record<'victim' | 'node', Readonly<Record<string, string>>> => {
    const show = ['ip', '-j', 'neigh', 'show'];
    const netns = nodeLayout(mesh.node, '').netnsPath;
    const byAddress = (text: string): Record<string, string> => {
      const rows = JSON.parse(text) as readonly { readonly dst: string; readonly lladdr?: string }[];
      return Object.fromEntries(rows.flatMap(({ dst, lladdr }) => (lladdr ? [[dst, lladdr]] : [])));
    };
    return {
      victim: byAddress(inside('victim', show)),
      node: byAddress(execFileSync('nsenter', [`--net=${netns}`, ...show], { encoding: 'utf8' })),
    };
  };
  const resolveGateway = async (name: string): Promise<void> => {
    for (const family of [4, 6] as const) {
      const host = await mesh.address('victim', family);
      await mesh.exec(name, ['curl', '-s', '--max-time', '0.5', `http://${host.includes(':') ? `[${host}]` : host}/`]);
    }
  };

  for (const family of [4, 6] as const) {
    test(`IPv${family}: an honest frame of the allowed pod is heard, a forged one of another is not`, async () => {
      await resolveGateway('client');
      await resolveGateway('thief');
      const client = await honest('client', family);
      send('client', udpFrame(client, `honest-${family}`));
      assert.deepEqual(await hears(`honest-${family}`), [`${client.source} honest-${family}`]);

      const thief = await honest('thief', family);
      for (const { name, reason, ends } of [
        { name: 'address', reason: 'Invalid source ip', ends: { ...thief, source: client.source } },
        { name: 'mac', reason: 'Invalid source mac', ends: { ...thief, sourceMac: FORGED_MAC } },
        { name: 'both', reason: 'Invalid source mac', ends: { ...client, destinationMac: thief.destinationMac } },
        { name: 'none', reason: 'Policy denied', ends: thief },
      ]) {
        const before = await drops(reason);
        send('thief', udpFrame(ends, `forged-${name}-${family}`));
        const deadline = performance.now() + WAIT_MS;
        while ((await drops(reason)) === before && performance.now() < deadline) await sleep(50);
        assert.equal(await drops(reason), before + 1, `${name}: counted as ${reason}`);
        assert.deepEqual(await heard(`forged-${name}-${family}`), []);
      }
    });
  }

  for (const family of [4, 6] as const) {
    const kind = family === 4 ? 'an ARP reply' : 'a neighbor advertisement';
    test(`IPv${family}: ${kind} for an address of others is dropped, and changes no entry of node and victim`, async () => {
      await resolveGateway('thief');
      await resolveGateway('victim');
      const [thief, victim] = [await honest('thief', family), await honest('victim', family)];
      const client = await mesh.address('client', family);
      const gateway = family === 4 ? '169.254.1.1' : 'fe80::1';
      const everybody = family === 4 ? gateway : 'ff02::1';
      const toVictim = { destination: victim.source, destinationMac: victim.sourceMac };
      const message = family === 4 ? 'Invalid ARP sender' : 'Invalid neighbor discovery sender';
      // An advertisement's IPv6 header has the forged address too, and is looked at first.
      const address = family === 4 ? message : 'Invalid source ip';
      const entries = neighbors();
      assert.deepEqual(entries.victim[gateway], victim.destinationMac, 'the victim knows its next hop');
      assert.deepEqual(entries.node[victim.source], victim.sourceMac, 'the node knows the victim');
      for (const { name, reason, ends } of [
        { name: 'client', reason: address, ends: { ...thief, source: client, destination: gateway } },
        { name: 'victim', reason: address, ends: { ...thief, source: victim.source, destination: gateway } },
        { name: 'next hop', reason: message, ends: { ...thief, source: gateway, destination: everybody } },
        { name: 'next hop, MAC', reason: 'Invalid destination mac', ends: { ...thief, source: gateway, ...toVictim } },
      ]) {
        const before = await drops(reason);
        send('thief', family === 4 ? arpReply(ends) : neighborAdvertisement(ends));
        const deadline = performance.now() + WAIT_MS;
        while ((await drops(reason)) === before && performance.now() < deadline) await sleep(50);
        assert.equal(await drops(reason), before + 1, `${name}: counted as ${reason}`);
      }
      assert.deepEqual(neighbors(), entries);
    });
  }
});
