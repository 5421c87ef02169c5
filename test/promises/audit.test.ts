// Audit mode of one pod and of the node, for both families: what policy denies at L3 and L4 passes and is reported.
//
//   client ───┐          ┌── audited  :80 :8080   one identity: the same labels; "audited" has the annotation
//             ├── node ──┤── enforced :80 :8080
//   stranger ─┘          └── web-…    :80         of a Deployment

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '#cli/demo/mesh.ts';
import {
  apps,
  curl,
  type KubeObject,
  needsRoot,
  nextOf,
  pod,
  policy,
  ports,
  type Running,
  startProgram,
  startTestMesh,
  type TestMesh,
  yaml,
} from '../mesh.ts';

const HANG_SECONDS = 1.5;
const FAMILIES = [4, 6] as const;
const FILE = 'objects.yaml';
const MAIN = join(import.meta.dirname, '../../cli/main.ts');

interface Modes {
  readonly audited?: string;
  readonly web?: string;
}

const annotations = (mode: string | undefined): KubeObject =>
  mode === undefined ? {} : { annotations: { 'policy.weir.io/audit-mode': mode } };

/** All pods; a mode is the annotation's value. */
function objects({ audited, web }: Modes): readonly KubeObject[] {
  const template = pod('web', ['server.ts', '80']) as { metadata: KubeObject; spec: KubeObject };
  const labels = { app: 'server' };
  const one = (name: string, mode?: string): KubeObject => ({
    ...pod('server', ['server.ts', '80', '8080']),
    metadata: { name, labels, ...annotations(mode) },
  });
  const deployment = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web' },
    spec: {
      selector: { matchLabels: { app: 'web' } },
      template: { metadata: { labels: { app: 'web' }, ...annotations(web) }, spec: template.spec },
    },
  };
  return [pod('client'), pod('stranger'), one('audited', audited), one('enforced'), deployment];
}

const HTTP = { fromEndpoints: apps('client'), toPorts: ports([80], [{ path: '/public.*' }]) };
const SECRET = { fromEndpoints: apps('client'), toPorts: ports([80], [{ path: '/public/secret' }]) };
const RULES = policy('p', 'server', { ingress: [HTTP], ingressDeny: [SECRET] });
/** Both ways to be denied, one for each family: each takes half a minute. */
const DENIALS = {
  4: policy('p', 'server', { ingress: [{ fromEndpoints: apps('nobody'), toPorts: ports([80]) }] }),
  6: policy('p', 'server', { ingress: [HTTP], ingressDeny: [{ fromEndpoints: apps('client') }] }),
};
const WEB_FOR_NOBODY = policy('w', 'web', { ingress: [{ fromEndpoints: apps('nobody') }] });

async function outcomes(mesh: TestMesh, to: string, family: 4 | 6): Promise<Record<string, number | string>> {
  const host = await mesh.address(to, family);
  const requests = [
    { from: 'client', port: 80, path: '/public' },
    { from: 'client', port: 80, path: '/private' },
    { from: 'client', port: 80, path: '/public/secret' },
    { from: 'stranger', port: 80, path: '/' },
    { from: 'client', port: 8080, path: '/' },
  ];
  const found = await Promise.all(
    requests.map(async ({ from, port, path }): Promise<[string, number | string]> => {
      const { outcome } = await curl(mesh, { from, host, port, path, seconds: HANG_SECONDS });
      return [`${from} ${port} ${path}`, outcome];
    }),
  );
  return Object.fromEntries(found);
}

const BY_RULES = { 'client 80 /public': 200, 'client 80 /private': 403, 'client 80 /public/secret': 403 };
const ENFORCED = { ...BY_RULES, 'stranger 80 /': 'hangs', 'client 8080 /': 'hangs' };
const AUDITED = { ...BY_RULES, 'stranger 80 /': 200, 'client 8080 /': 200 };

