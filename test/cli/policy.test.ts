import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { PODS, policy } from '#agent/explain/mesh.fixture.ts';
import { sceneNode } from './node.fixture.ts';
import { type Run, weir } from './run.fixture.ts';

const folder = mkdtempSync(join(tmpdir(), 'weir-policy-cli-'));
const node = await sceneNode();
after(async () => {
  await node.close();
  rmSync(folder, { recursive: true });
});

const file = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
const mesh = file('mesh.yaml', PODS);
const good = file(
  'good.yaml',
  policy(
    'api',
    'api',
    `ingress:
  - fromEndpoints: [{ matchLabels: { app: web } }]
    toPorts: [{ ports: [{ port: "8080", protocol: TCP }], rules: { http: [{ method: GET, path: /v1 }] } }]`,
  ),
);
const wrong = file('wrong.yaml', policy('wrong', 'api', 'ingress: [{ fromEndpoint: [{}] }]'));
const doubtful = file('doubtful.yaml', policy('doubtful', 'api', 'ingress: [{ fromEndpoints: [] }]'));
const ask = (...args: string[]): Promise<Run> => weir('policy', ...args);

test('`weir policy validate` ends with 0, 1 or 2', async () => {
  const cases: { args: string[]; code: number; out?: RegExp; err?: RegExp }[] = [
    { args: [good], code: 0, out: /^1 object valid in 1 file, 0 problems, 0 warnings\.\n$/ },
    {
      args: [wrong],
      code: 1,
      out: /wrong\.yaml:6 +CiliumNetworkPolicy default\/wrong +spec\.ingress\[0\]\.fromEndpoint +unknown field "fromEndpoint", did you mean "fromEndpoints"\?/,
    },
    { args: [doubtful], code: 0, out: /^Warnings:\n.*doubtful\.yaml:6 .*0 problems, 1 warning\.\n$/s },
    { args: [doubtful, '--strict'], code: 1, out: /1 warning/ },
    { args: [folder], code: 1, out: /^Refused:\n.*Warnings:\n/s },
    { args: [join(folder, 'nowhere')], code: 2, err: /there is no such file or folder/ },
    { args: [mkdtempSync(join(folder, 'empty-'))], code: 2, err: /no \*\.yaml, \*\.yml or \*\.json is there/ },
    { args: [file('blank.yaml', '# nothing\n')], code: 2, err: /no object is in it/ },
    { args: [good, '-o', 'xml'], code: 2, err: /not one of table, json/ },
    { args: [], code: 2, err: /missing required argument/ },
  ];
  for (const { args, code, out = /^/, err = /^$/ } of cases) {
    const run = await ask('validate', ...args);
    assert.equal(run.code, code, `${args.join(' ')}: ${run.out}${run.err}`);
    assert.match(run.out, out);
    assert.match(run.err, err);
  }
});

test('`weir policy validate -o json` tells problems from warnings', async () => {
  const { code, out } = await ask('validate', good, wrong, doubtful, '-o', 'json');
  const report = JSON.parse(out);
  assert.equal(code, 1);
  assert.equal(report.valid, false);
  assert.deepEqual(
    report.objects.map(({ object }: { object: string }) => object),
    ['CiliumNetworkPolicy default/api', 'CiliumNetworkPolicy default/doubtful'],
  );
  assert.deepEqual(
    [report.problems.length, report.problems[0].file, report.problems[0].line, report.problems[0].field],
    [1, wrong, 6, 'spec.ingress[0].fromEndpoint'],
  );
  assert.equal(report.warnings[0].object, 'CiliumNetworkPolicy default/doubtful');
});

test('`weir policy explain -f` answers from files', async () => {
  const run = await ask('explain', '-f', mesh, '-f', good, '--from', 'db', '--to', 'api', '--port', 'http');
  assert.deepEqual([run.code, run.err], [0, '']);
  assert.match(
    run.out,
    /^default\/db \(ID:\d+\) -> default\/api \(ID:\d+\), 8080\/TCP\nVerdict: DENIED at ingress of default\/api\n/,
  );
  assert.match(
    run.out,
    /^ {2}CiliumNetworkPolicy default\/api \(.*good\.yaml:1\) selects it for ingress; .*allow this connection:$/m,
  );
  assert.match(run.out, /^ {4}apiVersion: cilium\.io\/v2$/m);
  const request = ['--request', 'GET /v1', '--from', 'web', '--to', 'service:api', '--port', '80'];
  const json = JSON.parse((await ask('explain', '-f', mesh, '-f', good, ...request, '-o', 'json')).out);
  assert.equal(json.verdict, 'allow');
  assert.deepEqual([json.port, json.ingress.request.rule], [8080, 'GET /v1']);
  assert.deepEqual(
    json.ingress.rules.map(({ name, line, field }: Record<string, unknown>) => [name, line, field]),
    [['api', 7, 'spec.ingress[0]']],
  );
});

