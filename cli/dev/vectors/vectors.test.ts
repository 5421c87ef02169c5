import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runVectors } from './command.ts';
import { parseCases } from './format.ts';
import { type Judges, runCase, type Tally } from './run.ts';
import { agrees, expectedVerdict } from './verdict.ts';

const ENGINE: Judges = { engine: true, kernel: undefined };

const endpoint = (name: string, ip: string) => ({
  name,
  namespace: 'shop',
  labels: { app: name },
  namespaceLabels: {},
  ips: [ip],
});
const policy = (name: string, ...ingress: object[]) => ({
  apiVersion: 'cilium.io/v2',
  kind: 'CiliumNetworkPolicy',
  metadata: { name, namespace: 'shop' },
  spec: { endpointSelector: { matchLabels: { app: 'web' } }, ingress },
});
const ports = (port: string, rest: object) => ({ toPorts: [{ ports: [{ port, protocol: 'TCP' }], ...rest }] });
const POLICIES = [
  policy('p', ports('80', { rules: { http: [{ method: 'GET' }] } }), ports('443', { serverNames: ['a.example.com'] })),
];
const HTTP = { parser: 'http', wildcard: false, rules: [{ method: 'GET' }] };
const TLS = { parser: 'tls', wildcard: false, rules: [], serverNames: ['a.example.com'] };
const redirect = (l7: object) => ({ verdict: 'redirect', reason: 'policy', l7 });
const DENIED = { verdict: 'deny', reason: 'default-deny' };

interface FlowParts {
  readonly port?: number;
  readonly from?: string;
  readonly ingress?: object;
  readonly more?: object;
}

function caseOf(flow: FlowParts, rest: object = {}): object {
  const { port = 80, from = 'shop/api', ingress = redirect(HTTP), more = {} } = flow;
  return {
    name: 'made-up',
    engine: 'none',
    mode: 'default',
    policies: POLICIES,
    endpoints: [endpoint('web', '10.0.0.1'), endpoint('api', '10.0.0.2')],
    world: {},
    flows: [{ from, to: 'shop/web', protocol: 'TCP', port, ingress, ...more }],
    ...rest,
  };
}

async function tally(value: object, judges: Judges = ENGINE): Promise<Tally> {
  const [one] = parseCases(JSON.stringify([value]));
  assert.ok(one);
  return runCase(one, judges);
}

for (const { name, value } of [
  { name: 'a redirect with its requests', value: caseOf({}) },
  { name: 'one with names of TLS servers', value: caseOf({ port: 443, ingress: redirect(TLS) }) },
  { name: 'a denial', value: caseOf({ port: 81, ingress: DENIED }) },
  { name: 'the destination by its address', value: caseOf({ more: { to: '10.0.0.1' } }) },
  { name: 'lists that are null', value: caseOf({}, { world: { nodes: null, fqdn: null } }) },
]) {
  test(`runCase passes ${name}`, async () => {
    assert.deepEqual(await tally(value), { passed: 1, failed: 0, differences: [], undecided: 0 });
  });
}

