// weir-run by itself: what a container sees, how it ends, and who hears of it.
//
//   this test ── weir-run (stays) ── init (pid 1) ── command     netns weir-w<pid>, cgroup weir-w<pid>

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { cgroupProcesses, ensureCgroup, findCgroupRoot, removeCgroup } from '../node/cgroup.ts';
import { ensureNetns } from '../node/setup.ts';
import { removeNetns } from '../node/teardown.ts';
import { buildCni, WEIR_RUN } from './build.ts';

const root = findCgroupRoot();
const cgroup = `${root.ok ? root.value : '/nonexistent'}/weir-w${process.pid}`;
const netns = `/run/netns/weir-w${process.pid}`;
const dir = mkdtempSync(join(tmpdir(), 'weir-run-'));
const [log, exitFile] = [join(dir, 'log'), join(dir, 'exit')];
const LOG_BYTES = 10_000;

interface Container {
  readonly child: ChildProcess;
  /** The first line of weir-run's report. */
  readonly report: Promise<string>;
  readonly code: Promise<number | null>;
}

function start(command: readonly string[], more: readonly string[] = []): Container {
  const place = ['--cgroup', cgroup, '--netns', netns, '--hostname', 'box', '--workdir', '/tmp'];
  const files = ['--log', log, '--log-bytes', `${LOG_BYTES}`, '--exit-file', exitFile];
  const args = [...place, ...files, ...more, ...(command.length > 0 ? ['--', ...command] : [])];
  const child = spawn(WEIR_RUN, args, { stdio: ['ignore', 'pipe', 'ignore'], detached: true });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  return {
    child,
    report: once(child.stdout, 'end').then(() => text.trim()),
    code: once(child, 'close').then(([code]) => code as number | null),
  };
}

async function untilEmpty(): Promise<void> {
  for (const deadline = Date.now() + 10_000; cgroupProcesses(cgroup).length > 0; await sleep(5)) {
    assert.ok(Date.now() < deadline, `still there: ${cgroupProcesses(cgroup)}`);
  }
}

describe('weir-run', { skip: process.getuid?.() !== 0 && 'needs root' }, () => {
  before(async () => {
    await buildCni();
    ensureCgroup(cgroup);
    await ensureNetns(netns);
  });
  beforeEach(() => {
    for (const file of [log, `${log}.1`, exitFile]) rmSync(file, { force: true });
  });
  after(async () => {
    await removeCgroup(cgroup);
    await removeNetns([basename(netns)]);
    rmSync(dir, { recursive: true });
  });

  test('gives a command its own host name, processes, network, files and few capabilities', async () => {
    writeFileSync(join(dir, 'names'), 'mounted\n');
    const show = 'hostname; pwd; cat /etc/hosts; ls /sys/class/net; ls /run/netns | wc -l; echo /proc/[0-9]*; id -u';
    const write =
      'echo 1 2>/dev/null >/proc/sys/kernel/printk || echo sealed; grep CapBnd /proc/self/status; echo e >&2';
    const box = start(
      ['sh', '-c', `${show}; ${write}; exit 3`],
      ['--mount', `${join(dir, 'names')}:/etc/hosts`, '--hide', '/run/netns'],
    );
    assert.match(await box.report, /^started \d+$/);
    assert.equal(await box.code, 3);
    assert.equal(readFileSync(exitFile, 'utf8'), '3 \n');
    assert.deepEqual(readFileSync(log, 'utf8').trimEnd().split('\n'), [
      ...['box', '/tmp', 'mounted', 'lo', '0', '/proc/1 /proc/2', '0', 'sealed', 'CapBnd:\t00000000a00425fb', 'e'],
    ]);
  });

  const failures = [
    { name: 'no such program', command: ['/none'], more: [], reason: /Cannot start "\/none": No such file/ },
    { name: 'no such folder', command: ['ls'], more: ['--workdir', '/none'], reason: /working directory "\/none"/ },
    { name: 'no such namespace', command: ['ls'], more: ['--netns', '/none'], reason: /network namespace "\/none"/ },
    { name: 'no such cgroup', command: ['ls'], more: ['--cgroup', '/none'], reason: /Cannot enter cgroup "\/none"/ },
    {
      name: 'no such file to mount',
      command: ['ls'],
      more: ['--mount', '/none:/etc/hosts'],
      reason: /Cannot mount "\/none"/,
    },
  ];
  for (const { name, command, more, reason } of failures) {
    test(`says why it cannot start: ${name}`, async () => {
      const box = start(command, more);
      assert.match(await box.report, reason);
      assert.equal(await box.code, 127);
      await untilEmpty();
    });
  }

  test('hears of a command that ends at once, every time', async () => {
    for (let round = 0; round < 20; round++) {
      const boxes = Array.from({ length: 10 }, () => start(['/none']));
      const codes = await Promise.all(boxes.map(({ code }) => code));
      assert.deepEqual(codes, Array(10).fill(127));
    }
    await untilEmpty();
  });

  test('passes SIGTERM on to the command and its children', async () => {
    const box = start(['sh', '-c', 'sleep 1000 & sleep 1000']);
    await box.report;
    box.child.kill('SIGTERM');
    assert.equal(await box.code, 128 + 15);
    await untilEmpty();
  });

  test('takes in orphans, and ends them with the command', async () => {
    const box = start(['sh', '-c', 'setsid sleep 1000 & sleep 0.1']);
    assert.equal(await box.code, 0);
    await untilEmpty();
  });

  test('a container does not outlive its weir-run', async () => {
    const box = start(['sleep', '1000']);
    await box.report;
    box.child.kill('SIGKILL');
    await untilEmpty();
    assert.ok(!existsSync(exitFile));
  });

  test('keeps the log bounded, and its newest part', async () => {
    const box = start(['sh', '-c', 'i=0; while [ $i -lt 3000 ]; do echo "line $i"; i=$((i + 1)); done']);
    assert.equal(await box.code, 0);
    assert.match(readFileSync(log, 'utf8'), /line 2999\n$/);
    // What comes in one read stays together, so a file may be over by less than a pipe holds.
    for (const file of [log, `${log}.1`]) assert.ok(statSync(file).size <= LOG_BYTES + 65_536);
    assert.ok(statSync(log).size + statSync(`${log}.1`).size <= 3000 * 10);
  });

  test('without a command it holds the namespaces until it is told to end', async () => {
    const box = start([]);
    const pid = /^started (\d+)$/.exec(await box.report)?.[1] ?? '';
    const join = (...command: string[]): ReturnType<typeof spawnSync> =>
      spawnSync(WEIR_RUN, ['--join', pid, '--cgroup', cgroup, '--', ...command], { encoding: 'utf8' });
    assert.equal(join('hostname').stdout, 'box\n');
    assert.equal(join('sh', '-c', 'exit 9').status, 9);
    assert.equal(join('sh', '-c', 'kill -9 $$').status, 128 + 9);
    const missing = join('/none');
    assert.equal(missing.status, 127);
    assert.match(`${missing.stderr}`, /Cannot start "\/none"/);
    box.child.kill('SIGTERM');
    assert.equal(await box.code, 0);
    await untilEmpty();
  });

  test('refuses what it does not know', () => {
    for (const args of [['--what', 'x'], ['--netns'], ['--cgroup', cgroup], ['--join', '1', '--cgroup', cgroup]]) {
      const { status, stderr } = spawnSync(WEIR_RUN, args, { encoding: 'utf8' });
      assert.equal(status, 2);
      assert.match(stderr, /^Cannot run: option/);
    }
  });
});
