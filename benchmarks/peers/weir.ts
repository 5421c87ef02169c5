// Weir: a node of this run alone, started by `weir up` from a folder of YAML.
//
//   pod client ---- node (agent, one worker) ---- pod server       nginx on 80 (the rule) and 8080 (policy changes)
//                                            \--- pod server-tcp   iperf3, sockperf, nginx on 80 (L4 policy)

import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { type NodeLayout, nodeLayout, podNetns } from '#agent/layout.ts';
import { findCgroupRoot } from '#agent/node/cgroup.ts';
import { type Bench, checkRule } from '../bench.ts';
import { leftovers } from '../leftovers.ts';
import { TCP_SERVERS } from '../load/tcp.ts';
import { HTTP_PORT, IPERF_PORT, originCommand, PROBE_PORT, SOCKPERF_PORT } from '../origin.ts';
import { RULE } from '../rule.ts';
import { type Command, output } from '../shell.ts';
import type { Peer } from './peer.ts';
import { policy } from './weir-policy.ts';

export interface WeirNode {
  readonly layout: NodeLayout;
  /** The folder of YAML. */
  readonly directory: string;
  /** Namespaces (paths) of the client, and of the server under an L4 policy. */
  readonly client: string;
  readonly serverTcpNetns: string;
  /** IPv4 addresses of the pods. */
  readonly client4: string;
  readonly server: string;
  readonly serverTcp: string;
  /** The L7 rule on port 80 of `server`. */
  readonly peer: Peer;
}

export interface WeirOptions {
  /** Tells the nodes of a run apart. */
  readonly name: string;
  /** Where all requests become spans; undefined: no spans. */
  readonly zipkinUrl: string | undefined;
}

const WEIR = join(import.meta.dirname, '../../weir');
const UP_TIMEOUT_MS = 120_000;

/** Starts a node; it is removed at the end of the run. Nodes that a killed run left behind are removed first. */
export async function startWeir(bench: Bench, { name, zipkinUrl }: WeirOptions): Promise<WeirNode> {
  await removeLeftovers(bench.signal);
  const node = `bench-${process.pid}-${name}`;
  const directory = bench.directory(`${name}-objects`);
  writeObjects(directory, (server) => originCommand(bench.directory(`${name}-origin-${server}`)));
  bench.progress(`starting weir node ${node}`);
  bench.add(node, () => down(node, AbortSignal.timeout(UP_TIMEOUT_MS)));
  const spans = zipkinUrl === undefined ? [] : ['--zipkin-url', zipkinUrl, '--sampling', '1'];
  const up: Command = [WEIR, 'up', '--detach', '--node', node, '--workers', '1', ...spans, directory];
  await output(up, { signal: bench.signal, timeoutMs: UP_TIMEOUT_MS });
  await output([WEIR, 'status', '--node', node, '--wait'], { signal: bench.signal, timeoutMs: UP_TIMEOUT_MS });
  const cgroup = findCgroupRoot();
  if (!cgroup.ok) throw new Error(cgroup.error);
  const layout = nodeLayout(node, cgroup.value);
  const [client, server, serverTcp] = ['client', 'server', 'server-tcp'].map((pod) => pathOf(layout, pod)) as [
    string,
    string,
    string,
  ];
  const address = await addressIn(server, bench.signal);
  const url = `http://${address}:${HTTP_PORT}`;
  const peer: Peer = { name: 'weir', netns: client, address, url, version: '' };
  await checkRule(peer, bench.signal, () => '');
  const [client4, serverTcp4] = [await addressIn(client, bench.signal), await addressIn(serverTcp, bench.signal)];
  return {
    layout,
    directory,
    client,
    serverTcpNetns: serverTcp,
    client4,
    server: address,
    serverTcp: serverTcp4,
    peer,
  };
}

function pathOf(layout: NodeLayout, name: string): string {
  return `/run/netns/${podNetns(layout, { namespace: 'default', name })}`;
}

/** The IPv4 address of a pod, once it has one. */
async function addressIn(netns: string, signal: AbortSignal): Promise<string> {
  for (const end = Date.now() + 15_000; Date.now() < end; await sleep(50, undefined, { signal })) {
    if (!existsSync(netns)) continue;
    const command: Command = ['nsenter', `--net=${netns}`, 'ip', '-4', '-oneline', 'address', 'show', 'eth0'];
    const text = await output(command, { signal, timeoutMs: 5_000 }).catch(() => '');
    const found = /inet ([\d.]+)/.exec(text)?.[1];
    if (found !== undefined) return found;
  }
  throw new Error(`Cannot find the address of pod ${netns}: it has none after 15 s`);
}

async function removeLeftovers(signal: AbortSignal): Promise<void> {
  for (const node of leftovers('/run/weir', /^bench-(\d+)-[a-z]+$/)) await down(node, signal);
}

async function down(node: string, signal: AbortSignal): Promise<void> {
  await output([WEIR, 'down', '--node', node], { signal, timeoutMs: UP_TIMEOUT_MS });
}

function writeObjects(directory: string, origin: (server: string) => readonly string[]): void {
  const objects = {
    client: pod('client', [['sleep', 'infinity']]),
    server: pod('server', [origin('l7')]),
    'server-tcp': pod('server-tcp', [...TCP_SERVERS.map(({ command }) => command), origin('l4')]),
    'policy-l7': policy('server', HTTP_PORT, [{ method: RULE.method, path: RULE.path }]),
    'policy-l4': policy('server-tcp', [IPERF_PORT, SOCKPERF_PORT, HTTP_PORT], undefined),
    'policy-probe': policy('server', PROBE_PORT, [{ path: '/' }]),
  };
  for (const [name, object] of Object.entries(objects))
    writeFileSync(join(directory, `${name}.yaml`), stringify(object));
}

function pod(name: string, commands: readonly (readonly string[])[]): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: name } },
    spec: { containers: commands.map((command, index) => ({ name: `main-${index}`, command })) },
  };
}