for (const { name, value, got } of [
  {
    name: 'another verdict',
    value: caseOf({ port: 81, ingress: { verdict: 'allow', reason: 'policy' } }),
    got: /^deny\/de/,
  },
  {
    name: 'another reason',
    value: caseOf({ port: 81, ingress: { ...DENIED, reason: 'policy-deny' } }),
    got: /^deny\/default/,
  },
  {
    name: 'an allow for a redirect',
    value: caseOf({ ingress: { verdict: 'allow', reason: 'policy' } }),
    got: /^redirect/,
  },
  { name: 'a redirect for a denial', value: caseOf({ port: 81 }), got: /^deny/ },
  { name: 'another parser', value: caseOf({ ingress: redirect({ ...HTTP, parser: 'kafka' }) }), got: /http/ },
  { name: 'a wildcard', value: caseOf({ ingress: redirect({ ...HTTP, wildcard: true }) }), got: /http \[/ },
  {
    name: 'one request more',
    value: caseOf({ ingress: redirect({ ...HTTP, rules: [{ method: 'GET' }, {}] }) }),
    got: /GET/,
  },
  { name: 'one request less', value: caseOf({ ingress: redirect({ ...HTTP, rules: [] }) }), got: /GET/ },
  {
    name: 'an unknown field of a request',
    value: caseOf({ ingress: redirect({ ...HTTP, rules: [{ method: 'GET', x: 1 }] }) }),
    got: /GET/,
  },
  { name: 'requests that are denied', value: caseOf({ ingress: redirect({ ...HTTP, denied: [{}] }) }), got: /http \[/ },
  {
    name: 'other names',
    value: caseOf({ port: 443, ingress: redirect({ ...TLS, serverNames: [] }) }),
    got: /names a\.ex/,
  },
  { name: 'an endpoint that is not there', value: caseOf({ from: 'shop/none' }), got: /no such endpoint/ },
  { name: 'an entity that is not known', value: caseOf({ from: 'entity:moon' }), got: /no such entity/ },
  { name: 'an address that is none', value: caseOf({ from: '10.0.0' }), got: /not an IPv4 or IPv6 address/ },
  {
    name: 'a verdict where nothing is decided',
    value: caseOf({ more: { to: '192.0.2.1', from: 'shop/api', ingress: DENIED } }),
    got: /no endpoint is there/,
  },
  {
    name: 'a policy that is refused',
    value: caseOf({}, { policies: [policy('p', { fromNowhere: [] })] }),
    got: /fromNowhere/,
  },
  { name: 'an unknown field of the case', value: caseOf({}, { ipcache: {} }), got: /ipcache/ },
  { name: 'an unknown field of a flow', value: caseOf({ more: { sourcePort: 1 } }), got: /sourcePort/ },
  { name: 'an unknown field of an expectation', value: caseOf({ ingress: { ...DENIED, audit: true } }), got: /audit/ },
  { name: 'an unknown field of the world', value: caseOf({}, { world: { services: [] } }), got: /services/ },
  { name: 'an unknown mode', value: caseOf({}, { mode: 'sometimes' }), got: /mode/ },
  { name: 'a flow without expectation', value: caseOf({ more: { ingress: undefined } }), got: /expects nothing/ },
]) {
  test(`runCase fails ${name}`, async () => {
    const { passed, failed, differences } = await tally(value);
    assert.deepEqual({ passed, failed }, { passed: 0, failed: 1 });
    assert.match(differences[0]?.got ?? '', got);
    assert.equal(differences[0]?.case, 'made-up');
  });
}

test('runCase fails every flow of a case that cannot be decided', async () => {
  const flow = { from: 'shop/api', to: 'shop/web', protocol: 'TCP', port: 1, ingress: DENIED, egress: DENIED };
  const { failed, differences } = await tally(caseOf({}, { policies: [{ kind: 'Pod' }], flows: [flow, flow] }));
  assert.equal(failed, 4);
  assert.equal(differences.length, 1);
});

test('runCase fails a flow that one of two judges decides otherwise, and names the judge', async () => {
  const kernel: Judges['kernel'] = async () => ({
    answer: () => ({ verdict: 'allow', reason: 'policy', by: 'nothing at all' }),
  });
  const { passed, differences } = await tally(caseOf({}), { engine: true, kernel });
  assert.equal(passed, 0);
  assert.deepEqual(
    differences.map(({ judge, got, by }) => ({ judge, got, by })),
    [{ judge: 'kernel', got: 'allow/policy', by: 'nothing at all' }],
  );
});

test('runCase only asks for one opinion where the reference has none', async () => {
  const value = caseOf({ ingress: { verdict: 'error', error: 'cannot be merged' } });
  assert.deepEqual(await tally(value), { passed: 1, failed: 0, differences: [], undecided: 1 });
  const kernel: Judges['kernel'] = async () => ({
    answer: () => ({ verdict: 'deny', reason: 'default-deny', by: '' }),
  });
  assert.equal((await tally(value, { engine: true, kernel })).failed, 1);
});

const OBJECT = { engine: 'none', object: policy('p', {}), error: '' };
for (const { value, failed, got } of [
  { value: { ...OBJECT, name: 'good', rejectedBy: 'none' }, failed: 0 },
  { value: { ...OBJECT, name: 'good but refused', rejectedBy: 'engine', error: 'no' }, failed: 1, got: /^accepted/ },
  { value: { ...OBJECT, name: 'bad', object: { kind: 'None' }, rejectedBy: 'schema' }, failed: 0 },
  {
    value: {
      ...OBJECT,
      name: 'refused by the reference alone, under another name',
      object: { ...policy('p'), spec: { endpointSelector: {}, egressDeny: [ports('80', { rules: { http: [{}] } })] } },
      rejectedBy: 'schema',
      schemaError: 'unknown fields found, extra:[spec.egressDeny.0.toPorts.0.rules.http.0.method]',
    },
    failed: 0,
  },
  {
    value: { ...OBJECT, name: 'refused for another field', rejectedBy: 'schema', schemaError: 'extra:[spec.x.rules]' },
    failed: 1,
    got: /^accepted/,
  },
  {
    value: { ...OBJECT, name: 'bad but accepted', object: policy('p', { x: 1 }), rejectedBy: 'none' },
    failed: 1,
    got: /x/,
  },
  {
    value: {
      ...OBJECT,
      name: 'no policy',
      object: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'a' } },
      rejectedBy: 'none',
    },
    failed: 1,
    got: /not every object is a policy/,
  },
  { value: { ...OBJECT, name: 'unknown field', rejectedBy: 'none', severity: 1 }, failed: 1, got: /severity/ },
]) {
  test(`runCase ${failed ? 'fails' : 'passes'} an object: ${value.name}`, async () => {
    const found = await tally(value);
    assert.deepEqual([found.passed, found.failed], [1 - failed, failed]);
    if (got) assert.match(found.differences[0]?.got ?? '', got);
  });
}

