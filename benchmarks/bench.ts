// What figures work with: the scene, the peers that are running, and turns.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLifecycle } from '#common/lifecycle.ts';
import { type ServerProcess, startServer } from '../test/servers/process.ts';
import { PREFIX, removeOldDirectories } from './leftovers.ts';
import { TCP_SERVERS } from './load/tcp.ts';
import type { BenchOptions, PeerName } from './options.ts';
import { HTTP_PORT, originCommand } from './origin.ts';
import { ENVOY_VERSION, envoyCommand } from './peers/envoy.ts';
import { haproxyCommand } from './peers/haproxy.ts';
import { nginxCommand } from './peers/nginx.ts';
import { type Peer, programVersion } from './peers/peer.ts';
import type { Series } from './result.ts';
import { ALLOWED_PATH, DENIED_PATH } from './rule.ts';
import { createScene, NODE_ADDRESS, SERVER_ADDRESS } from './scene.ts';
import { type Command, inNetns, output } from './shell.ts';

export interface Bench {
  readonly options: BenchOptions;
  readonly signal: AbortSignal;
  /** Peers other than Weir, of those that were asked for. All run from the start and are idle while not measured. */
  readonly peers: readonly Peer[];
  /** A new directory of this run, removed with it. */
  directory(name: string): string;
  /** Starts a server that ends with the run. */
  serve(command: Command, ready: RegExp | undefined): Promise<ServerProcess>;
  /** Registers what must be undone at the end. */
  add(name: string, stop: () => Promise<void>): void;
  /** A line for whoever waits. */
  progress(text: string): void;
}

/** Builds the scene, starts the peers, runs `use`, and removes everything whatever happened. */
export async function withBench(
  options: BenchOptions,
  tools: Pick<Bench, 'signal' | 'progress'>,
  use: (bench: Bench) => Promise<void>,
): Promise<void> {
  const { signal, progress } = tools;
  const lifecycle = createLifecycle();
  const stopTimeoutMs = 30_000;
  try {
    removeOldDirectories();
    const top = mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`));
    lifecycle.add('directory', () => rmSync(top, { recursive: true, force: true }));
    const scene = await createScene(signal);
    lifecycle.add('namespaces', scene.remove);
    const tool: Omit<Bench, 'peers'> = {
      options,
      signal,
      progress,
      directory(name) {
        const path = join(top, name);
        mkdirSync(path, { recursive: true });
        return path;
      },
      async serve(command, ready) {
        const server = await startServer({ command, ready: ready ? [ready] : [], timeoutMs: 30_000 });
        lifecycle.add(command[0], server.stop);
        return server;
      },
      add: (name, stop) => lifecycle.add(name, stop),
    };
    for (const { command, ready } of TCP_SERVERS) await tool.serve(inNetns(scene.server, command), ready);
    await tool.serve(inNetns(scene.server, originCommand(tool.directory('origin'))), undefined);
    const peers = await startPeers(tool, scene);
    await use({ ...tool, peers });
  } finally {
    await lifecycle.stop((name, error) => progress(`Cannot remove ${name}: ${error}`), stopTimeoutMs);
  }
}

type ProxyName = Exclude<PeerName, 'no mesh' | 'weir'>;

const PROXIES: Record<
  ProxyName,
  {
    readonly port: number;
    readonly command: typeof envoyCommand | typeof nginxCommand;
    readonly version: string | Command;
  }
> = {
  nginx: { port: 8081, command: nginxCommand, version: ['nginx', '-v'] },
  haproxy: { port: 8082, command: haproxyCommand, version: ['haproxy', '-v'] },
  envoy: { port: 8083, command: envoyCommand, version: ENVOY_VERSION },
};

async function startPeers(
  bench: Omit<Bench, 'peers'>,
  scene: { readonly client: string; readonly node: string },
): Promise<Peer[]> {
  const peers: Peer[] = [];
  for (const name of bench.options.peers) {
    if (name === 'weir') continue; // figures start the nodes that they need
    if (name === 'no mesh') {
      peers.push({
        name,
        netns: scene.client,
        address: SERVER_ADDRESS,
        url: `http://${SERVER_ADDRESS}:${HTTP_PORT}`,
        version: '',
      });
      continue;
    }
    bench.progress(`starting ${name}`);
    const { port, command, version } = PROXIES[name];
    const server = await bench.serve(
      inNetns(scene.node, await command({ directory: bench.directory(name), port })),
      undefined,
    );
    const peer = {
      name,
      netns: scene.client,
      address: NODE_ADDRESS,
      url: `http://${NODE_ADDRESS}:${port}`,
      version: typeof version === 'string' ? version : await programVersion(version),
    };
    await checkRule(peer, bench.signal, server.output);
    peers.push(peer);
  }
  return peers;
}

/** Waits until a peer serves, and makes sure that it enforces the rule. `log` explains a failure. */
export async function checkRule(peer: Peer, signal: AbortSignal, log: () => string): Promise<void> {
  const wanted = [
    { path: ALLOWED_PATH, args: [], status: '200' },
    { path: DENIED_PATH, args: [], status: '403' },
    { path: ALLOWED_PATH, args: ['-XPOST'], status: '403' },
  ];
  for (const { path, args, status } of wanted) {
    const command: Command = [
      'curl',
      '-s',
      '-o',
      '/dev/null',
      '-w',
      '%{http_code}',
      '--max-time',
      '2',
      ...args,
      `${peer.url}${path}`,
    ];
    let got = '';
    for (const end = Date.now() + 15_000; got !== status && Date.now() < end; await sleep(50, undefined, { signal })) {
      got = await output(inNetns(peer.netns, command), { signal, timeoutMs: 5_000 }).catch(() => 'no reply');
      signal.throwIfAborted();
    }
    if (got !== status)
      throw new Error(`Cannot measure ${peer.name}: ${args.join('')} ${path} gave ${got}, not ${status}\n${log()}`);
  }
}

/** Measures every peer `rounds` times, in turn, each round beginning with another one. */
export async function inTurns<P extends { readonly name: string }>(
  bench: Bench,
  options: { readonly what: string; readonly peers: readonly P[]; readonly measure: (peer: P) => Promise<number> },
): Promise<Series[]> {
  const { what, peers, measure } = options;
  const values = new Map(peers.map((peer): [P, number[]] => [peer, []]));
  for (let round = 0; round < bench.options.rounds; round++) {
    for (let turn = 0; turn < peers.length; turn++) {
      const peer = peers[(round + turn) % peers.length] as P; // within the length
      bench.signal.throwIfAborted();
      const value = await measure(peer);
      values.get(peer)?.push(value);
      bench.progress(
        `${what}, round ${round + 1} of ${bench.options.rounds}: ${peer.name} ${Math.round(value).toLocaleString('en')}`,
      );
    }
  }
  return peers.map((peer) => ({ name: peer.name, values: values.get(peer) ?? [] }));
}
