// Pods come and go while the mesh runs: restarts, reused addresses, edited and broken files.
//
//   client ── node ── server :80
//                 └── guests, one after another, with one address

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { nodeLayout } from '#agent/layout.ts';
import {
  apps,
  curl,
  type KubeObject,
  needsRoot,
  pod,
  policy,
  ports,
  type Running,
  startProgram,
  startTestMesh,
  type TestMesh,
  yaml,
} from '../mesh.ts';

const WAIT_MS = 20_000;
const GUESTS = 3;
const SETTLE_MS = 2_000;
/** A pod with a label app of its own choice. */
const guestPod = (name: string, app: string, program: readonly string[] = []): KubeObject => ({
  ...pod(name, program),
  metadata: { name, labels: { app } },
});
const SERVER_POLICY = policy('p', 'server', { ingress: [{ fromEndpoints: apps('client'), toPorts: ports([80]) }] });

describe('pods that come and go', { skip: needsRoot }, () => {
  let mesh: TestMesh;
  before(async () => {
    mesh = await startTestMesh([pod('client'), pod('server', ['server.ts', '80'])]);
    await mesh.setPolicies([SERVER_POLICY]);
  });
  after(() => mesh?.[Symbol.asyncDispose]());

  const write = (file: string, text: string): Promise<void> => writeFile(join(mesh.directory, file), text);
  const rowOf = async (name: string): Promise<Readonly<Record<string, unknown>> | undefined> =>
    (await mesh.list('pods')).find((row) => row.name === name);
  const waitFor = async (what: string, holds: () => Promise<boolean>): Promise<void> => {
    const deadline = performance.now() + WAIT_MS;
    while (!(await holds())) {
      if (performance.now() > deadline) throw new Error(`Cannot see that ${what} within ${WAIT_MS} ms\n${mesh.log()}`);
      await sleep(50);
    }
  };
  const isRunning = (name: string) => async (): Promise<boolean> => (await rowOf(name))?.ready === '1/1';
  const outcomeOf = async (from: string, host: string): Promise<number | string> =>
    (await curl(mesh, { from, host, seconds: 1.5 })).outcome;

  /** Kills the agent, has `change` done while none runs, and waits for the next one. */
  const restartAgent = async (change: () => void): Promise<void> => {
    const { pid } = await mesh.status();
    process.kill(pid, 'SIGKILL');
    change(); // at once: a new agent takes longer to start than this takes
    await mesh.until('a new agent is ready', (status) => status.ready && status.pid !== pid, WAIT_MS);
  };

  test('a container that dies is started again, with the same address and the same policy', async () => {
    const address = await mesh.address('server', 4);
    const before = await rowOf('server');
    process.kill(Number(before?.pid), 'SIGKILL');
    await waitFor('the server runs again', async () => {
      const row = await rowOf('server');
      return row?.ready === '1/1' && row.pid !== before?.pid;
    });
    assert.equal(await mesh.address('server', 4), address);
    await waitFor('the server answers', async () => (await outcomeOf('client', address)) === 200);
  });

  test('an address that another pod takes over carries nothing of the former one', async () => {
    // The rotation is set back before each guest, by an agent that begins again: all of them get one address.
    const rotation = join(nodeLayout(mesh.node, '').stateDir, 'ipam.json');
    const start = readFileSync(rotation, 'utf8');
    const taken = new Map<string, string>();
    let reused = 0;
    for (let round = 0; round < GUESTS; round++) {
      // Even rounds: a pod that the policy lets in. Odd ones: one that it does not.
      const app = round % 2 === 0 ? 'client' : 'other';
      const name = `guest-${round}`;
      await write('guest.yaml', yaml([guestPod(name, app)]));
      await waitFor(`${name} runs`, isRunning(name));
      const address = await mesh.address(name, 4);
      if (taken.has(address) && taken.get(address) !== app) reused++;
      taken.set(address, app);
      for (const family of [4, 6] as const) {
        const outcome = await outcomeOf(name, await mesh.address('server', family));
        assert.equal(outcome, app === 'client' ? 200 : 'hangs', `round ${round}, ${address}, IPv${family}`);
      }
      await rm(join(mesh.directory, 'guest.yaml'));
      await waitFor(`${name} is gone`, async () => (await rowOf(name)) === undefined);
      await restartAgent(() => writeFileSync(rotation, start));
    }
    assert.equal(reused, GUESTS - 1, JSON.stringify([...taken]));
  });

  test('a connection that the proxy keeps to a pod carries nothing to the next pod with its address', async () => {
    // The former guest lets all of HTTP in, the next one only /public.
    const allow = (app: string, path: string): KubeObject =>
      policy(app, app, { ingress: [{ fromEndpoints: apps('client'), toPorts: ports([80], [{ path }]) }] });
    const rotation = join(nodeLayout(mesh.node, '').stateDir, 'ipam.json');
    const start = readFileSync(rotation, 'utf8');
    await write('guest.yaml', yaml([guestPod('former', 'former', ['server.ts', '80'])]));
    await waitFor('the former guest runs', isRunning('former'));
    await mesh.setPolicies([SERVER_POLICY, allow('former', '/.*'), allow('next', '/public')]);
    const hosts = [await mesh.address('former', 4), await mesh.address('former', 6)];
    for (const host of hosts) await waitFor(`${host} answers`, async () => (await outcomeOf('client', host)) === 200);
    const askingOf = (host: string): Running =>
      startProgram(mesh, 'client', ['keep-asking.ts', host, '80', '/private']);
    await using four = askingOf(hosts[0] ?? '');
    await using six = askingOf(hosts[1] ?? '');
    const asking = [four, six];
    await waitFor('both connections are served', async () => asking.every(({ seen }) => seen.includes('200')));

    await rm(join(mesh.directory, 'guest.yaml'));
    await waitFor('the former guest is gone', async () => (await rowOf('former')) === undefined);
    const before = asking.map(({ seen }) => seen.length);
    await restartAgent(() => writeFileSync(rotation, start));
    await write('guest.yaml', yaml([guestPod('next', 'next', ['server.ts', '80', '--log'])]));
    await waitFor('the next guest runs', isRunning('next'));
    assert.deepEqual(
      [await mesh.address('next', 4), await mesh.address('next', 6)],
      hosts,
      'the address is used again',
    );
    for (const host of hosts) {
      const outcomeAt = async (path: string): Promise<number | string> =>
        (await curl(mesh, { from: 'client', host, path, seconds: 1.5 })).outcome;
      await waitFor(`${host} answers`, async () => (await outcomeAt('/public')) === 200);
      assert.equal(await outcomeAt('/private'), 403);
    }
    await sleep(SETTLE_MS); // what the old connections still send has its time to arrive
    for (const [index, { seen }] of asking.entries()) {
      assert.ok(!seen.slice(before[index]).includes('200'), `${hosts[index]}: ${seen.slice(before[index])}`);
    }
    // The word of the next guest itself, whatever the client was answered.
    const { stdout } = await mesh.weir(['logs', 'next']);
    const served = stdout.split('\n').filter((line) => line !== '');
    assert.ok(served.includes('/public'), stdout);
    assert.ok(!served.includes('/private'), stdout);
    await mesh.setPolicies([SERVER_POLICY]);
    await rm(join(mesh.directory, 'guest.yaml'));
    await waitFor('the next guest is gone', async () => (await rowOf('next')) === undefined);
  });

  test('a broken file is refused with its place, and what was in force stays in force', async () => {
    const server = await mesh.address('server', 4);
    await write(
      'policy.yaml',
      `${yaml([SERVER_POLICY])}---\n{"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": {"name": "q"}, "spec": {"endpointSelector": 7}}\n`,
    );
    const status = await mesh.until('the problem is shown', ({ objects }) => objects.some(({ accepted }) => !accepted));
    const problems = status.objects.filter(({ accepted }) => !accepted).flatMap((object) => object.problems);
    assert.ok(
      problems.some(
        ({ file, line, field }) => file.endsWith('policy.yaml') && line >= 3 && field.includes('endpointSelector'),
      ),
      JSON.stringify(problems),
    );
    assert.equal(await outcomeOf('client', server), 200);
    await write('policy.yaml', yaml([SERVER_POLICY]));
    await mesh.until('the problem is gone', ({ ready, objects }) => ready && objects.every(({ accepted }) => accepted));
    assert.equal(await outcomeOf('client', server), 200);
  });

  test('a field that is not supported is refused by its name, never half applied', async () => {
    const { metadata, spec, ...rest } = pod('half') as { metadata: object; spec: object };
    await write('half.yaml', yaml([{ ...rest, metadata, spec: { ...spec, hostNetwork: true } }]));
    const status = await mesh.until('the refusal is shown', ({ objects }) =>
      objects.some((object) => object.file.endsWith('half.yaml') && !object.accepted),
    );
    const problems = status.objects.filter(({ accepted }) => !accepted).flatMap((object) => object.problems);
    assert.ok(
      problems.some(({ field }) => field === 'spec.hostNetwork'),
      JSON.stringify(problems),
    );
    assert.equal(await rowOf('half'), undefined);
    await rm(join(mesh.directory, 'half.yaml'));
    await mesh.until('the refusal is gone', ({ ready }) => ready);
  });
});