test('what may be written in several ways is the same', () => {
  const http = (header: string) =>
    expectedVerdict({
      verdict: 'redirect',
      reason: 'policy',
      l7: { parser: 'http', wildcard: false, rules: [{ headers: [header] }], serverNames: [], denied: [] },
    });
  const [a, b, c] = [http('X-A: 1'), http('X-A 1'), http('X-A: 2')];
  assert.ok(a && b && c);
  assert.ok(agrees(a, b));
  assert.ok(!agrees(a, c));
});

test('runVectors ends with the counts, and says whether all passed', async () => {
  using folder = temporaryFolder();
  const good = folder.write('good.json', [caseOf({}), caseOf({ port: 81, ingress: DENIED })]);
  const bad = folder.write('bad.json', [caseOf({ port: 81 }), caseOf({})]);
  const empty = folder.write('empty.json', []);
  assert.deepEqual((await vectors([good])).end, { passed: true, last: '2 passed, 0 failed' });
  const both = await vectors([good, bad]);
  assert.deepEqual(both.end, { passed: false, last: '3 passed, 1 failed' });
  assert.match(both.text, /^FAIL bad\.json: 1 passed, 1 failed/m);
  assert.match(
    both.text,
    /made-up: shop\/api -> shop\/web TCP\/81 ingress\n +expected +redirect\/.*\n +engine +deny\/.*\n +by +no entry/,
  );
  assert.deepEqual((await vectors([empty])).end, { passed: false, last: '0 passed, 0 failed' });
  const json = JSON.parse((await vectors([bad], 'json')).text);
  assert.deepEqual([json.passed, json.failed, json.files[0].differences[0].judge], [1, 1, 'engine']);
});

test('runVectors refuses a file that is no list of cases, before it runs any', async () => {
  using folder = temporaryFolder();
  const good = folder.write('good.json', [caseOf({})]);
  for (const [file, reason] of [
    [folder.write('object.json', {}), /it is not a list of cases/],
    [join(folder.path, 'none.json'), /ENOENT/],
  ] as const) {
    await assert.rejects(vectors([good, file]), { name: 'CliError', message: reason });
  }
});

async function vectors(files: readonly string[], format: 'text' | 'json' = 'text') {
  const lines: string[] = [];
  const passed = await runVectors({
    files,
    engine: true,
    kernel: false,
    format,
    signal: new AbortController().signal,
    print: (line) => void lines.push(line),
    progress: () => {},
  });
  return { text: lines.join('\n'), end: { passed, last: lines.at(-1) } };
}

function temporaryFolder(): Disposable & { readonly path: string; write(name: string, value: unknown): string } {
  const path = mkdtempSync(join(tmpdir(), 'weir-vectors-'));
  return {
    path,
    write(name, value) {
      writeFileSync(join(path, name), JSON.stringify(value));
      return join(path, name);
    },
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  };
}
