// `up` and `down` around a stand-in for the agent, on a real node.
//
//   weir up (child) ── lock /run/weir/u<pid>.lock, up.sock ──> agent (a script) in netns weir-u<pid>, cgroup node/agent
//   weir down ── up.sock ──┘

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { nodeLayout } from '#agent/layout.ts';
import { cgroupProcesses, enterCgroup, findCgroupRoot } from '#agent/node/cgroup.ts';
import { agentCgroup, proxyCgroup } from '#agent/node/setup.ts';
import { listLeftovers, tearDown } from '#agent/node/teardown.ts';
import { runDetached } from './detach.ts';
import { lastLines } from './log-file.ts';

const root = findCgroupRoot();
const node = `u${process.pid}`;
const layout = nodeLayout(node, root.ok ? root.value : '/nonexistent');
const dir = mkdtempSync(join(tmpdir(), 'weir-up-'));
const MAIN = join(import.meta.dirname, '../main.ts');
const RUNNER = join(dir, 'runner.mts');
const AGENT = join(dir, 'agent.mts');

// What `weir up` does, with another script in the agent's place.
writeFileSync(
  RUNNER,
  `import { runUp } from ${JSON.stringify(join(import.meta.dirname, 'up.ts'))};
   import { tell } from ${JSON.stringify(join(import.meta.dirname, 'detach.ts'))};
   const end = new AbortController();
   process.once('SIGTERM', () => end.abort());
   const [node, dir, script] = process.argv.slice(-3);
   const print = (text) => tell({ kind: 'line', text });
   const onReady = () => tell({ kind: 'ready' });
   try {
     await runUp({ node, dir, script, agentArgs: [], print, signal: end.signal, onReady });
   } catch (error) {
     print(error.message);
     process.exitCode = 1;
   }
   if (process.connected) process.disconnect();`,
);
// An agent that answers GetStatus, or ends at once if a file tells it to.
writeFileSync(
  AGENT,
  `import { existsSync, rmSync } from 'node:fs';
   import grpc from ${JSON.stringify(join(import.meta.dirname, '../../node_modules/@grpc/grpc-js/build/src/index.js'))};
   import { nodeService } from ${JSON.stringify(join(import.meta.dirname, '../../api/node.ts'))};
   if (existsSync(${JSON.stringify(join(dir, 'broken'))})) {
     console.error('Cannot work: broken');
     process.exit(7);
   }
   rmSync(${JSON.stringify(layout.agentSocket)}, { force: true });
   const server = new grpc.Server();
   server.addService(nodeService(), {
     GetStatus: (_, reply) => {
       const accepted = !existsSync(${JSON.stringify(join(dir, 'refused'))});
       const object = { kind: 'File', file: '/mesh/a.yaml', line: 1, accepted };
       const problems = accepted ? [] : [{ file: object.file, line: 4, field: 'spec', reason: 'unknown field' }];
       reply(null, { ready: accepted, pid: process.pid, objects: [{ ...object, problems }] });
     },
     List() {}, GetPod() {}, GetMetrics() {},
   });
   server.bindAsync(${JSON.stringify(`unix:${layout.agentSocket}`)}, grpc.ServerCredentials.createInsecure(), (error) => {
     if (error) throw error;
   });`,
);

interface Run {
  readonly child: ChildProcess;
  output(): string;
  readonly code: Promise<number | null>;
}

const runs: Run[] = [];

function start(command: readonly string[]): Run {
  return startCommand(process.execPath, command);
}

function startCommand(program: string, args: readonly string[]): Run {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const run = { child, output: () => output, code: once(child, 'close').then(([code]) => code as number | null) };
  runs.push(run);
  return run;
}

const up = (): Run => start([RUNNER, node, dir, AGENT]);
const down = async (): Promise<string> => {
  const run = start([MAIN, 'down', '--node', node]);
  assert.equal(await run.code, 0, run.output());
  return run.output();
};

async function until(what: string, holds: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 20_000; !holds(); await sleep(10)) {
    assert.ok(Date.now() < deadline, `${what}\n${runs.map((run) => run.output()).join('\n--\n')}`);
  }
}

