// A whole worker process, unprivileged, between two pods.
//
//   weir-px<pid>c  10.9.1.2, fd00:9:1::2       weir-px<pid>p          weir-px<pid>s  10.9.2.2, fd00:9:2::2
//   client, curl   c0 -------------------- c1  worker  s1 -------------------- s0   server, port 8080
//
// Steering is done by routing here: what comes in through c1 or s1 is taken for local. The worker's listener has the
// server's port on every address. Needs root.

import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { CT_DENIED, CT_STEERED } from '#bpf/abi.ts';
import { type Address, address } from '#common/ip.ts';
import * as libc from '#common/native/libc.ts';
import { startTestAgent, type TestAgent } from './testing/agent.ts';
import { createTestMaps, type TestMaps } from './testing/maps.ts';

const NAME = `weir-px${process.pid}`;
const [CLIENT, PROXY, SERVER] = ['c', 'p', 's'].map((letter) => `${NAME}${letter}`) as [string, string, string];
const SERVER_PORT = 8080;
const MARK = 0xb00;
const TOP = fileURLToPath(new URL('..', import.meta.url));
/** Shows this checkout to everybody at another place: it may lie below a folder that only its owner may enter. */
const STAGED = [
  'unshare',
  '--mount',
  '--propagation=private',
  'sh',
  '-c',
  'mount --bind "$0" "$1" && shift && exec "$@"',
];
const UNPRIVILEGED = `setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all,+net_raw
  --ambient-caps=-all,+net_raw --bounding-set=-all,+net_raw --no-new-privs --`.split(/\s+/);
const FAMILIES = [
  { name: 'IPv4', client: '10.9.1.2', server: '10.9.2.2', url: 'http://10.9.2.2:8080' },
  { name: 'IPv6', client: 'fd00:9:1::2', server: 'fd00:9:2::2', url: 'http://[fd00:9:2::2]:8080' },
];

const ip = (...args: readonly string[]): void => void execFileSync('ip', args, { stdio: 'pipe' });
const inNamespace = (name: string): string[] => ['nsenter', `--net=/run/netns/${name}`];

function createNetwork(): void {
  for (const name of [CLIENT, PROXY, SERVER]) {
    ip('netns', 'add', name);
    ip('-n', name, 'link', 'set', 'lo', 'up');
  }
  for (const [letter, pod, net] of [
    ['c', CLIENT, 1],
    ['s', SERVER, 2],
  ] as const) {
    ip('-n', pod, 'link', 'add', `${letter}0`, 'type', 'veth', 'peer', 'name', `${letter}1`, 'netns', PROXY);
    for (const [namespace, device, host] of [
      [pod, `${letter}0`, 2],
      [PROXY, `${letter}1`, 1],
    ] as const) {
      ip('-n', namespace, 'link', 'set', device, 'up');
      ip('-n', namespace, 'addr', 'add', `10.9.${net}.${host}/24`, 'dev', device);
      ip('-n', namespace, 'addr', 'add', `fd00:9:${net}::${host}/64`, 'dev', device, 'nodad');
    }
    ip('-n', pod, 'route', 'add', 'default', 'via', `10.9.${net}.1`);
    ip('-n', pod, '-6', 'route', 'add', 'default', 'via', `fd00:9:${net}::1`);
    for (const family of ['-4', '-6']) ip('-n', PROXY, family, 'rule', 'add', 'iif', `${letter}1`, 'lookup', '100');
  }
  for (const family of ['-4', '-6'])
    ip('-n', PROXY, family, 'route', 'add', 'local', 'default', 'dev', 'lo', 'table', '100');
}

function removeNetwork(): void {
  for (const name of [CLIENT, PROXY, SERVER]) {
    try {
      ip('netns', 'del', name);
    } catch {} // was never there
  }
}

/** Runs `make` in a network namespace; sockets stay in the one they were made in. */
function within<T>(name: string, make: () => T): T {
  const here = libc.open('/proc/thread-self/ns/net', libc.OPEN.RDONLY, 0);
  const there = libc.open(`/run/netns/${name}`, libc.OPEN.RDONLY, 0);
  if (libc.setns(there, libc.CLONE.NEWNET) < 0) throw libc.callError('enter namespace');
  try {
    return make();
  } finally {
    libc.setns(here, libc.CLONE.NEWNET);
    libc.close(here);
    libc.close(there);
  }
}

