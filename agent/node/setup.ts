// Makes a node: run directory, cgroups, bpffs, network namespace with addresses, settings, rules and routes.

import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Address, formatAddress } from '#common/ip.ts';
import { type NodeLayout, STEER_MARK, STEER_TABLE } from '../layout.ts';
import { mountBpffs } from './bpffs.ts';
import { ensureCgroup } from './cgroup.ts';
import { ip, ipShow } from './ip.ts';
import { isNetns } from './netns.ts';
import { applyNodeSysctls } from './sysctl.ts';

/** Before the main table, after the local one. */
const STEER_PRIORITY = 100;

interface Rule {
  readonly priority: number;
  readonly fwmark?: string;
  readonly table?: string;
}

/** Where the agent runs, apart from what it starts: the supervisor ends what is left of one before it starts the next. */
export function agentCgroup(layout: NodeLayout): string {
  return join(layout.cgroup, 'node', 'agent');
}

/** Where the proxy workers run. */
export function proxyCgroup(layout: NodeLayout): string {
  return join(layout.cgroup, 'node', 'proxy');
}

/**
 * Makes the node that `layout` names, or adopts it: what is right stays untouched, what is missing or wrong is repaired.
 * `onStep` hears of each step when it is done. Throws saying which step the machine refused.
 */
export async function setUpNode(
  layout: NodeLayout,
  onStep: (name: string, tookMs: number) => void = () => {},
): Promise<void> {
  const step = async (name: string, run: () => void | Promise<void>): Promise<void> => {
    const begun = performance.now();
    await run();
    onStep(name, performance.now() - begun);
  };
  await step('run directory', () => makeDirectories(layout));
  await step('bpf file system', () => mountBpffs(layout.bpffs));
  await step('cgroups', () => {
    for (const path of [agentCgroup(layout), proxyCgroup(layout), join(layout.cgroup, 'pods')]) ensureCgroup(path);
  });
  await step('network namespace', async () => {
    await ensureNetns(layout.netnsPath);
    applyNodeSysctls(layout.netnsPath);
  });
  await step('addresses, rules and routes', () => configure(layout));
}

/** Creates the namespace at `path` (below /run/netns), or adopts it. A leftover file that is none is replaced. */
export async function ensureNetns(path: string): Promise<void> {
  if (isNetns(path)) return;
  rmSync(path, { force: true });
  await ip([`netns add ${path.slice(path.lastIndexOf('/') + 1)}`]);
}

function makeDirectories(layout: NodeLayout): void {
  // Workers, who are not root, reach their socket through the run directory; everything beside it is root's alone.
  mkdirSync(dirname(layout.runDir), { recursive: true, mode: 0o755 });
  mkdirSync(layout.runDir, { recursive: true });
  chmodSync(layout.runDir, 0o711);
  for (const dir of [layout.stateDir, layout.podsDir]) {
    mkdirSync(dir, { recursive: true });
    chmodSync(dir, 0o700);
  }
}

async function configure(layout: NodeLayout): Promise<void> {
  const netns = layout.netnsPath;
  const [rules4, rules6] = await Promise.all([
    ipShow<Rule>('rule show', { netns, family: 4 }),
    ipShow<Rule>('rule show', { netns, family: 6 }),
  ]);
  const { node4, node6, resolver4, resolver6 } = layout.addresses;
  await ip(
    [
      'link set lo up',
      ...[node4, resolver4].map((a: Address) => `addr replace ${formatAddress(a)}/32 dev lo`),
      ...[node6, resolver6].map((a: Address) => `addr replace ${formatAddress(a)}/128 dev lo nodad`),
      `route replace local 0.0.0.0/0 dev lo table ${STEER_TABLE}`,
      `route replace local ::/0 dev lo table ${STEER_TABLE}`,
    ],
    { netns },
  );
  await Promise.all([ip(ruleCommands(rules4), { netns, family: 4 }), ip(ruleCommands(rules6), { netns, family: 6 })]);
}

/** What makes the steering rule the only one that leads to its table. A right one is never taken away for a moment. */
function ruleCommands(rules: readonly Rule[]): string[] {
  const ours = rules.filter((rule) => rule.table === `${STEER_TABLE}` || rule.priority === STEER_PRIORITY);
  const right = ours.findIndex(
    (rule) => rule.priority === STEER_PRIORITY && Number(rule.fwmark) === STEER_MARK && rule.table === `${STEER_TABLE}`,
  );
  const wrong = ours.filter((_, i) => i !== right);
  return [
    ...wrong.map(
      (rule) =>
        `rule del pref ${rule.priority}` +
        `${rule.fwmark ? ` fwmark ${rule.fwmark}` : ''}${rule.table ? ` lookup ${rule.table}` : ''}`,
    ),
    ...(right < 0 ? [`rule add fwmark ${STEER_MARK} lookup ${STEER_TABLE} pref ${STEER_PRIORITY}`] : []),
  ];
}