describe('supervisor', { skip: process.getuid?.() !== 0 && 'needs root' }, () => {
  afterEach(async () => {
    for (const { child } of runs.splice(0)) if (child.exitCode === null) child.kill('SIGKILL');
    for (const file of ['broken', 'refused']) rmSync(join(dir, file), { force: true });
    await tearDown(layout);
    rmSync(`/run/weir/${node}.lock`, { force: true });
  });
  after(() => rmSync(dir, { recursive: true }));

  test('up makes a node and SIGTERM takes everything away', async () => {
    const run = up();
    await until('ready', () => run.output().includes('is ready'));
    assert.equal(cgroupProcesses(agentCgroup(layout)).length, 1);
    assert.ok(existsSync(`/run/weir/${node}.lock`));
    run.child.kill('SIGTERM');
    assert.equal(await run.code, 0, run.output());
    assert.deepEqual(listLeftovers(layout), []);
  });

  test('down ends a living up, and says so when there is nothing', async () => {
    const run = up();
    await until('ready', () => run.output().includes('is ready'));
    assert.match(await down(), /taken down/);
    assert.equal(await run.code, 0, run.output());
    assert.deepEqual(listLeftovers(layout), []);
    assert.match(await down(), /Nothing to take down/);
  });

  test('a second up is refused while the first lives, and adopts after its kill -9', async () => {
    const first = up();
    await until('ready', () => first.output().includes('is ready'));
    const demo = start([MAIN, 'demo', '--node', node]);
    assert.equal(await demo.code, 1);
    assert.match(demo.output(), /Cannot play the scene on node "u\d+": it runs already/);
    const refused = up();
    assert.equal(await refused.code, 1);
    assert.match(refused.output(), new RegExp(`another "weir up" runs it \\(process ${first.child.pid}\\)`));
    const [agent] = cgroupProcesses(agentCgroup(layout));
    const worker = spawn('sleep', ['1000'], { stdio: 'ignore' });
    enterCgroup(proxyCgroup(layout), worker.pid ?? 0);

    first.child.kill('SIGKILL');
    await first.code;
    assert.deepEqual(cgroupProcesses(agentCgroup(layout)), [agent]);
    const second = up();
    await until('ready', () => second.output().includes('is ready'));
    assert.match(second.output(), /adopting it/);
    assert.equal(cgroupProcesses(agentCgroup(layout)).length, 1); // the new one only
    assert.equal(worker.exitCode, null);
    second.child.kill('SIGTERM');
    assert.equal(await second.code, 0);
    assert.deepEqual(listLeftovers(layout), []);
  });

  test('down takes away what a killed up left', async () => {
    const run = up();
    await until('ready', () => run.output().includes('is ready'));
    run.child.kill('SIGKILL');
    await run.code;
    assert.match(await down(), /taken down/);
    assert.deepEqual(listLeftovers(layout), []);
  });

  test('up and down from another mount namespace do not touch a living node', async () => {
    const run = up();
    await until('ready', () => run.output().includes('is ready'));
    const elsewhere = async (command: readonly string[]): Promise<string> => {
      const script = 'mount -t tmpfs none /run && exec "$@"';
      const other = startCommand('unshare', ['--mount', 'sh', '-c', script, 'sh', process.execPath, ...command]);
      assert.equal(await other.code, 1, other.output());
      return other.output();
    };
    const { pid } = run.child;
    const holder = new RegExp(`another "weir up" runs it \\(process ${pid}, in another mount namespace\\)`);
    assert.match(await elsewhere([RUNNER, node, dir, AGENT]), holder);
    assert.match(await elsewhere([MAIN, 'down', '--node', node]), holder);
    assert.equal(run.child.exitCode, null);
    assert.equal(cgroupProcesses(agentCgroup(layout)).length, 1);
    run.child.kill('SIGTERM');
    assert.equal(await run.code, 0, run.output());
    assert.deepEqual(listLeftovers(layout), []);
  });

  test('up says which file is refused while the node runs, and that it is accepted again', async () => {
    const run = up();
    await until('ready', () => run.output().includes('is ready'));
    assert.doesNotMatch(run.output(), /Refused|Accepted/);
    writeFileSync(join(dir, 'refused'), '');
    await until('refused', () => run.output().includes('Refused: /mesh/a.yaml:4: spec: unknown field\n'));
    rmSync(join(dir, 'refused'));
    await until('accepted', () => run.output().includes('Accepted again: /mesh/a.yaml\n'));
    run.child.kill('SIGTERM');
    assert.equal(await run.code, 0, run.output());
  });

  test('an agent that is killed is started again', async () => {
    const run = up();
    await until('ready', () => run.output().includes('is ready'));
    const [agent = 0] = cgroupProcesses(agentCgroup(layout));
    process.kill(agent, 'SIGKILL');
    await until('a new agent', () => {
      const [now] = cgroupProcesses(agentCgroup(layout));
      return now !== undefined && now !== agent;
    });
    assert.match(run.output(), /Agent ended \(SIGKILL\): starting it again/);
    run.child.kill('SIGTERM');
    assert.equal(await run.code, 0);
  });

  test('an agent that cannot start ends up with its last words, and nothing stays', async () => {
    writeFileSync(join(dir, 'broken'), '');
    const run = up();
    assert.equal(await run.code, 1);
    assert.match(run.output(), /it ended 3 times \(exit code 7\).*Cannot work: broken/s);
    assert.deepEqual(listLeftovers(layout), []);
  });

  test('a detached up returns when the node is ready and goes on, and says why it cannot', async () => {
    const lines: string[] = [];
    const detach = (): Promise<void> => {
      const signal = new AbortController().signal;
      const print = (line: string): void => void lines.push(line);
      const common = { layout, print, signal, timeoutMs: 20_000, script: RUNNER };
      return runDetached({ ...common, args: [node, dir, AGENT] });
    };
    await detach();
    assert.match(lines.at(-1) ?? '', /is ready/);
    assert.equal(cgroupProcesses(agentCgroup(layout)).length, 1);
    await assert.rejects(detach(), /another "weir up" runs it/);
    assert.match(await down(), /taken down/);
    writeFileSync(join(dir, 'broken'), '');
    await assert.rejects(detach(), /it ended 3 times/);
    await until('nothing is left', () => listLeftovers(layout).length === 0);
  });

  test('up refuses what is no folder and what is no name', async () => {
    for (const [args, expected] of [
      [['--node', node, join(dir, 'none')], /is not a folder/],
      [['--node', 'a_b', dir], /Cannot use node name "a_b"/],
    ] as const) {
      const run = start([MAIN, 'up', ...args]);
      assert.equal(await run.code, 2, run.output());
      assert.match(run.output(), expected);
    }
    assert.deepEqual(listLeftovers(layout), []);
  });
});

test('lastLines reads the end of short and long files', () => {
  const file = join(tmpdir(), `weir-lines-${process.pid}`);
  writeFileSync(file, 'a\nb\nc\n');
  assert.deepEqual(lastLines(file, 2), ['b', 'c']);
  writeFileSync(file, `${'x'.repeat(99)}\n`.repeat(1000));
  assert.equal(lastLines(file, 3).join(), Array(3).fill('x'.repeat(99)).join());
  assert.equal(readFileSync(file, 'utf8').length, 100_000);
  rmSync(file);
  assert.deepEqual(lastLines(file, 2), []);
});