function createListener(): number {
  const { AF, SOCK, SOL, SO, IP, IPV6 } = libc;
  const fd = libc.socket(AF.INET6, SOCK.STREAM | SOCK.NONBLOCK | SOCK.CLOEXEC, 0);
  const one = libc.int32(1);
  libc.setsockopt(fd, SOL.IP, IP.TRANSPARENT, one, 4);
  libc.setsockopt(fd, SOL.IPV6, IPV6.TRANSPARENT, one, 4);
  libc.setsockopt(fd, SOL.SOCKET, SO.MARK, libc.int32(MARK), 4);
  const sockaddr = new Uint8Array(libc.SOCKADDR_SIZE);
  sockaddr[0] = AF.INET6;
  sockaddr[2] = SERVER_PORT >> 8;
  sockaddr[3] = SERVER_PORT & 255;
  if (libc.bind(fd, sockaddr, sockaddr.length) < 0 || libc.listen(fd, 128) < 0) throw libc.callError('listen');
  return fd;
}

/** Answers with who the client is, and with what it asked. */
const SERVER_PROGRAM = `
  require('node:http').createServer((q, s) => s.end(q.socket.remoteAddress + ' ' + q.socket.remotePort + ' ' + q.url))
    .listen(${SERVER_PORT}, '::', () => console.log('ready'));`;

const rule = (path: string) => ({ method: 'GET', path, host: '', headers: [], policy: 'default/test' });
const update = (version: number, path: string): object => ({
  update: {
    version,
    full: true,
    rulesets: [{ id: 5, subject: 301, egress: false, port: 8080, peers: [{ identities: [300], http: [rule(path)] }] }],
    workloads: [
      { address: address(FAMILIES[0]?.client ?? ''), identity: 300, namespace: 'default', pod: 'c', workload: 'c' },
    ],
  },
});

const skip = process.getuid?.() === 0 ? false : 'needs root';

