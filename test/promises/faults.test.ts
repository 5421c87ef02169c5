// The agent and proxy workers are killed under load: nothing allowed fails that need not, nothing denied ever passes.
//
//   client ── node (2 workers) ── server :80

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { nodeLayout } from '#agent/layout.ts';
import {
  apps,
  curl,
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

const AGENT_KILLS = 10;
const RATE = 500;
const CONNECTIONS = 16;
const CHANGE_MS = 5_000;
const SERVED_AGAIN_MS = 1_000;

/** /ok is allowed, /no is denied, /flip as asked. */
const allow = (flip: boolean): readonly KubeObject[] => [
  policy('p', 'server', {
    ingress: [{ fromEndpoints: apps('client'), toPorts: ports([80], [{ path: flip ? '/(ok|flip)' : '/ok' }]) }],
  }),
];

describe('processes that die', { skip: needsRoot }, () => {
  let mesh: TestMesh;
  let target: string;
  before(async () => {
    mesh = await startTestMesh([pod('client'), pod('server', ['server.ts', '80'])]);
    target = await mesh.address('server', 4);
  });
  after(() => mesh?.[Symbol.asyncDispose]());

  /** What is pinned, with the ids of the maps: equal before and after means adopted. */
  const pinned = (): string[] => {
    const { bpffs } = nodeLayout(mesh.node, '');
    return readdirSync(join(bpffs, 'maps'))
      .sort()
      .map((name) => {
        const map = execFileSync('bpftool', ['-j', 'map', 'show', 'pinned', join(bpffs, 'maps', name)]);
        return `${name} ${JSON.parse(map.toString()).id}`;
      });
  };

  test(`agent killed ${AGENT_KILLS} times under ${RATE} requests/s: 0 failed, 0 wrongly passed`, async () => {
    await mesh.setPolicies(allow(false));
    const maps = pinned();
    assert.ok(
      maps.some((line) => line.startsWith('conntrack ')),
      maps.join(', '),
    );
    const common = ['--target', `http://${target}`, '--paths', '/ok,/no', '--seconds', '120'];
    const kept = ['load.ts', ...common, '--rate', String(RATE), '--connections', String(CONNECTIONS)];
    await using keptAlive = startProgram(mesh, 'client', kept);
    await using fresh = startProgram(mesh, 'client', ['load.ts', ...common, '--rate', '20', '--fresh']);
    await sleep(1_000);
    const waits: number[] = [];
    for (let kill = 1; kill <= AGENT_KILLS; kill++) {
      const { pid } = await mesh.status();
      process.kill(pid, 'SIGKILL');
      const begun = performance.now();
      await mesh.until('a new agent is ready', (status) => status.ready && status.pid !== pid, 20_000);
      await mesh.setPolicies(allow(kill % 2 === 1));
      waits.push(performance.now() - begun);
      const { outcome } = await curl(mesh, { from: 'client', host: target, path: '/flip' });
      assert.equal(outcome, kill % 2 === 1 ? 200 : 403, `after kill ${kill}`);
    }
    await keptAlive[Symbol.asyncDispose]();
    await fresh[Symbol.asyncDispose]();
    for (const running of [keptAlive, fresh]) {
      const requests = parseLoad(running.seen);
      assert.ok(requests.length > 100, `${requests.length} requests`);
      assert.deepEqual(
        requests.filter(({ path, outcome }) => outcome !== (path === '/ok' ? '200' : '403')),
        [],
      );
    }
    assert.deepEqual(
      waits.filter((ms) => ms > CHANGE_MS),
      [],
      `policy changes resume; ms: ${waits.map(Math.round)}`,
    );
    assert.deepEqual(pinned(), maps, 'maps were adopted');
  });

  test('a worker killed: only what was in flight fails, and new requests are served within a second', async () => {
    await mesh.setPolicies(allow(false));
    const common = ['--target', `http://${target}`, '--paths', '/ok,/no', '--seconds', '60'];
    const kept = ['load.ts', ...common, '--rate', '200', '--connections', String(CONNECTIONS)];
    await using keptAlive = startProgram(mesh, 'client', kept);
    await using fresh = startProgram(mesh, 'client', ['load.ts', ...common, '--rate', '20', '--fresh']);
    const kills: number[] = [];
    for (let kill = 0; kill < 4; kill++) {
      await sleep(1_500);
      const { workers } = await mesh.status();
      const victim = workers[kill % workers.length];
      kills.push(Date.now());
      process.kill(victim?.pid ?? 0, 'SIGKILL');
      await mesh.until(
        'the worker was replaced',
        ({ ready, workers: now }) => ready && now.every(({ pid }) => pid !== victim?.pid && pid > 0),
      );
    }
    await sleep(SERVED_AGAIN_MS + 500);
    await keptAlive[Symbol.asyncDispose]();
    await fresh[Symbol.asyncDispose]();
    const requests = [...parseLoad(keptAlive.seen), ...parseLoad(fresh.seen)];
    const passed = requests.filter(({ path, outcome }) => path === '/no' && outcome === '200');
    assert.deepEqual(passed, [], 'nothing denied passed');
    const failed = requests.filter(({ path, outcome }) => outcome !== (path === '/ok' ? '200' : '403'));
    // Kept connections each have one request in flight at most; fresh ones as many as fit into the moment.
    assert.ok(failed.length <= kills.length * (CONNECTIONS + 20), `${failed.length} failed`);
    const late = failed.filter(
      ({ start }) => !kills.some((at) => start <= at + SERVED_AGAIN_MS && start >= at - 5_000),
    );
    assert.deepEqual(late, []);
  });
});