test('`weir policy explain` ends with 1 if it is not as expected, with 2 for what makes no sense', async () => {
  const files = ['-f', mesh, '-f', good];
  const ends = ['--from', 'db', '--to', 'api'];
  const cases: { args: string[]; code: number; err?: RegExp }[] = [
    { args: [...files, ...ends, '--port', '8080', '--expect', 'deny'], code: 0 },
    { args: [...files, ...ends, '--port', '8080', '--expect', 'allow'], code: 1 },
    { args: [...files, ...ends], code: 2, err: /say which port with --port/ },
    { args: [...files, '--to', 'api', '--port', '80'], code: 2, err: /name both ends/ },
    { args: [...files, ...ends, '--request', 'GET'], code: 2, err: /write a method and a path/ },
    { args: [...files, ...ends, '--request', 'GET /', '--header', 'x'], code: 2, err: /"Name: value"/ },
    { args: [...files, ...ends, '--port', '80', '--host', 'h'], code: 2, err: /without --request/ },
    { args: [...files, ...ends, '--port', '80', '--expect', 'maybe'], code: 2, err: /write allow or deny/ },
    { args: [...files, '--from', 'nobody', '--to', 'api', '--port', '80'], code: 2, err: /no pod or workload/ },
    { args: [...files, '--flow', 'x'], code: 2, err: /flows are kept by a node/ },
    { args: ['-f', mesh, '-f', wrong, ...ends, '--port', '80'], code: 1, err: /wrong\.yaml:6 .*weir policy validate/ },
    { args: ['--socket', '/nowhere.sock', ...ends, '--port', '80'], code: 3, err: /Cannot reach node/ },
  ];
  for (const { args, code, err = /^$/ } of cases) {
    const run = await ask('explain', ...args);
    assert.equal(run.code, code, `${args.join(' ')}: ${run.err}`);
    assert.match(run.err, err);
  }
});

test('`weir policy explain` asks a node, also about a flow that it saw', async () => {
  const asked = ['--socket', node.socket, '--from', 'xwing', '--to', 'deathstar', '--port', '80'];
  const { out } = await ask('explain', ...asked);
  assert.match(
    out,
    /^default\/xwing \(ID:301\) -> default\/deathstar-a \(ID:302\), 80\/TCP\nVerdict: DENIED at ingress/,
  );
  assert.match(out, /CiliumNetworkPolicy default\/rule1 \(\/mesh\/rule1\.yaml:1\) selects it/);
  const flows = await weir('observe', '--socket', node.socket, '--type', 'drop', '-o', 'json');
  const { uuid } = JSON.parse(flows.out).flow;
  const past = await ask('explain', '--socket', node.socket, '--flow', uuid);
  assert.match(
    past.out,
    /DENIED at ingress of default\/deathstar-a.*Recorded when it happened: DROPPED \(TCP Flags: SYN\)\n$/s,
  );
  const unknown = await ask('explain', '--socket', node.socket, '--flow', 'none');
  assert.deepEqual(
    [unknown.code, unknown.err],
    [1, 'Cannot explain flow "none": the node does not have it (any more)\n'],
  );
  const nobody = await ask('explain', '--socket', node.socket, '--from', 'nobody', '--to', 'xwing', '--port', '80');
  assert.deepEqual(
    [nobody.code, nobody.err],
    [2, 'Cannot explain the flow: there is no pod or workload "default/nobody"\n'],
  );
});

