import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { identity } from '#common/ids.ts';
import { createFlowPipeline } from '../flows/pipeline.ts';
import { accessRecord, DENIED, flowEvent, STEERED, sceneClock, sceneTables } from '../flows/scene.fixture.ts';
import { type AgentMetrics, createAgentMetrics } from './metrics.ts';
import type { MetricsProviders } from './providers.ts';
import { serveMetrics } from './server.ts';

let forwarded = 10;
const providers: MetricsProviders = {
  packetCounters: () => [
    { reason: 0, direction: 'ingress', packets: forwarded, bytes: 1_000 },
    { reason: 133, direction: 'ingress', packets: 5, bytes: 300 },
    { reason: 220, direction: 'egress', packets: 1, bytes: 60 },
  ],
  kernelLosses: () => [{ kind: 'flow_event', count: 2 }],
  maps: () => [{ name: 'policy', entries: 256, capacity: 1_024, updates: 12, deletes: 3, errors: 1 }],
  policyRevision: () => 9,
  workers: () => [
    { state: 'attached', restarts: 1 },
    { state: 'starting', restarts: 2 },
  ],
};

const AUDITED = {
  'default/a': { ingress: true, egress: false },
  'default/b': { ingress: false, egress: true },
  'default/c': { ingress: true, egress: true },
  'default/d': { ingress: false, egress: false },
} as const;

function scene(): AgentMetrics {
  const tables = sceneTables();
  for (const [name, directions] of Object.entries(AUDITED)) {
    tables.desired.enforcement.set(name, { endpoint: name, identity: identity(9), ...directions, audit: true });
  }
  const metrics = createAgentMetrics({ tables, providers, version: '1.2.3' });
  const pipeline = createFlowPipeline({ node: 'node0', tables, clock: sceneClock, sink: metrics.flows });
  pipeline.kernelEvent(flowEvent(STEERED));
  pipeline.kernelEvent(flowEvent(DENIED));
  const denied = { verdict: 'VERDICT_DENIED', method: 'BREW', status: 403 } as const;
  pipeline.accessRecords([accessRecord({}), accessRecord(denied)], 3);
  metrics.policyChanged('success');
  metrics.policyImplemented('file', 0.012);
  metrics.conntrackCollected({ completed: true, seconds: 0.02, alive: 7, deleted: 2 });
  metrics.bootstrapped('overall', 'success', 1.5);
  pipeline.close();
  return metrics;
}

const EXPECTED = [
  'cilium_drop_count_total{reason="Policy denied",direction="INGRESS"} 5',
  'cilium_drop_bytes_total{reason="No proxy listener",direction="EGRESS"} 60',
  'cilium_forward_count_total{direction="INGRESS"} 10',
  'cilium_forward_bytes_total{direction="INGRESS"} 1000',
  'cilium_endpoint 4',
  'cilium_endpoint_state{state="ready"} 4',
  'cilium_policy 1',
  'cilium_policy_max_revision 9',
  'cilium_policy_change_total{outcome="success"} 1',
  'cilium_policy_change_total{outcome="fail"} 0',
  'cilium_policy_endpoint_enforcement_status{enforcement="ingress"} 1',
  'cilium_policy_endpoint_enforcement_status{enforcement="none"} 4',
  ...['ingress', 'egress', 'both'].map(
    (directions) => `cilium_policy_endpoint_enforcement_status{enforcement="audit-${directions}"} 1`,
  ),
  'cilium_policy_implementation_delay_count{source="file"} 1',
  'cilium_identity{type="cluster_local"} 3',
  'cilium_ip_addresses{family="ipv4"} 4',
  'cilium_ip_addresses{family="ipv6"} 1',
  'cilium_bpf_map_ops_total{map_name="policy",operation="update",outcome="success"} 12',
  'cilium_bpf_map_ops_total{map_name="policy",operation="write",outcome="fail"} 1',
  'cilium_bpf_map_pressure{map_name="policy"} 0.25',
  'cilium_proxy_redirects{protocol="http"} 1',
  'cilium_policy_l7_total{rule="received",proxy_type="envoy"} 2',
  'cilium_policy_l7_total{rule="denied",proxy_type="envoy"} 1',
  'cilium_datapath_conntrack_gc_runs_total{status="completed"} 1',
  'cilium_datapath_conntrack_gc_entries{status="deleted"} 2',
  'cilium_agent_bootstrap_seconds{scope="overall",outcome="success"} 1.5',
  `cilium_version{version="1.2.3",arch="${process.arch}"} 1`,
  'hubble_flows_processed_total{protocol="TCP",type="Trace",subtype="to-proxy",verdict="FORWARDED"} 1',
  'hubble_flows_processed_total{protocol="HTTP",type="L7",subtype="HTTP",verdict="DROPPED"} 1',
  'hubble_drop_total{reason="POLICY_DENIED",protocol="TCP"} 1',
  'hubble_policy_verdicts_total{direction="ingress",match="l3-l4",action="redirected"} 1',
  'hubble_lost_events_total{source="observer_events_queue"} 3',
  'hubble_http_requests_total{method="POST",protocol="HTTP/1.1",status="200",reporter="server"} 1',
  'hubble_http_requests_total{method="other",protocol="HTTP/1.1",status="403",reporter="server"} 1',
  'weir_kernel_losses_total{kind="flow_event"} 2',
  'weir_proxy_workers{state="starting"} 1',
  'weir_proxy_worker_restarts_total 3',
  'weir_refused_objects 0',
];

