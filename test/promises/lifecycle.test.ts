// `up`, `down`, Ctrl-C and kill -9 in every order leave no namespace, link, cgroup, mount or process behind.
//
//   client ── node ── server :80

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { apps, curl, needsRoot, pod, policy, ports, startTestMesh, type TestMesh } from '../mesh.ts';

const ROUNDS = 20;
const OBJECTS = [
  pod('client'),
  pod('server', ['server.ts', '80']),
  policy('p', 'server', { ingress: [{ fromEndpoints: apps('client'), toPorts: ports([80], [{ path: '/' }]) }] }),
];

/** Everything on this machine that has the node's name in it. */
function tracesOf(node: string): string[] {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  const cgroups = mounts.find((line) => line.split(' ')[2] === 'cgroup2')?.split(' ')[1] ?? '';
  const list = (directory: string): string[] => {
    try {
      return readdirSync(directory);
    } catch {
      return []; // not there
    }
  };
  return [
    ...list('/run/netns').filter((name) => name.startsWith(`weir-${node}`)),
    ...list('/run/weir').filter((name) => name === node),
    ...list(cgroups).filter((name) => name === `weir-${node}`),
    ...mounts.filter((line) => line.includes(`/run/weir/${node}/`)),
    ...processesOf(node),
  ];
}

/** Processes whose command line names the node, but this test's own children. */
function processesOf(node: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
        const cgroup = readFileSync(`/proc/${pid}/cgroup`, 'utf8');
        return cgroup.includes(`/weir-${node}`) || command.includes(`--node ${node} `) ? [`${pid}: ${command}`] : [];
      } catch {
        return []; // ended meanwhile
      }
    });
}

async function expectTraceless(node: string): Promise<void> {
  // The kernel takes namespaces and processes apart after the call that removed them has returned.
  for (let i = 0; i < 150 && tracesOf(node).length > 0; i++) await sleep(100);
  assert.deepEqual(tracesOf(node), []);
}

async function expectWorks(mesh: TestMesh): Promise<void> {
  const host = await mesh.address('server', 4);
  assert.equal((await curl(mesh, { from: 'client', host })).outcome, 200);
  assert.equal((await curl(mesh, { from: 'client', host, path: '/other' })).outcome, 403);
}

describe('up and down', { skip: needsRoot }, () => {
  test(`${ROUNDS} times leave nothing, of two nodes side by side`, async () => {
    const rounds = async (suffix: string): Promise<void> => {
      for (let round = 0; round < ROUNDS / 2; round++) {
        const mesh = await startTestMesh(OBJECTS, { suffix });
        assert.ok(tracesOf(mesh.node).length > 0, 'there is something to be left behind');
        if (round === 0 || round === ROUNDS / 2 - 1) await expectWorks(mesh);
        await mesh[Symbol.asyncDispose]();
        await expectTraceless(mesh.node);
      }
    };
    await Promise.all([rounds('u'), rounds('v')]);
  });

  test('kill -9 of "up", then "down", leaves nothing', async () => {
    const mesh = await startTestMesh(OBJECTS, { suffix: 'k' });
    mesh.up.kill('SIGKILL');
    await sleep(200);
    const { code, stderr } = await mesh.weir(['down']);
    assert.equal(code, 0, stderr);
    await expectTraceless(mesh.node);
    await mesh[Symbol.asyncDispose]();
  });

  test('kill -9 of "up", then "up" again, works and doubles nothing', async () => {
    const first = await startTestMesh(OBJECTS, { suffix: 'a' });
    const namespaces = tracesOf(first.node).filter((trace) => trace.startsWith('weir-'));
    first.up.kill('SIGKILL');
    await sleep(200);
    await using second = await startTestMesh(OBJECTS, { suffix: 'a' });
    await expectWorks(second);
    assert.deepEqual(
      tracesOf(second.node).filter((trace) => trace.startsWith('weir-')),
      namespaces,
    );
    await second[Symbol.asyncDispose]();
    await expectTraceless(second.node);
    await first[Symbol.asyncDispose]();
  });

  test('a mesh of the demo or of a test goes with the process that started it', async () => {
    const script = `
      import { startTestMesh } from ${JSON.stringify(join(import.meta.dirname, '../mesh.ts'))};
      const mesh = await startTestMesh([]);
      console.log(mesh.node);
      setInterval(() => {}, 1_000);`;
    const owner = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = await once(owner.stdout, 'data');
    const node = String(line).trim();
    assert.ok(tracesOf(node).length > 0, 'there is something to be left behind');
    owner.kill('SIGKILL');
    await once(owner, 'exit');
    await expectTraceless(node);
    for (const folder of globSync(`weir-${node}-*`, { cwd: tmpdir() }))
      rmSync(join(tmpdir(), folder), { recursive: true });
  });

  test('a second "up" of a node that runs is refused and disturbs nothing', async () => {
    await using mesh = await startTestMesh(OBJECTS, { suffix: 's' });
    const { code, stderr, stdout } = await mesh.weir(['up', mesh.directory]);
    assert.notEqual(code, 0);
    assert.match(stderr + stdout, /^Cannot /m);
    await expectWorks(mesh);
  });

  test('"down" of a node that does not run says so or does nothing', async () => {
    const mesh = await startTestMesh(OBJECTS, { suffix: 'd' });
    await mesh[Symbol.asyncDispose]();
    const { stderr } = await mesh.weir(['down']);
    assert.doesNotMatch(stderr, /\n +at /, 'no stack trace');
    await expectTraceless(mesh.node);
  });
});
