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
import { address, addressBytes } from '#common/ip.ts';
import * as libc from '#common/native/libc.ts';
import { startTestAgent, type TestAgent } from './testing/agent.ts';
import { createTestMaps, type TestMaps } from './testing/maps.ts';
import {
  CLIENT,
  createListener,
  createNetwork,
  inNamespace,
  MARK,
  PROXY,
  removeNetwork,
  SERVER,
  SERVER_PORT,
  within,
} from './testing/network.ts';

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

/** Answers with who the client is, and with what it asked. */
const SERVER_PROGRAM = `
  require('node:http').createServer((q, s) => s.end(q.socket.remoteAddress + ' ' + q.socket.remotePort + ' ' + q.url))
    .listen(${SERVER_PORT}, '::', () => console.log('ready'));`;

const rule = (path: string) => ({ method: 'GET', path, host: '', headers: [], policy: 'default/test' });
const update = (version: number, path: string): object =>
  updateOf(version, [{ identities: [300], http: [rule(path)] }]);
const updateOf = (version: number, peers: readonly object[]): object => ({
  update: {
    version,
    full: true,
    rulesets: [{ id: 5, subject: 301, egress: false, port: 8080, peers }],
    workloads: [
      {
        address: addressBytes(address(FAMILIES[0]?.client ?? '')),
        identity: 300,
        namespace: 'default',
        pod: 'c',
        workload: 'c',
      },
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
      stdio: ['ignore', 'inherit', 'pipe', listener, maps.conntrack, maps.nodeConfig, maps.endpointAddrs],
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
      source: address(pod.client),
      sourcePort,
      destination: address(pod.server),
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

  test('audit mode of an endpoint lets pass what L3/L4 policy denies, and nothing else', async () => {
    const [audited, enforced] = FAMILIES as unknown as [Pod, Pod]; // of one identity
    maps.setEndpoint(address(audited.server), { identity: 301, audit: true });
    maps.setEndpoint(address(enforced.server), { identity: 301, audit: false });
    const denied: readonly object[][] = [
      [{ identities: [300], refused: true, http: [rule('/.*')] }],
      [{ identities: [302], http: [rule('/.*')] }],
      [{ anyPeer: true, denied: [rule('/api/.*')] }],
      [],
    ];
    const ruled: readonly object[][] = [
      [{ identities: [300], http: [rule('/other/.*')] }],
      [{ identities: [300], otherParsers: true }],
      [{ anyPeer: true, wildcard: true, denied: [rule('/api/.*')] }],
    ];
    let version = 10;
    for (const peers of [...denied, ...ruled]) {
      agent.send(updateOf(++version, peers));
      await acked(version);
      const what = JSON.stringify(peers);
      assert.match(curl(audited, '/api/x'), denied.includes(peers as object[]) ? / 200$/ : / 403$/, what);
      assert.match(curl(enforced, '/api/x'), / 403$/, what);
    }
    agent.send(updateOf(++version, []));
    await acked(version);
    maps.auditNode(true);
    assert.match(curl(enforced, '/api/x'), / 200$/, 'the whole node');
    maps.auditNode(false);
    maps.setEndpoint(address(audited.server), { identity: 301, audit: false });
    for (const pod of [audited, enforced]) assert.match(curl(pod, '/api/x'), / 403$/, 'ended');
    const records = () => agent.messages.flatMap((m) => m.records?.records ?? []);
    await until(() => records().filter((r) => r.verdict === 'VERDICT_AUDITED').length === denied.length + 1, 'records');
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