test('`createAgentMetrics` has the values of tables, maps and flows', async () => {
  const lines = new Set((await scene().text()).split('\n'));
  assert.deepEqual(
    EXPECTED.filter((line) => !lines.has(line)),
    [],
  );
});

test('`createAgentMetrics` reads kernel counters anew at each scrape', async () => {
  const metrics = scene();
  await metrics.text();
  forwarded = 11;
  assert.match(await metrics.text(), /^cilium_forward_count_total\{direction="INGRESS"\} 11$/m);
  forwarded = 10;
});

test('`createAgentMetrics` is clean for promtool', async (t) => {
  const text = await scene().text();
  const lint = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
  if (lint.error) return t.skip(`promtool cannot be run: ${lint.error.message}`);
  assert.equal(`${lint.stdout}${lint.stderr}`, '');
  assert.equal(lint.status, 0);
  const broken = spawnSync('promtool', ['check', 'metrics'], { input: 'weir_count 1\n', encoding: 'utf8' });
  assert.notEqual(broken.status, 0, 'promtool finds something where there is something');
});

test('`serveMetrics` answers GET /metrics and nothing else', async () => {
  const server = await serveMetrics(scene(), { host: '127.0.0.1', port: 0 });
  const base = `http://127.0.0.1:${server.port}`;
  const cases = [
    { path: '/metrics', method: 'GET', status: 200 },
    { path: '/metrics?x=1', method: 'GET', status: 200 },
    { path: '/metrics', method: 'POST', status: 404 },
    { path: '/', method: 'GET', status: 404 },
  ];
  for (const { path, method, status } of cases) {
    const response = await fetch(base + path, { method });
    assert.equal(response.status, status, `${method} ${path}`);
    const text = await response.text();
    if (status === 200) assert.match(text, /^cilium_version/m);
  }
  await assert.rejects(
    serveMetrics(scene(), { host: '127.0.0.1', port: server.port }),
    /Cannot serve metrics on 127\.0\.0\.1/,
  );
  await server.close();
});

test('`createAgentMetrics` keeps a bounded number of series, whatever clients and servers choose', async () => {
  const metrics = createAgentMetrics({ tables: sceneTables(), providers, version: '1.2.3' });
  const sent = 20_000;
  for (let i = 0; i < sent; i++) {
    metrics.flows.record(accessRecord({ method: `M${i}`, protocol: `P${i % 7}`, status: 100 + (i % 5_000) }));
    metrics.flows.record(accessRecord({ status: 100 + (i % 5_000) }));
  }
  const lines = (await metrics.text()).split('\n').filter((line) => line.startsWith('hubble_http_requests_total{'));
  assert.ok(lines.length < 2_000, `${lines.length} series`);
  assert.equal(
    lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0),
    2 * sent,
    'none is lost',
  );
});

test('cilium_endpoint_state counts an endpoint without enforcement by its identity', async () => {
  const tables = sceneTables();
  const metrics = createAgentMetrics({ tables, providers, version: '1.2.3' });
  const resolver = 'kube-system/kube-dns';
  const endpoint = tables.inputs.endpoints.get(resolver);
  assert.ok(endpoint !== undefined);
  tables.desired.enforcement.delete(resolver);
  assert.match(await metrics.text(), /^cilium_endpoint_state\{state="waiting-for-identity"\} 1$/m);
  tables.desired.endpoints.set(resolver, { endpoint, identity: identity(256) });
  assert.match(await metrics.text(), /^cilium_endpoint_state\{state="ready"\} 4$/m);
});
