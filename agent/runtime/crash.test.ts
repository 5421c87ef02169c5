// An agent that is killed at any moment while it makes and removes pods: the next one leaves nothing doubled or behind.
//
//   agent.fixture.ts (killed) ── weir-cni, weir-run ──> netns, links, cgroups, processes of pods p0..p3

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PodObject } from '#mesh-config/model.ts';
import { buildCni } from '../cni/build.ts';
import { nodeLayout } from '../layout.ts';
import { cgroupProcesses, findCgroupRoot } from '../node/cgroup.ts';
import { ipShow } from '../node/ip.ts';
import { listNetns } from '../node/netns.ts';
import { setUpNode } from '../node/setup.ts';
import { listLeftovers, tearDown } from '../node/teardown.ts';
import type { PodRow } from '../tables.ts';

const root = findCgroupRoot();
const cgroupRoot = root.ok ? root.value : '/nonexistent';
const layout = nodeLayout(`k${process.pid}`, cgroupRoot);
const PODS = 4;
const ROUNDS = 14;
/** weir-run, its init and the command. */
const PROCESSES_PER_POD = 3;

function row(name: string): PodRow {
  const meta = { namespace: 'default', name, labels: {}, annotations: {}, origin: { file: 'f', line: 1 } };
  const container = { name: 'main', command: ['sleep'], args: ['1000'], env: [], workingDir: '', ports: [] };
  const spec = { serviceAccount: 'default', containers: [container], restartPolicy: 'Always' as const };
  const object: PodObject = { kind: 'Pod', ...meta, audit: false, spec };
  return { object, workload: { kind: 'Pod', name } };
}

interface Seen {
  readonly statuses: readonly { readonly name: string; readonly ready: boolean }[];
  readonly endpoints: number;
}

function startAgent(pods: number): { child: ChildProcess; seen: () => Seen | undefined } {
  const rows = Array.from({ length: pods }, (_, i) => row(`p${i}`));
  const args = [join(import.meta.dirname, 'agent.fixture.ts'), layout.node, cgroupRoot, JSON.stringify(rows)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  return {
    child,
    seen: () => {
      const line = text.trimEnd().split('\n').at(-1);
      return line && text.endsWith('\n') ? (JSON.parse(line) as Seen) : undefined;
    },
  };
}

async function settle(pods: number, onStart: (child: ChildProcess) => void): Promise<ChildProcess> {
  const { child, seen } = startAgent(pods);
  onStart(child);
  const isSettled = (): boolean => {
    const now = seen();
    return now?.statuses.length === pods && now.statuses.every(({ ready }) => ready);
  };
  for (const deadline = Date.now() + 30_000; !isSettled(); await sleep(20)) {
    assert.ok(Date.now() < deadline, JSON.stringify(seen()));
    assert.equal(child.exitCode, null);
  }
  return child;
}

async function count(): Promise<object> {
  const links = await ipShow<{ ifname: string }>('link show type veth', { netns: layout.netnsPath });
  return {
    links: links.length,
    netns: listNetns((name) => name.startsWith(`${layout.netns}_`)).length,
    attachments: readdirSync(join(layout.stateDir, 'cni')).length,
    pods: readdirSync(layout.podsDir).length,
    cgroups: readdirSync(join(layout.cgroup, 'pods'), { withFileTypes: true }).filter((d) => d.isDirectory()).length,
    processes: cgroupProcesses(join(layout.cgroup, 'pods')).length,
  };
}

describe('runtime under kill -9', { skip: process.getuid?.() !== 0 && 'needs root' }, () => {
  let child: ChildProcess | undefined;
  const keep = (started: ChildProcess): void => {
    child = started;
  };

  before(async () => {
    await buildCni();
    await tearDown(layout);
    await setUpNode(layout);
  });
  after(async () => {
    child?.kill('SIGKILL');
    await tearDown(layout);
    assert.deepEqual(listLeftovers(layout), []);
  });

  test('agents killed at fourteen moments leave nothing doubled, and nothing when the pods go', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const agent = startAgent(round % 2 === 0 ? PODS : 1);
      await sleep(150 + round * 25);
      agent.child.kill('SIGKILL');
      await once(agent.child, 'exit');
    }
    child = await settle(PODS, keep);
    const one = { links: PODS, netns: PODS, attachments: PODS, pods: PODS, cgroups: PODS };
    assert.deepEqual(await count(), { ...one, processes: PODS * PROCESSES_PER_POD });
    child.kill('SIGKILL');
    await once(child, 'exit');
    child = await settle(0, keep);
    assert.deepEqual(await count(), { links: 0, netns: 0, attachments: 0, pods: 0, cgroups: 0, processes: 0 });
  });
});