/** What `weir policy explain` says of a connection of the stranger. */
async function explain(mesh: TestMesh, to: string): Promise<string> {
  const question = ['--from', 'stranger', '--to', to, '--port', '80'];
  return (await run(process.execPath, [MAIN, 'policy', 'explain', '--node', mesh.node, ...question])).stdout;
}

/** The columns of both directions in `weir get endpoints`. */
async function enforcement(mesh: TestMesh, name: string): Promise<unknown> {
  const row = (await mesh.list('endpoints')).find((endpoint) => endpoint.pod === `default/${name}`);
  return [row?.policyIngress, row?.policyEgress];
}

describe('audit mode of a pod', { skip: needsRoot }, () => {
  let mesh: TestMesh;
  let written = yaml(objects({ audited: 'enabled' }));
  const change = async (modes: Modes): Promise<void> => {
    const text = yaml(objects(modes));
    if (text !== written) await mesh.changePolicy(FILE, text);
    written = text;
  };
  const web = async (): Promise<Readonly<Record<string, unknown>>> => {
    const row = (await mesh.list('pods')).find(({ workload }) => workload === 'Deployment/web');
    assert.ok(row);
    return { name: row.name, ip: row.ip, ipv6: row.ipv6, pid: row.pid, restarts: row.restarts };
  };
  before(async () => {
    mesh = await startTestMesh(objects({ audited: 'enabled' }), { suffix: 'a' });
  });
  after(() => mesh?.[Symbol.asyncDispose]());

  for (const family of FAMILIES) {
    test(`IPv${family}: lets pass at L3 and L4 what policy denies, and no request that HTTP rules deny`, async () => {
      await mesh.setPolicies([RULES]);
      assert.deepEqual(await outcomes(mesh, 'audited', family), AUDITED);
      assert.deepEqual(await outcomes(mesh, 'enforced', family), ENFORCED, 'of the same identity');
    });
  }

  test('shows in flows, metrics, lists and explanations', async () => {
    await mesh.setPolicies([RULES]);
    const flowsTo = async (name: string, verdict: string): Promise<unknown[]> => {
      const flows = await mesh.flows({ whitelist: [{ verdict: [verdict], destination_pod: [`default/${name}`] }] });
      return [...new Set(flows.map((flow) => `${flow.source?.pod_name} ${flow.traffic_direction}`))].sort();
    };
    assert.deepEqual(await flowsTo('audited', 'AUDIT'), ['client INGRESS', 'stranger INGRESS']);
    assert.deepEqual(await flowsTo('enforced', 'AUDIT'), []);
    const { stdout } = await mesh.weir(['observe', '--verdict', 'AUDIT', '--to-pod', 'audited']);
    assert.match(stdout, /policy-verdict:none INGRESS AUDITED \(TCP Flags: SYN\)/);
    const metrics = (await mesh.weir(['metrics'])).stdout;
    assert.match(metrics, /^hubble_policy_verdicts_total\{direction="ingress",match="none",action="audit"\} [1-9]/m);
    assert.match(metrics, /^cilium_policy_endpoint_enforcement_status\{enforcement="audit-ingress"\} 1$/m);
    assert.match(metrics, /^cilium_policy_endpoint_enforcement_status\{enforcement="ingress"\} 1$/m);
    assert.deepEqual(await enforcement(mesh, 'audited'), ['Disabled (Audit)', 'Disabled']);
    assert.deepEqual(await enforcement(mesh, 'enforced'), ['Enabled', 'Disabled']);
    assert.match(await explain(mesh, 'audited'), /^Verdict: ALLOWED$[\s\S]*It passes all the same: audit mode\./m);
    assert.match(await explain(mesh, 'enforced'), /^Verdict: DENIED at ingress of default\/enforced$/m);
  });

  for (const family of FAMILIES) {
    const ask = async (to: string, port: string, path: string): Promise<Running> =>
      startProgram(mesh, 'client', ['keep-asking.ts', await mesh.address(to, family), port, path]);

    test(`IPv${family}: open connections, also of the proxy, outlive a denial, until it is off`, async () => {
      await change({ audited: 'enabled' });
      await mesh.setPolicies([RULES]);
      await using proxied = await ask('audited', '80', '/public');
      await using judged = await ask('audited', '80', '/private');
      await using plain = await ask('audited', '8080', '/');
      await using enforced = await ask('enforced', '80', '/public');
      await Promise.all([proxied, plain, enforced].map((running) => nextOf(running, ['200'], 0)));
      assert.equal(await nextOf(judged, ['403', '200'], 0), '403', 'by HTTP rules');

      await mesh.setPolicies([DENIALS[family]]);
      for (const running of [proxied, plain, judged]) {
        assert.equal(await nextOf(running, ['200', 'closed', 'ECONNRESET']), '200');
      }
      const passed = ({ seen }: Running): number => seen.filter((line) => line === '200').length;
      await nextOf(enforced, ['silence', 'closed', 'ECONNRESET', '403']);
      const allowed = passed(enforced);
      assert.ok(!proxied.seen.includes('403'), `denied in between: ${proxied.seen}`);
      const [flow] = await mesh.flows({
        whitelist: [{ verdict: ['AUDIT'], event_type: [{ type: 129 }], destination_pod: ['default/audited'] }],
      });
      assert.equal(flow?.l7?.type, 'REQUEST');

      await change({ audited: 'disabled' });
      const open = [proxied, plain];
      await Promise.all(open.map((running) => nextOf(running, ['silence', 'closed', 'ECONNRESET', '403'])));
      const before = open.map(passed);
      await sleep(1_500);
      assert.deepEqual(open.map(passed), before, 'no request passes any more');
      assert.equal(passed(enforced), allowed, 'none passed that was not audited');
      await change({ audited: 'enabled' });
      assert.equal(await nextOf(plain, ['200', 'closed']), '200', 'a retransmission passes');
    });

    test(`IPv${family}: of a Deployment's template begins and ends without new pods`, async () => {
      await change({});
      await mesh.setPolicies([WEB_FOR_NOBODY]);
      const pods = await web();
      const host = String(family === 4 ? pods.ip : pods.ipv6);
      const status = async () => (await curl(mesh, { from: 'client', host, seconds: HANG_SECONDS })).outcome;
      assert.equal(await status(), 'hangs');
      await change({ web: 'enabled' });
      assert.equal(await status(), 200);
      await change({ web: 'disabled' });
      assert.equal(await status(), 'hangs');
      assert.deepEqual(await web(), pods);
    });
  }

  test('a value that means nothing is refused, and what was in force stays', async () => {
    await change({ audited: 'enabled' });
    await mesh.setPolicies([RULES]);
    await writeFile(join(mesh.directory, FILE), yaml(objects({ audited: 'yes' })));
    const refusal = async (): Promise<string> => (await mesh.weir(['status'])).stdout;
    let text = await refusal();
    for (let i = 0; i < 50 && !text.includes('audit-mode'); i++) text = await refusal();
    assert.match(text, /"yes" is none of "enabled", "disabled"/);
    assert.deepEqual(await outcomes(mesh, 'audited', 4), AUDITED);
  });
});

describe('audit mode of a node', { skip: needsRoot }, () => {
  let mesh: TestMesh;
  before(async () => {
    mesh = await startTestMesh(objects({}), { suffix: 'n', env: { WEIR_POLICY_AUDIT: 'true' } });
    await mesh.setPolicies([RULES]);
  });
  after(() => mesh?.[Symbol.asyncDispose]());

  for (const family of FAMILIES) {
    test(`IPv${family}: is that of every pod, and spares nobody the HTTP rules`, async () => {
      assert.deepEqual(await outcomes(mesh, 'enforced', family), AUDITED);
    });
  }

  test('shows in lists and explanations', async () => {
    assert.deepEqual(await enforcement(mesh, 'enforced'), ['Disabled (Audit)', 'Disabled']);
    assert.match(await explain(mesh, 'enforced'), /It passes all the same: audit mode\./);
  });
});
