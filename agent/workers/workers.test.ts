// Supervision with a stand-in worker: a script that accepts on descriptor 3 and answers with its pid.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import * as libc from '#common/native/libc.ts';
import { nodeLayout } from '../layout.ts';
import { ensureCgroup, findCgroupRoot, removeCgroup } from '../node/cgroup.ts';
import { proxyCgroup } from '../node/setup.ts';
import { superviseWorkers, type WorkerHooks } from './workers.ts';

const root = findCgroupRoot();
const isRoot = process.getuid?.() === 0 && root.ok;
const skip = isRoot ? false : 'needs root and cgroup v2';
const layout = { ...nodeLayout(`workers${process.pid}`, root.ok ? root.value : '/nonexistent') };
const dir = mkdtempSync(join(tmpdir(), 'weir-workers-'));
const local = { ...layout, runDir: dir, stateDir: join(dir, 'state') };

before(() => {
  mkdirSync(local.stateDir);
  writeFileSync(
    join(dir, 'worker.mjs'),
    `import net from 'node:net';
     net.createServer((c) => c.end(String(process.pid))).listen({ fd: 3 });`,
  );
  if (isRoot) ensureCgroup(proxyCgroup(local));
});
after(async () => {
  if (isRoot) await removeCgroup(local.cgroup);
  rmSync(dir, { recursive: true });
});

function portOf(fd: number): number {
  const sockaddr = new Uint8Array(libc.SOCKADDR_SIZE);
  const length = new Uint8Array(new Uint32Array([sockaddr.length]).buffer);
  libc.getsockname(fd, sockaddr, length);
  return libc.decodeSockaddr(sockaddr).port;
}

function ask(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    createConnection(port, '::1')
      .on('data', (data) => {
        text += data;
      })
      .on('end', () => resolve(text))
      .on('error', reject)
      .setTimeout(5_000, () => reject(new Error('Cannot get an answer: none after 5 s')));
  });
}

test('superviseWorkers starts, adopts and replaces workers without losing a waiting connection', { skip }, async () => {
  const ports = new Map<number, number>();
  const nothing = openSync('/dev/null', 'r');
  const hooks: WorkerHooks = {
    setListener: (slot, fd) => void ports.set(slot, portOf(fd)),
    inherited: [nothing, nothing, nothing],
    command: () => [process.execPath, join(dir, 'worker.mjs')],
  };
  const first = superviseWorkers({ count: 2, layout: local, hooks });
  const pids = first.states().map((state) => state.pid);
  assert.ok(pids.every((pid) => pid > 0));
  assert.equal(await ask(ports.get(0) ?? 0), String(pids[0]));

  process.kill(pids[0] ?? 0, 'SIGKILL');
  await sleep(20); // no worker accepts now
  const answered = await ask(ports.get(0) ?? 0);
  assert.notEqual(answered, String(pids[0]));
  assert.equal(first.states()[0]?.restarts, 1);
  first.release();

  const second = superviseWorkers({ count: 2, layout: local, hooks });
  assert.deepEqual(
    second.states().map((state) => String(state.pid)),
    [answered, String(pids[1])],
  );
  // The new agent has a copy of the adopted worker's listener: its end is no more visible than a child's.
  const port = ports.get(1);
  process.kill(pids[1] ?? 0, 'SIGKILL');
  const waiting = ask(port ?? 0);
  for (let i = 0; i < 100 && second.states()[1]?.restarts !== 1; i++) await sleep(20);
  assert.equal(await waiting, String(second.states()[1]?.pid));
  assert.equal(ports.get(1), port);
  second.release();
});

test('superviseWorkers points the slot of a worker that cannot run at another one', { skip }, async () => {
  const server = createServer().listen(0, '::1');
  const listeners = new Map<number, number>();
  const nothing = openSync('/dev/null', 'r');
  rmSync(join(local.stateDir, 'workers.json'), { force: true });
  const workers = superviseWorkers({
    count: 2,
    layout: local,
    hooks: {
      setListener: (slot, fd) => void listeners.set(slot, portOf(fd)),
      inherited: [nothing, nothing, nothing],
      command: (slot) => (slot === 0 ? [process.execPath, join(dir, 'worker.mjs')] : ['/bin/false']),
    },
  });
  for (let i = 0; i < 100 && (workers.states()[1]?.restarts ?? 0) < 4; i++) await sleep(20);
  assert.ok((workers.states()[1]?.restarts ?? 0) >= 3);
  for (let i = 0; i < 100 && listeners.get(1) !== listeners.get(0); i++) await sleep(20);
  assert.equal(listeners.get(1), listeners.get(0));
  workers.release();
  server.close();
});
