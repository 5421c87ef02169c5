// The proxy under load: changed policies, many connections, slow peers.
//
//   client, slow ── node (2 workers) ── server :80

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  apps,
  type KubeObject,
  needsRoot,
  parseLoad,
  pod,
  policy,
  ports,
  startProgram,
  startTestMesh,
  type TestMesh,
} from '../mesh.ts';

const FLIPS = 100;
const CONNECTIONS = 2_000;
const SLOW_CONNECTIONS = 20;
/** What slow peers may cost all workers together: 20 × 2 buffers and what the runtime takes. */
const SLOW_MEMORY_MIB = 64;

const allow = (path: string): readonly KubeObject[] => [
  policy('p', 'server', { ingress: [{ fromEndpoints: apps('client', 'slow'), toPorts: ports([80], [{ path }]) }] }),
];

describe('the proxy under load', { skip: needsRoot }, () => {
  let mesh: TestMesh;
  let target: string;
  before(async () => {
    mesh = await startTestMesh([pod('client'), pod('slow'), pod('server', ['server.ts', '80'])]);
    target = await mesh.address('server', 4);
  });
  after(() => mesh?.[Symbol.asyncDispose]());

  test(`a policy flipped ${FLIPS} times: every verdict is that of the old or the new one`, async () => {
    await mesh.setPolicies(allow('/a'));
    const seconds = String(FLIPS * 0.3 + 5);
    const args = ['--target', `http://${target}`, '--paths', '/a,/b', '--rate', '300', '--connections', '16'];
    await using load = startProgram(mesh, 'client', ['load.ts', ...args, '--seconds', seconds]);
    /** From when until when which path alone was allowed. */
    const windows: { readonly allowed: string; readonly from: number; readonly until: number }[] = [];
    let from = Date.now();
    for (let flip = 1; flip <= FLIPS; flip++) {
      await sleep(100);
      windows.push({ allowed: flip % 2 === 1 ? '/a' : '/b', from, until: Date.now() });
      await mesh.setPolicies(allow(flip % 2 === 1 ? '/b' : '/a'));
      from = Date.now();
    }
    await load[Symbol.asyncDispose]();
    const requests = parseLoad(load.seen);
    assert.ok(requests.length > 1_000, `${requests.length} requests`);
    assert.deepEqual(
      requests.filter(({ outcome }) => outcome !== '200' && outcome !== '403'),
      [],
    );
    let judged = 0;
    for (const request of requests) {
      const window = windows.find((candidate) => request.start >= candidate.from && request.end <= candidate.until);
      if (window === undefined) continue; // it met a change: either verdict is right
      judged++;
      assert.equal(
        request.outcome,
        request.path === window.allowed ? '200' : '403',
        JSON.stringify({ request, window }),
      );
    }
    assert.ok(judged > 500, `${judged} requests between two changes`);
  });

  for (const family of [4, 6] as const) {
    test(`IPv${family}: ${CONNECTIONS} connections at once are all served`, async () => {
      await mesh.setPolicies(allow('/many'));
      const host = await mesh.address('server', family);
      await using many = startProgram(mesh, 'client', ['many.ts', host, '80', String(CONNECTIONS)]);
      await many.ended;
      assert.deepEqual(many.seen, [String(2 * CONNECTIONS)]);
    });
  }

  test('slow readers and slow senders stall nobody and hold bounded memory', async () => {
    await mesh.setPolicies(allow('/.*'));
    const { workers } = await mesh.status();
    const memory = (): number => workers.reduce((sum, { pid }) => sum + residentMib(pid), 0);
    const before = memory();
    const slow = ['80', String(SLOW_CONNECTIONS)];
    await using reader = startProgram(mesh, 'slow', ['slow.ts', 'reader', target, ...slow]);
    await using sender = startProgram(mesh, 'slow', ['slow.ts', 'sender', target, ...slow]);
    await sleep(3_000);
    const args = ['--target', `http://${target}`, '--rate', '100', '--connections', '8', '--seconds', '5'];
    await using load = startProgram(mesh, 'client', ['load.ts', ...args]);
    await load.ended;
    const requests = parseLoad(load.seen);
    assert.ok(requests.length > 300, `${requests.length} requests`);
    assert.deepEqual(
      requests.filter(({ outcome, start, end }) => outcome !== '200' || end - start > 2_000),
      [],
    );
    const grown = memory() - before;
    assert.ok(grown < SLOW_MEMORY_MIB, `workers grew by ${grown} MiB`);
    assert.deepEqual([reader.seen, sender.seen], [['started'], ['started']], 'the slow ones are still served');
  });
});

function residentMib(pid: number): number {
  const kib = /^VmRSS:\s*(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kib) / 1024;
}
