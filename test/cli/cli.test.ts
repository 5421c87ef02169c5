import assert from 'node:assert/strict';
import { appendFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { sceneNode } from './node.fixture.ts';
import { start, startAs, weir } from './run.fixture.ts';

const node = await sceneNode();
after(() => node.close());

test('`weir get` prints aligned tables as people know them', async () => {
  const { code, out, err } = await node.ask('get', 'endpoints');
  assert.equal(err, '');
  assert.equal(code, 0);
  const lines = out.split('\n');
  assert.match(
    lines[0] ?? '',
    /^ENDPOINT {3}POLICY \(ingress\) {3}POLICY \(egress\) {3}IDENTITY {3}LABELS \(source:key\[=value\]\) +IPv6 +IPv4 +STATUS$/,
  );
  assert.match(out, /^10 +Enabled +Disabled +302 +k8s:class=deathstar +- +10\.244\.0\.10 +ready$/m);
  assert.match(out, /^ +k8s:io\.kubernetes\.pod\.namespace=default$/m);
});

test('`weir get` knows short names, single objects, JSON, YAML and wide output', async () => {
  const pods = await node.ask('get', 'po');
  assert.match(pods.out, /^NAMESPACE +NAME +READY +STATUS +RESTARTS +IP +NODE$/m);
  assert.match(pods.out, /^default +xwing +1\/1 +Running +2 +10\.244\.0\.12 +node0$/m);
  const json = JSON.parse((await node.ask('get', 'pods', 'xwing', '-o', 'json')).out);
  assert.deepEqual(
    [json.length, json[0].ip, json[0].ipv6, json[0].identity],
    [1, '10.244.0.12', 'fd00:10:244::12', 301],
  );
  assert.match((await node.ask('get', 'svc', '-o', 'yaml')).out, /^- namespace: default\n {2}name: deathstar$/m);
  assert.match(
    (await node.ask('get', 'policies', '-o', 'wide')).out,
    /rule1 +CiliumNetworkPolicy +Valid +1 +7 +\/mesh\/rule1\.yaml:1 +ingress/,
  );
  assert.equal((await node.ask('get', 'pods', '-n', 'kube-system')).out.trim().split('\n').length, 1);
});

test('`weir status` says that the node is ready, and what it is made of', async () => {
  const { code, out } = await node.ask('status');
  assert.equal(code, 0);
  assert.match(out, /^Ready: {5}yes$/m);
  assert.match(out, /^datapath +ok +tcx$/m);
  assert.match(out, /^conntrack +256 +1024 +25\.0 % +3 +-$/m);
  assert.match(out, /^0 +attached +77 +5 +1$/m);
});

test('`weir status` exits 1 with file, line, field and reason while something is wrong', async () => {
  const problem = {
    file: '/mesh/bad.yaml',
    line: 4,
    field: 'spec.rules[0]',
    reason: 'unknown field "x"',
    warning: false,
  };
  const row = { kind: 'CiliumNetworkPolicy', namespace: 'default', name: 'bad', file: problem.file, line: 1 };
  node.tables.objects.set('bad', { ...row, accepted: false, problems: [problem] });
  const text = await node.ask('status', '--wait', '--wait-duration', '300ms');
  const json = await node.ask('status', '-o', 'json');
  node.tables.objects.delete('bad');
  assert.equal(text.code, 1);
  assert.match(text.out, /^Ready: {5}no: CiliumNetworkPolicy bad is refused$/m);
  assert.match(
    text.out,
    /^\/mesh\/bad\.yaml:4 +CiliumNetworkPolicy default\/bad +spec\.rules\[0\] +unknown field "x"$/m,
  );
  assert.equal(json.code, 1);
  assert.equal(JSON.parse(json.out).ready, false);
});

test('`weir status --wait` ends when the node is ready', async () => {
  node.workers = () => [{ slot: 0, pid: 0, state: 'starting', version: 0, restarts: 0 }];
  const waiting = node.ask('status', '--wait', '--wait-duration', '30s');
  setTimeout(() => (node.workers = undefined), 600);
  assert.equal((await waiting).code, 0);
});

test('`weir metrics` prints all of them or those that match', async () => {
  assert.match((await node.ask('metrics')).out, /^weir_test\{a="b"\} 1$/m);
  assert.equal((await node.ask('metrics', '^hubble_')).out, '');
  assert.deepEqual(JSON.parse((await node.ask('metrics', 'weir', '-o', 'json')).out), [
    { name: 'weir_test', labels: { a: 'b' }, value: 1 },
  ]);
});

test('`weir logs` prints a log, its end, and what comes, across rotation', async () => {
  assert.equal((await node.ask('logs', 'xwing')).out, 'one\ntwo\nthree\n');
  assert.equal((await node.ask('logs', 'default/xwing', '--tail', '2')).out, 'two\nthree\n');
  assert.equal((await node.ask('logs', 'xwing', '--tail', '0')).out, '');
  const follow = start('logs', '--socket', node.socket, '-f', 'xwing', '--tail', '1');
  await follow.until('three');
  appendFileSync(node.log, 'four\n');
  renameSync(node.log, `${node.log}.1`);
  writeFileSync(node.log, 'five\n');
  await follow.until('five');
  follow.kill('SIGTERM');
  const { code, out } = await follow.done;
  assert.deepEqual([code, out], [0, 'three\nfour\nfive\n']);
});

test('`weir version` names the agent if there is one', async () => {
  assert.match((await node.ask('version')).out, /^weir \d+\.\d+\.\d+\nagent 1\.2\.3 \(node node0\)\n$/);
  assert.match((await weir('--version', '--node', 'nobody-here')).out, /^weir \d+\.\d+\.\d+\n$/);
});

const NOWHERE = join(node.folder, 'none.sock');
const FAILURES: readonly { readonly args: readonly string[]; readonly code: number; readonly err: RegExp }[] = [
  {
    args: ['status', '--socket', NOWHERE],
    code: 3,
    err: /^Cannot reach node "node0": no agent answers on .*none\.sock/,
  },
  { args: ['get', 'pods', '--node', 'nobody-here'], code: 3, err: /Cannot reach node "nobody-here"/ },
  { args: ['observe', '--socket', NOWHERE], code: 3, err: /Cannot reach node/ },
  { args: ['status', '--node', '../x'], code: 2, err: /Cannot use node name "\.\.\/x"/ },
  { args: ['get', 'secrets', '--socket', node.socket], code: 2, err: /Cannot list "secrets": not one of pods/ },
  {
    args: ['get', 'pods', 'nobody', '--socket', node.socket],
    code: 1,
    err: /Cannot show pods "nobody": there is none/,
  },
  { args: ['get', 'pods', '-o', 'xml', '--socket', node.socket], code: 2, err: /Cannot print as "xml"/ },
  { args: ['get'], code: 2, err: /missing required argument 'kind'/ },
  {
    args: ['observe', '--verdict', 'MAYBE', '--socket', node.socket],
    code: 2,
    err: /--verdict "MAYBE": not one of FORWARDED/,
  },
  { args: ['observe', '--ip', '300.1.1.1', '--socket', node.socket], code: 2, err: /^Cannot filter by --ip: / },
  { args: ['observe', '--last', 'x', '--socket', node.socket], code: 2, err: /Cannot show "x" flows/ },
  { args: ['observe', '-l', 'a b', '--socket', node.socket], code: 2, err: /^Cannot filter by --label: "a b" is not/ },
  { args: ['observe', '--all', '--last', '3', '--socket', node.socket], code: 2, err: /Cannot use --all together/ },
  { args: ['observe', '--uuid', '1', '--socket', node.socket], code: 2, err: /--uuid "1": not a UUID/ },
  { args: ['observe', '--trace-id', 'x', '--socket', node.socket], code: 2, err: /--trace-id "x": not 32 hex/ },
  { args: ['observe', '--drop-reason-desc', 'x', '--socket', node.socket], code: 2, err: /"x": not one of INVALID_/ },
  { args: ['observe', '--not', '--socket', node.socket], code: 2, err: /Cannot end with --not/ },
  { args: ['observe', '--since', 'yesterday', '--socket', node.socket], code: 2, err: /Cannot read time "yesterday"/ },
  { args: ['exec', '--socket', node.socket, 'xwing', '--', 'true'], code: 1, err: /its container is not running/ },
  {
    args: ['exec', '--socket', node.socket, 'nobody', '--', 'true'],
    code: 1,
    err: /Cannot find pod "default\/nobody"/,
  },
  { args: ['logs', 'a/b/c', '--socket', node.socket], code: 2, err: /Cannot find pod "a\/b\/c"/ },
  { args: ['metrics', '(', '--socket', node.socket], code: 2, err: /Cannot select metrics by "\("/ },
  { args: ['nonsense'], code: 2, err: /unknown command 'nonsense'/ },
  { args: ['status', '--nonsense'], code: 2, err: /unknown option '--nonsense'/ },
  { args: [], code: 2, err: /Usage: weir/ },
];

const OPTION_FAILURES: readonly { readonly option: readonly [string, string]; readonly err: RegExp }[] = [
  { option: ['--workers', 'x'], err: /--workers \(WEIR_WORKERS\): "x" is not a number from 0 to 64$/m },
  { option: ['--workers', '-1'], err: /--workers .*-1 is below 0/ },
  { option: ['--workers', '1000'], err: /--workers .*1000 is above 64/ },
  { option: ['--sampling', 'abc'], err: /--sampling .*"abc" is not a number from 0 to 1/ },
  { option: ['--sampling', '2'], err: /--sampling .*2 is above 1/ },
  { option: ['--attach-mode', 'x'], err: /--attach-mode .*"x" is not one of tcx, clsact, auto/ },
  { option: ['--log-level', 'loud'], err: /--log-level .*"loud" is not one of trace, debug, info, warn, error/ },
  { option: ['--zipkin-url', 'foo'], err: /--zipkin-url .*"foo" is not a URL of the form http:\/\/HOST:PORT/ },
  { option: ['--otlp-grpc-url', 'h:4317'], err: /--otlp-grpc-url .*"h:4317" is not a URL/ },
];
for (const { option, err } of OPTION_FAILURES) {
  test(`\`weir up ${option.join(' ')}\` is refused with one line before anything is made`, async () => {
    const run = await weir('up', '--node', `weir-o${process.pid}`, ...option, node.folder);
    assert.match(run.err, err);
    assert.deepEqual([run.code, run.out, run.err.trim().split('\n').length], [2, '', 1]);
  });
}

test('a user who may not open the socket is told so', { skip: process.getuid?.() !== 0 && 'needs root' }, async () => {
  for (const command of [['status'], ['get', 'pods'], ['observe'], ['metrics'], ['logs', 'xwing']]) {
    const { code, err } = await startAs(65_534, ...command, '--socket', node.socket).done;
    assert.match(err, /^Cannot reach node "node0": permission denied on .*agent\.sock\nRun it with sudo\./);
    assert.equal(code, 1);
  }
});

for (const { args, code, err } of FAILURES) {
  test(`\`weir ${args.join(' ').replaceAll(node.folder, '…')}\` ends with ${code}`, async () => {
    const run = await weir(...args);
    assert.match(run.err, err);
    assert.equal(run.code, code);
  });
}

test('`weir demo` takes its node from WEIR_NODE, as the other commands do', async () => {
  process.env.WEIR_NODE = 'of-mine';
  const mine = await weir('demo', '--help');
  process.env.WEIR_NODE = 'a_b';
  const refused = await weir('demo');
  delete process.env.WEIR_NODE;
  assert.match(mine.out.replace(/\s+/g, ' '), /\(default: "of-mine"\)/);
  assert.deepEqual([refused.code, refused.err.split(':')[0]], [2, 'Cannot use node name "a_b"']);
  assert.match((await weir('demo', '--help')).out.replace(/\s+/g, ' '), /\(default: "demo"\)/);
});

test('every command has --help, and --help of all names them', async () => {
  const all = await weir('--help');
  assert.equal(all.code, 0);
  for (const command of ['status', 'get', 'exec', 'logs', 'observe', 'metrics', 'version']) {
    assert.match(all.out, new RegExp(`^  ${command} `, 'm'));
    const { code, out } = await weir(command, '--help');
    assert.equal(code, 0, command);
    assert.match(out, new RegExp(`^Usage: weir ${command} `));
  }
});
