// Pods come and go while the mesh runs: restarts, reused addresses, edited and broken files.
//
//   client, other ── node ── server :80

import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  apps,
  curl,
  type KubeObject,
  needsRoot,
  pod,
  policy,
  ports,
  startTestMesh,
  type TestMesh,
  yaml,
} from '../mesh.ts';

const WAIT_MS = 20_000;
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
    // Many pods in a row: sooner or later every address of the former ones is used again.
    const taken = new Map<string, string>();
    let reused = 0;
    for (let round = 0; round < 6; round++) {
      // Even rounds: a pod that the policy lets in. Odd ones: one that it does not.
      const app = round % 2 === 0 ? 'client' : 'other';
      const name = `guest-${round}`;
      const guest = pod(name);
      const labelled: KubeObject = { ...guest, metadata: { name, labels: { app } } };
      await write('guest.yaml', yaml([labelled]));
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
    }
    assert.ok(reused > 0 || taken.size === 6, 'addresses are either reused or all different');
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
