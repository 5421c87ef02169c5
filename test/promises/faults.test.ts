// The agent and proxy workers are killed under load: nothing allowed fails that need not, nothing denied ever passes.
//
//   client ── node (2 workers) ── server :80

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { nodeLayout } from '#agent/layout.ts';
import {
  apps,
  curl,
  type KubeObject,
  needsRoot,
  POLICY_FILE,
  parseLoad,
  pod,
  policy,
  ports,
  type Running,
  startProgram,
  startTestMesh,
  type TestMesh,
  yaml,
} from '../mesh.ts';

const AGENT_KILLS = 10;
/** Requests a second and connections, in sum of both families. */
const RATE = 500;
const CONNECTIONS = 16;
const FAMILIES = [4, 6] as const;
/** What a process of the workers' user may do to them, also where root lacks the capability for it. */
const AS_WORKER = ['--reuid=65534', '--regid=65534', '--clear-groups'];
const BEGIN_MS = 20_000;
const CHANGE_MS = 5_000;
const SERVED_AGAIN_MS = 1_000;

/** /ok is allowed, /no is denied, /flip as asked. */
const allow = (flip: boolean): readonly KubeObject[] => [
  policy('p', 'server', {
    ingress: [{ fromEndpoints: apps('client'), toPorts: ports([80], [{ path: flip ? '/(ok|flip)' : '/ok' }]) }],
  }),
];

/** Resolves once a load has made its first requests. */
async function hasBegun({ seen }: Running): Promise<void> {
  for (const end = performance.now() + BEGIN_MS; seen.length < 10; await sleep(20)) {
    assert.ok(performance.now() < end, `the load has made ${seen.length} requests in ${BEGIN_MS} ms`);
  }
}

describe('processes that die', { skip: needsRoot }, () => {
  let mesh: TestMesh;
  const targets: string[] = []; // of FAMILIES
  before(async () => {
    mesh = await startTestMesh([pod('client'), pod('server', ['server.ts', '80'])]);
    for (const family of FAMILIES) targets.push(await mesh.address('server', family));
  });
  after(() => mesh?.[Symbol.asyncDispose]());

  /** A load of `rate` requests a second in sum of both families, half of them for /no. */
  const startLoads = (rate: number, more: readonly string[]): readonly Running[] =>
    targets.map((target) => {
      const url = `http://${target.includes(':') ? `[${target}]` : target}`;
      const each = ['--rate', String(rate / FAMILIES.length), '--connections', String(CONNECTIONS / FAMILIES.length)];
      const args = ['--target', url, '--paths', '/ok,/no', '--seconds', '120', ...each, ...more];
      return startProgram(mesh, 'client', ['load.ts', ...args]);
    });

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

  test(`agent killed ${AGENT_KILLS} times under ${RATE} requests/s: 0 failed, 0 wrongly passed`, async (context) => {
    await mesh.setPolicies(allow(false));
    const maps = pinned();
    assert.ok(
      maps.some((line) => line.startsWith('conntrack ')),
      maps.join(', '),
    );
    await using stack = new AsyncDisposableStack();
    const loads = [...startLoads(RATE, []), ...startLoads(20, ['--fresh'])];
    for (const load of loads) stack.use(load);
    await Promise.all(loads.map((load) => hasBegun(load)));
    const waits: number[] = [];
    for (let kill = 1; kill <= AGENT_KILLS; kill++) {
      const { pid } = await mesh.status();
      process.kill(pid, 'SIGKILL');
      const begun = performance.now();
      await mesh.until('a new agent is ready', (status) => status.ready && status.pid !== pid, 20_000);
      await mesh.setPolicies(allow(kill % 2 === 1));
      waits.push(performance.now() - begun);
      const answers = await Promise.all(targets.map((host) => curl(mesh, { from: 'client', host, path: '/flip' })));
      const wanted = kill % 2 === 1 ? 200 : 403;
      assert.deepEqual(
        answers.map(({ outcome }) => outcome),
        [wanted, wanted],
        `after kill ${kill}`,
      );
    }
    await stack.disposeAsync();
    context.diagnostic(`policy changes resumed after ${waits.map(Math.round).join(', ')} ms`);
    for (const running of loads) {
      const requests = parseLoad(running.seen);
      assert.ok(requests.length > 100, `${requests.length} requests`);
      assert.deepEqual(
        requests.filter(({ path, outcome }) => outcome !== (path === '/ok' ? '200' : '403')),
        [],
      );
    }
    assert.ok(
      waits.every((ms) => ms <= CHANGE_MS),
      `policy changes resume; ms: ${waits.map(Math.round)}`,
    );
    assert.deepEqual(pinned(), maps, 'maps were adopted');
  });

  test('a worker killed: only what was in flight fails, and new requests are served within a second', async () => {
    await mesh.setPolicies(allow(false));
    await using stack = new AsyncDisposableStack();
    const loads = [...startLoads(200, []), ...startLoads(20, ['--fresh'])];
    for (const load of loads) stack.use(load);
    await Promise.all(loads.map((load) => hasBegun(load)));
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
    await stack.disposeAsync();
    const requests = loads.flatMap(({ seen }) => parseLoad(seen));
    for (const { seen } of loads) assert.ok(seen.length > 50, `${seen.length} requests`);
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

  test('a worker that never attaches to a new agent is replaced; the policy of then is in force without it', async () => {
    await mesh.setPolicies(allow(true));
    await using stack = new AsyncDisposableStack();
    const asking = [...targets, ...targets].map((target) =>
      stack.use(startProgram(mesh, 'client', ['keep-asking.ts', target, '80', '/flip'])),
    );
    const count = ({ seen }: Running): number => seen.filter((line) => line === '200').length;
    const deadline = performance.now() + CHANGE_MS;
    while (!asking.every((running) => count(running) > 0) && performance.now() < deadline) await sleep(20);
    const { pid, workers } = await mesh.status();
    // No descriptor for another stream to the agent. Connections that exist go on.
    for (const worker of workers)
      execFileSync('setpriv', [...AS_WORKER, 'prlimit', '--pid', String(worker.pid), '--nofile=3:3']);
    process.kill(pid, 'SIGKILL');
    await writeFile(join(mesh.directory, POLICY_FILE), yaml(allow(false)));
    const before = asking.map(count);
    await sleep(1_000);
    assert.ok(
      asking.every((running, index) => count(running) > (before[index] ?? 0)),
      'the workers go on with what they know',
    );
    const now = await mesh.until('a new agent is ready', (status) => status.ready && status.pid !== pid, 45_000);
    await sleep(200); // what was printed before that has arrived
    const inForce = asking.map(count);
    for (const worker of now.workers)
      assert.ok(
        workers.every((former) => former.pid !== worker.pid),
        'it was replaced',
      );
    for (const host of targets) {
      assert.equal((await curl(mesh, { from: 'client', host, path: '/flip' })).outcome, 403);
      assert.equal((await curl(mesh, { from: 'client', host, path: '/ok' })).outcome, 200);
    }
    await sleep(1_000);
    assert.deepEqual(asking.map(count), inForce, 'nothing passes by the policy of before');
  });
});