describe('a worker', { skip }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'weir-worker-'));
  const socketPath = join(directory, 'proxy.sock');
  const stage = join(directory, 'checkout');
  let maps: TestMaps;
  let listener: number;
  let agent: TestAgent;
  let server: ChildProcess;
  let worker: ChildProcess;
  let log = '';
  let port = 20000;

  function startWorker(): ChildProcess {
    const node = process.execPath.replace(TOP, `${stage}/`);
    const command = [...inNamespace(PROXY), ...STAGED, TOP, stage, ...UNPRIVILEGED, node, join(stage, 'proxy/main.ts')];
    const options = ['--slot=0', `--control=${socketPath}`, '--metrics-port=9970'];
    const child = spawn(command[0] ?? '', [...command.slice(1), ...options], {
      stdio: ['ignore', 'inherit', 'pipe', listener, maps.conntrack, maps.nodeConfig],
    });
    child.stderr?.on('data', (data) => {
      log += data;
    });
    return child;
  }

  const until = async (condition: () => boolean, what: string): Promise<void> => {
    const late = AbortSignal.timeout(10_000);
    while (!condition()) {
      assert.equal(late.aborted, false, `Cannot wait for ${what}: it does not come; log: ${log}`);
      await sleep(5);
    }
  };
  const acked = (version: number) => until(() => agent.messages.some((m) => m.ack?.version === version), 'ack');

  interface Pod {
    readonly client: string;
    readonly server: string;
    readonly url: string;
  }
  /** A request by a real client, from a port that conntrack knows as steered, unless `known` is false. */
  function curl(pod: Pod, path: string, options: { known?: boolean; flags?: number } = {}): string {
    const sourcePort = ++port;
    const connection = {
      source: address(pod.client) as Address,
      sourcePort,
      destination: address(pod.server) as Address,
      destinationPort: SERVER_PORT,
      egressRuleset: 0,
      ingressRuleset: 5,
      revision: 1,
      flags: options.flags ?? CT_STEERED,
    };
    if (options.known !== false) maps.steer(connection);
    const [program = '', ...args] = [
      ...inNamespace(CLIENT),
      'curl',
      '-sS',
      '-m',
      '3',
      '--local-port',
      String(sourcePort),
    ];
    try {
      return execFileSync(program, [...args, '-w', ' %{http_code}', pod.url + path], { stdio: 'pipe' }).toString();
    } catch (error) {
      return `failed ${(error as { status: number }).status}`;
    }
  }

  before(async () => {
    chmodSync(directory, 0o755);
    mkdirSync(stage);
    removeNetwork();
    createNetwork();
    maps = createTestMaps(MARK);
    listener = within(PROXY, createListener);
    agent = await startTestAgent(socketPath, update(1, '/api/.*'));
    const [program = '', ...args] = inNamespace(SERVER);
    server = spawn(program, [...args, process.execPath, '-e', SERVER_PROGRAM], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(server.stdout as NonNullable<typeof server.stdout>, 'data');
    worker = startWorker();
    await acked(1);
  });

  after(async () => {
    worker?.kill('SIGKILL');
    server?.kill('SIGKILL');
    await agent?.[Symbol.asyncDispose]();
    if (listener !== undefined) libc.close(listener);
    maps?.[Symbol.dispose]();
    removeNetwork();
    rmSync(directory, { recursive: true });
  });

  test('runs as nobody, with CAP_NET_RAW and nothing else', () => {
    const status = readFileSync(`/proc/${worker.pid}/status`, 'utf8');
    const field = (name: string): string => new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(status)?.[1] ?? '';
    assert.equal(field('Uid'), '65534');
    for (const set of ['CapPrm', 'CapEff', 'CapBnd', 'CapInh', 'CapAmb']) {
      assert.equal(Number.parseInt(field(set), 16), 1 << 13, set);
    }
    assert.equal(field('NoNewPrivs'), '1');
  });

  for (const family of FAMILIES) {
    test(`lets an allowed request over ${family.name} reach the server from the client's own address and port`, () => {
      const [from, fromPort, path, status] = curl(family, '/api/x').split(' ');
      assert.equal(from?.replace('::ffff:', ''), family.client);
      assert.equal(Number(fromPort), port);
      assert.equal(`${path} ${status}`, '/api/x 200');
    });

    test(`denies another request over ${family.name}`, () => {
      assert.equal(curl(family, '/secret'), 'Access denied\r\n 403');
    });

    test(`closes a connection over ${family.name} that is not steered`, () => {
      assert.match(curl(family, '/api/x', { known: false }), /^failed (52|56)$/);
      assert.match(curl(family, '/api/x', { flags: 0 }), /^failed (52|56)$/);
      assert.match(curl(family, '/api/x', { flags: CT_STEERED | CT_DENIED }), /^failed (52|56)$/);
    });
  }

  test('says what it saw to the agent', async () => {
    const records = () => agent.messages.flatMap((m) => m.records?.records ?? []);
    await until(() => records().some((r) => r.status === 403) && records().some((r) => r.status === 200), 'records');
    const denied = records().find((r) => r.status === 403);
    assert.equal(denied?.verdict, 'VERDICT_DENIED');
    assert.equal(denied?.path, '/secret');
    assert.equal(denied?.sourceIdentity, 300);
    assert.deepEqual(denied?.policies, ['default/test']);
  });

  test('serves metrics on loopback', async () => {
    const [program = '', ...args] = inNamespace(PROXY);
    const text = execFileSync(program, [...args, 'curl', '-sS', 'http://127.0.0.1:9970/metrics']).toString();
    assert.match(text, /^cilium_policy_l7_total\{rule="denied",proxy_type="envoy"\} [1-9]/m);
    assert.match(text, /^cilium_proxy_upstream_reply_seconds_count\{.*\} [1-9]/m);
    assert.match(text, /^weir_proxy_connections_total\{event="not_steered"\} [1-9]/m);
  });

  test('a change of rules holds for the next request, also when the agent comes back from being away', async () => {
    await agent[Symbol.asyncDispose]();
    assert.match(curl(FAMILIES[0] as Pod, '/api/x'), / 200$/); // goes on with the last state
    agent = await startTestAgent(socketPath, update(2, '/other/.*'));
    await acked(2);
    assert.ok(agent.messages.some((m) => m.hello?.version === 1));
    assert.match(curl(FAMILIES[0] as Pod, '/api/x'), / 403$/);
    assert.match(curl(FAMILIES[0] as Pod, '/other/x'), / 200$/);
  });

  test('ends by itself when told to drain', async () => {
    worker.kill('SIGTERM');
    const [code] = await once(worker, 'exit');
    assert.equal(code, 0, log);
  });

  test('accepts nothing before it has rules', async () => {
    await agent[Symbol.asyncDispose]();
    worker = startWorker();
    await until(() => log.split('worker starts').length > 2, 'start');
    await sleep(300);
    const failed = curl(FAMILIES[0] as Pod, '/other/x');
    assert.equal(failed, 'failed 28');
    agent = await startTestAgent(socketPath, update(3, '/.*'));
    await acked(3);
    assert.match(curl(FAMILIES[0] as Pod, '/other/x'), / 200$/);
  });
});