test('`weir policy verdicts` draws a table, JSON and a picture, from files and from a node', async () => {
  const files = ['-f', mesh, '-f', good, '--ports', '8080'];
  const table = await ask('verdicts', ...files);
  assert.match(
    table.out,
    /^8080\/TCP: from +default\/api +default\/db +default\/shop \(2\) +default\/web +other\/probe\n/,
  );
  assert.match(table.out, /^default\/web +http +allow +allow +\. +allow$/m);
  assert.match(table.out, /^other\/probe +deny\(in\) /m);
  const json = JSON.parse((await ask('verdicts', ...files, '-o', 'json')).out);
  assert.equal(json.cells.length, 21);
  const path = join(folder, 'verdicts.svg');
  const svg = await ask('verdicts', ...files, '-o', 'svg', '--write', path);
  assert.deepEqual([svg.code, svg.out], [0, '']);
  const text = readFileSync(path, 'utf8');
  assert.match(text, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" /);
  assert.match(text, /<title>other\/probe to default\/api, 8080\/TCP: deny<\/title>/);
  const online = await ask('verdicts', '--socket', node.socket, '--peers', 'entity:world');
  assert.match(online.out, /^entity:world +deny\(in\)/m);
  const cases: [string[], number, RegExp][] = [
    [['-f', mesh, '--ports', 'x/y/z'], 2, /Cannot compute verdicts: port "x\/y\/z"/],
    [['--socket', node.socket, '--ports', '0'], 2, /Cannot compute verdicts: port "0"/],
    [['-f', mesh, '--write', join(folder, 'no', 'where')], 1, /Cannot write/],
    [['-f', mesh, '-o', 'png'], 2, /not one of table, json, svg/],
  ];
  for (const [args, code, err] of cases) {
    const run = await ask('verdicts', ...args);
    assert.equal(run.code, code, run.err);
    assert.match(run.err, err);
  }
});

test('`weir policy get` shows status, selection and rules', async () => {
  const all = await ask('get', '--socket', node.socket);
  assert.match(all.out, /^NAMESPACE +NAME +KIND +STATUS +ENDPOINTS +REVISION +ENTRIES +HITS +LOCATION$/m);
  assert.match(all.out, /^default +rule1 +CiliumNetworkPolicy +Valid +1 +7 +1 +4 +\/mesh\/rule1\.yaml:1$/m);
  const one = await ask('get', 'rule1', '--socket', node.socket);
  assert.match(one.out, /^In force: {3}since revision 7$/m);
  assert.match(one.out, /^Selects: {4}default\/deathstar-a$/m);
  assert.match(one.out, /^12 +spec\.ingress\[0\] +ingress +allow +1 +4$/m);
  const [json] = JSON.parse((await ask('get', 'default/rule1', '--socket', node.socket, '-o', 'json')).out);
  assert.deepEqual([json.selects, json.hits, json.rules.length], [['default/deathstar-a'], 4, 1]);
  const none = await ask('get', 'nobody', '--socket', node.socket);
  assert.deepEqual([none.code, none.err], [1, 'Cannot show policy "nobody": there is none\n']);
});

test('`weir policy get` and `weir status` say why a policy is refused', async () => {
  const key = 'CiliumNetworkPolicy default/bad';
  const place = { file: '/mesh/bad.yaml', line: 4 };
  const problem = { ...place, field: 'spec', reason: 'unknown field "x"', warning: false, object: key };
  const row = { kind: 'File', namespace: '', name: '', ...place, accepted: false, problems: [problem] };
  node.tables.objects.set('/mesh/bad.yaml', row);
  const { out } = await ask('get', 'bad', '--socket', node.socket);
  assert.match(out, /^Status: +Refused: spec: unknown field "x"$/m);
  assert.match(out, /^In force: +not as written$/m);
  const status = await weir('status', '--objects', '--socket', node.socket);
  assert.match(status.out, /^CiliumNetworkPolicy default\/rule1 +accepted +1 +7 +\/mesh\/rule1\.yaml:1$/m);
  assert.match(status.out, /^\/mesh\/bad\.yaml:4 +File +spec +unknown field "x"$/m);
  node.tables.objects.delete('/mesh/bad.yaml');
});

test('`weir policy suggest` writes what `weir policy validate` accepts', async () => {
  const run = await ask('suggest', '--socket', node.socket);
  assert.deepEqual([run.code, run.err], [0, '']);
  assert.match(run.out, /^# From \d+ flows, 2026-01-02T15:04:05\.123Z to /);
  assert.match(run.out, /path: \/v1\/request-landing/);
  assert.doesNotMatch(run.out, /exhaust-port|xwing/);
  const valid = await ask('validate', '--strict', file('suggested.yaml', run.out));
  assert.equal(valid.code, 0, valid.out);
  const flows = file('flows.json', (await weir('observe', '--socket', node.socket, '-o', 'json')).out);
  assert.equal((await ask('suggest', '-f', flows)).out, run.out);
  const json = JSON.parse((await ask('suggest', '-f', flows, '-o', 'json', '--pod', 'deathstar')).out);
  assert.deepEqual(
    json.policies.map((one: { metadata: object }) => one.metadata),
    [{ name: 'deathstar', namespace: 'default' }],
  );
});

test('`weir policy suggest` says when there is nothing, and what makes no sense', async () => {
  const cases: [string[], number, RegExp][] = [
    [['--socket', node.socket, '--pod', 'nobody'], 1, /none is to or from such a pod/],
    [['--socket', node.socket, '--since', '1m'], 1, /of 0 flows/],
    [['--socket', node.socket, '--since', 'x'], 2, /Cannot read time "x"/],
    [['--socket', node.socket, '--direction', 'up'], 2, /not one of both, ingress, egress/],
    [['-f', file('flows.txt', 'x\n')], 2, /Cannot read flow ".*flows\.txt:1"/],
    [['-f', join(folder, 'none')], 2, /no such file/],
  ];
  for (const [args, code, err] of cases) {
    const run = await ask('suggest', ...args);
    assert.equal(run.code, code, run.err);
    assert.match(run.err, err);
  }
});

test('every subcommand has --help', async () => {
  for (const command of ['validate', 'get', 'explain', 'verdicts', 'suggest']) {
    const { code, out } = await ask(command, '--help');
    assert.equal(code, 0);
    assert.match(out, /-o, --output <format>/);
  }
});
