// `weir exec` in a real container, with its node API in this process:
//
//   weir exec xwing -- CMD ──gRPC──> PodHandle {pid, cgroup, env}
//        └─ weir-run --join pid ─> netns weir-exec-PID (lo only), own mounts, host name, processes
//
// Needs root and weir-run; skipped without.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { fakeProviders, XWING_HANDLE } from '#agent/api/providers.fixture.ts';
import { type AgentApi, serveAgentApi } from '#agent/api/server.ts';
import { sceneTables } from '#agent/flows/scene.fixture.ts';
import { findCgroupRoot, removeCgroup } from '#agent/node/cgroup.ts';
import { createFlowRing } from '#observe/flow/ring.ts';

const MAIN = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));
const WEIR_RUN = fileURLToPath(new URL('../../agent/cni/build/weir-run', import.meta.url));
const name = `weir-exec-${process.pid}`;
const root = findCgroupRoot();
const cgroup = root.ok ? join(root.value, name) : '';
const folder = mkdtempSync(join(tmpdir(), 'weir-exec-'));
const socket = join(folder, 'agent.sock');
const unable = process.getuid?.() !== 0 ? 'needs root' : existsSync(WEIR_RUN) && root.ok ? false : 'needs weir-run';
if (unable && process.env.CI === 'true') throw new Error(`Cannot test weir exec: ${unable}`);
const options = { skip: unable } as const;
let api: AgentApi | undefined;

before(async () => {
  if (unable) return;
  execFileSync('ip', ['netns', 'add', name]);
  mkdirSync(cgroup);
  writeFileSync(join(folder, 'resolv.conf'), 'nameserver 10.96.0.10\n');
  const place = ['--cgroup', cgroup, '--netns', `/run/netns/${name}`, '--hostname', 'xwing', '--workdir', '/'];
  const files = ['--log', join(folder, 'log'), '--exit-file', join(folder, 'exit')];
  const mounts = ['--mount', `${join(folder, 'resolv.conf')}:/etc/resolv.conf`];
  const shim = spawn(WEIR_RUN, [...place, ...mounts, ...files, '--', 'sleep', '300'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [report] = await once(shim.stdout, 'data');
  const pid = Number(/^started (\d+)/.exec(String(report))?.[1]);
  assert.ok(pid > 0, String(report));
  const handle = { ...XWING_HANDLE, pid, cgroup, workingDir: '/tmp' };
  const fixed = fakeProviders();
  const providers = fakeProviders({ runtime: { ...fixed.runtime, podHandle: () => handle } });
  const node = { node: 'node0', version: '1.2.3', source: '/mesh', tables: sceneTables(), providers };
  api = await serveAgentApi({ ...node, socket, ring: createFlowRing() });
});

after(async () => {
  await api?.close();
  if (!unable) {
    await removeCgroup(cgroup);
    execFileSync('ip', ['netns', 'delete', name]);
  }
  rmSync(folder, { recursive: true });
});

interface Run {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

async function exec(command: readonly string[], input?: string): Promise<Run> {
  const child = spawn(process.execPath, [MAIN, 'exec', '--socket', socket, 'xwing', ...command], { stdio: 'pipe' });
  const text = { out: '', err: '' };
  child.stdout.on('data', (chunk) => {
    text.out += chunk;
  });
  child.stderr.on('data', (chunk) => {
    text.err += chunk;
  });
  child.stdin.end(input);
  const [code] = await once(child, 'close');
  return { code, ...text };
}

test('`weir exec` runs in the namespaces, cgroup, folder and environment of the pod', options, async () => {
  const script =
    'hostname; cat /etc/resolv.conf; ls /sys/class/net; pwd; echo $SHIP; grep -c . /proc/self/cgroup; cat /proc/1/comm';
  const { code, out, err } = await exec(['--', 'sh', '-c', script]);
  assert.equal(err, '');
  assert.equal(code, 0);
  const [hostname, nameserver, devices, folderSeen, ship, , init] = out.trim().split('\n');
  assert.deepEqual(
    [hostname, nameserver, devices, folderSeen, ship],
    ['xwing', 'nameserver 10.96.0.10', 'lo', '/tmp', 'xwing'],
  );
  assert.equal(init, 'weir-init');
});

test('`weir exec` passes standard input, both outputs and the exit code on', options, async () => {
  const { code, out, err } = await exec(['--', 'sh', '-c', 'cat; echo oops >&2; exit 7'], 'over stdin\n');
  assert.deepEqual([code, out, err], [7, 'over stdin\n', 'oops\n']);
});

test('`weir exec` takes its options after the pod, and leaves those after "--" to the command', options, async () => {
  const { code, out } = await exec(['-n', 'default', '-c', 'main', '--', 'printf', '%s ', '-n', 'x', '--help', '--']);
  assert.deepEqual([code, out], [0, '-n x --help -- ']);
  assert.equal((await exec(['printf', 'plain'])).out, 'plain');
  assert.equal((await exec(['printf', '--nonsense'])).code, 2);
});

test('`weir exec` ends with 128 + signal, and with 127 for what is not there', options, async () => {
  assert.equal((await exec(['--', 'sh', '-c', 'kill -TERM $$'])).code, 143);
  const missing = await exec(['--', 'no-such-command']);
  assert.equal(missing.code, 127);
  assert.match(missing.err, /Cannot start "no-such-command"/);
});

test('`weir exec` gives the command the terminal it has itself', options, (t) => {
  if (!existsSync('/usr/bin/script')) return t.skip('needs script(1)');
  const command = [
    process.execPath,
    MAIN,
    'exec',
    '--socket',
    socket,
    'xwing',
    '--',
    'sh',
    '-c',
    '"test -t 0 && test -t 1 && echo has a terminal"',
  ];
  return new Promise<void>((resolve, reject) => {
    const file = join(folder, 'typescript');
    const child = spawn('script', ['-qec', command.join(' '), file], { stdio: 'ignore' });
    child.once('error', reject);
    child.once('close', (code) => {
      try {
        assert.match(readFileSync(file, 'utf8'), /has a terminal/);
        assert.equal(code, 0);
        resolve();
      } catch (error) {
        reject(error);
      }
    });
  });
});

test('`weir exec` leaves nothing behind in the pod', options, async () => {
  const { out } = await exec(['--', 'sh', '-c', 'ls -d /proc/[0-9]* | wc -l']);
  // weir-init, sleep, sh, ls, wc
  assert.ok(Number(out) <= 5, out);
});
