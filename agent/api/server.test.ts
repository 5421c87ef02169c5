import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  type Client,
  type ClientReadableStream,
  credentials,
  makeGenericClientConstructor,
  status,
} from '@grpc/grpc-js';
import { type ListReply, type NodeStatus, nodeService, observerService } from '#api/node.ts';
import { addressBytes } from '#common/ip.ts';
import type { Table } from '#common/table.ts';
import type { FlowsRequest, FlowsResponse } from '#observe/flow/model.ts';
import { createFlowPipeline } from '../flows/pipeline.ts';
import { accessRecord, DENIED, flowEvent, sceneClock, sceneTables } from '../flows/scene.fixture.ts';
import type { PodStatus } from '../runtime/status.ts';
import { fakeProviders, podStatus } from './providers.fixture.ts';
import { type AgentApi, serveAgentApi } from './server.ts';
import { nodeStatus } from './status.ts';

type Reply = (error: { code: number; details: string } | null, value: unknown) => void;
type Methods = Record<string, (request: object, reply: Reply) => void>;

const folder = mkdtempSync(join(tmpdir(), 'weir-api-'));
const socket = join(folder, 'agent.sock');
const tables = sceneTables();
const pipeline = createFlowPipeline({ node: 'node0', tables, clock: sceneClock });
const providers = fakeProviders();
const statuses = providers.runtime.statuses as Table<PodStatus>;
const lost: number[] = [];
let api: AgentApi;
let node: Methods;
let observer: Methods & { GetFlows(request: FlowsRequest): ClientReadableStream<FlowsResponse> };

before(async () => {
  writeFileSync(socket, ''); // left over from an agent that was killed
  const options = { node: 'node0', version: '1.2.3', source: '/mesh', tables, providers };
  api = await serveAgentApi({ ...options, socket, ring: pipeline.ring, onLost: (count) => void lost.push(count) });
  const connect = (service: ReturnType<typeof nodeService>): unknown =>
    new (makeGenericClientConstructor(service, 'Test'))(`unix:${socket}`, credentials.createInsecure());
  node = connect(nodeService()) as Methods;
  observer = connect(observerService()) as typeof observer;
});

after(async () => {
  for (const client of [node, observer]) (client as unknown as Client).close();
  await api.close();
  pipeline.close();
  assert.equal(existsSync(socket), false, 'the socket is gone');
  rmSync(folder, { recursive: true });
});

function call<T>(client: Methods, method: string, request: object): Promise<T> {
  return new Promise((resolve, reject) => {
    client[method]?.(request, (error, value) => (error ? reject(error) : resolve(value as T)));
  });
}

async function rows(kind: string, namespace = ''): Promise<Record<string, unknown>[]> {
  const reply = await call<ListReply>(node, 'List', { kind, namespace });
  const list = reply.rowsJson.map((row) => JSON.parse(row));
  for (const row of list)
    for (const column of [...reply.columns, ...reply.wideColumns]) assert.ok(column in row, column);
  return list;
}

test('`serveAgentApi` makes a socket that only root can open, and nothing beside it', () => {
  assert.equal(statSync(socket).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(folder), ['agent.sock']);
});

test('GetStatus tells that everything is in force', async () => {
  const reply = await call<NodeStatus>(node, 'GetStatus', {});
  assert.deepEqual(
    [reply.node, reply.version, reply.ready, reply.message, reply.policyRevision, reply.source, reply.pid],
    ['node0', '1.2.3', true, '', 9, '/mesh', process.pid],
  );
  assert.deepEqual(reply.maps, [{ name: 'conntrack', entries: 256, capacity: 1024, errors: 3, lastError: '' }]);
  assert.deepEqual(reply.workers, [{ slot: 0, pid: 77, state: 'attached', version: 5, restarts: 1 }]);
});

test('GetStatus names a refused file with its line, field and reason', async () => {
  const problem = { file: '/mesh/bad.yaml', line: 4, field: 'spec', reason: 'unknown field "x"', warning: false };
  tables.objects.set('/mesh/bad.yaml', {
    kind: 'File',
    namespace: '',
    name: '',
    file: problem.file,
    line: 1,
    accepted: false,
    problems: [problem],
  });
  const reply = await call<NodeStatus>(node, 'GetStatus', {});
  tables.objects.delete('/mesh/bad.yaml');
  assert.equal(reply.ready, false);
  assert.equal(reply.message, 'File /mesh/bad.yaml is refused');
  assert.deepEqual(reply.objects.find((object) => !object.accepted)?.problems, [problem]);
});

test('List gives the rows of each kind', async () => {
  const pods = await rows('pods');
  assert.deepEqual(
    pods.map((row) => [row.namespace, row.name, row.ready, row.status, row.restarts, row.ip, row.node]),
    [
      ['default', 'deathstar-a', '1/1', 'Running', 0, '10.244.0.10', 'node0'],
      ['default', 'tiefighter', '1/1', 'Running', 0, '10.244.0.11', 'node0'],
      ['default', 'xwing', '1/1', 'Running', 2, '10.244.0.12', 'node0'],
    ],
  );
  const [service] = await rows('services');
  assert.deepEqual(service, {
    namespace: 'default',
    name: 'deathstar',
    type: 'ClusterIP',
    clusterIp: ['10.96.0.80'],
    ports: ['80/TCP (http)'],
    backends: 1,
    backendAddresses: ['10.244.0.10:80'],
  });
  const [policy] = await rows('policies');
  assert.deepEqual(
    [policy?.name, policy?.status, policy?.endpoints, policy?.location, policy?.directions],
    ['rule1', 'Valid', 1, '/mesh/rule1.yaml:1', ['ingress']],
  );
  const endpoints = await rows('endpoints');
  assert.deepEqual(
    endpoints.map((row) => [row.endpoint, row.policyIngress, row.policyEgress, row.identity, row.status]),
    [
      [2, 'Disabled', 'Disabled', 303, 'ready'],
      [10, 'Enabled', 'Disabled', 302, 'ready'],
      [11, 'Disabled', 'Disabled', 300, 'ready'],
      [12, 'Disabled', 'Disabled', 301, 'ready'],
    ],
  );
  assert.deepEqual(
    (await rows('identities')).map((row) => [row.id, row.endpoints]),
    [
      [300, ['default/tiefighter']],
      [301, ['default/xwing']],
      [302, ['default/deathstar-a']],
    ],
  );
});

test('`nodeStatus` is not ready while a map lacks what it should hold', () => {
  const full = { name: 'policy', entries: 4, capacity: 4, errors: 1, lastError: 'no space' };
  const status = nodeStatus({
    node: 'node0',
    version: '',
    source: '',
    tables,
    providers: fakeProviders({ maps: () => [full] }),
  });
  assert.deepEqual([status.ready, status.message], [false, 'map policy lacks entries: no space']);
});

test('GetStatus and List tell why a pod does not run', async () => {
  const cases = [
    {
      status: podStatus('xwing', { ready: false, reason: 'CrashLoopBackOff', containers: [] }),
      text: 'CrashLoopBackOff',
    },
    {
      status: podStatus('xwing', { ready: false, phase: 'Pending', reason: 'Cannot start "x": no file' }),
      text: 'Pending: Cannot start "x": no file',
    },
    {
      status: podStatus('xwing', { ready: false, restarts: 2, reason: 'CrashLoopBackOff: Cannot start "x": no file' }),
      text: 'CrashLoopBackOff: Cannot start "x": no file',
    },
    { status: podStatus('xwing', { ready: false, phase: 'Terminating' }), text: 'Terminating' },
    { status: podStatus('xwing', { ready: false, phase: 'Succeeded', reason: 'Completed' }), text: undefined },
  ];
  for (const { status: pod, text } of cases) {
    statuses.set('default/xwing', pod);
    const reply = await call<NodeStatus>(node, 'GetStatus', {});
    assert.equal(reply.message, text === undefined ? '' : `pod default/xwing is ${text}`);
    const row = (await rows('pods')).find((r) => r.name === 'xwing');
    assert.equal(row?.status, text?.split(':')[0] ?? 'Completed');
  }
  statuses.delete('default/xwing');
  assert.match((await call<NodeStatus>(node, 'GetStatus', {})).message, /^pod default\/xwing is Pending$/);
  statuses.set('default/xwing', podStatus('xwing', { restarts: 2 }));
});

test('List keeps to a namespace and refuses what it does not know', async () => {
  assert.equal((await rows('pods', 'default')).length, 3);
  assert.equal((await rows('pods', 'kube-system')).length, 0);
  assert.equal((await rows('endpoints', 'kube-system')).length, 1);
  await assert.rejects(call(node, 'List', { kind: 'secrets' }), {
    code: status.INVALID_ARGUMENT,
    details: /"secrets"/,
  });
});

test('GetPod says where a pod is, or that there is none', async () => {
  const handle = await call<Record<string, unknown>>(node, 'GetPod', { namespace: 'default', name: 'xwing' });
  assert.equal(handle.netns, '/run/netns/weir-node0-default-xwing');
  assert.deepEqual(handle.env, ['SHIP=xwing']);
  await assert.rejects(call(node, 'GetPod', { namespace: 'default', name: 'nobody' }), { details: /there is none/ });
  const star = { namespace: 'default', name: 'deathstar-a' };
  await assert.rejects(call(node, 'GetPod', { ...star, container: 'x' }), { details: /"x" .*: it has main$/ });
  await assert.rejects(call(node, 'GetPod', star), { code: status.NOT_FOUND, details: /network is not there yet/ });
});

test('GetFlows gives what is kept, filtered, then what comes', async () => {
  pipeline.kernelEvent(flowEvent({}));
  pipeline.kernelEvent(flowEvent(DENIED));
  const stream = observer.GetFlows({ number: 9, follow: true, whitelist: [{ source_pod: ['xwing'] }] });
  const seen: FlowsResponse[] = [];
  stream.on('data', (response: FlowsResponse) => seen.push(response));
  stream.on('error', () => undefined);
  while (seen.length < 2) await once(stream, 'data');
  pipeline.accessRecords(
    [accessRecord({}), accessRecord({ source: addressBytes(flowEvent(DENIED).source), status: 0 })],
    0,
  );
  while (seen.length < 3) await once(stream, 'data');
  stream.cancel();
  assert.deepEqual(
    seen.map(({ flow }) => [flow?.source?.pod_name, flow?.event_type]),
    [
      ['xwing', { type: 5 }],
      ['xwing', { type: 1, sub_type: 133 }],
      ['xwing', { type: 129 }],
    ],
  );
  assert.deepEqual(seen[0]?.time, { seconds: '1767366245', nanos: 123456789 });
  assert.equal(seen[0]?.flow?.drop_reason_desc, 'POLICY_DENIED');
});

test('GetFlows refuses filters and requests that make no sense', async () => {
  const cases: readonly { request: FlowsRequest; details: RegExp }[] = [
    { request: { whitelist: [{ source_ip: ['nowhere'] }] }, details: /source_ip/ },
    { request: { blacklist: [{ dns_query: ['x'] }] }, details: /dns_query: not supported/ },
    { request: { first: true, follow: true, number: 1 }, details: /exclude each other/ },
    { request: { first: true }, details: /needs "number"/ },
  ];
  for (const { request, details } of cases) {
    const stream = observer.GetFlows(request);
    stream.on('data', () => assert.fail('a flow came'));
    const [error] = await once(stream, 'error');
    assert.equal(error.code, status.INVALID_ARGUMENT);
    assert.match(error.details, details);
  }
});

test('GetFlows tells a client that does not read how much it lost, and holds no more for it', async () => {
  const stream = observer.GetFlows({ follow: true, since: { seconds: 0 } });
  stream.on('error', () => undefined);
  await once(stream, 'metadata').catch(() => undefined);
  stream.pause();
  const pushed = 40_000;
  for (let i = 0; i < pushed; i++) {
    pipeline.kernelEvent(flowEvent({}));
    if (i % 1_000 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const before = pipeline.ring.next;
  let flows = 0;
  let missed = 0;
  for await (const { flow, lost_events } of stream) {
    if (flow) flows++;
    if (lost_events) missed += Number(lost_events.num_events_lost);
    if (flows + missed >= before) break;
  }
  stream.cancel();
  assert.equal(flows + missed, before, 'every flow was either seen or counted as lost');
  assert.ok(missed > 0, 'some were lost');
  assert.equal(
    lost.reduce((sum, count) => sum + count, 0),
    missed,
  );
});

test('ServerStatus, GetNodes and GetNamespaces describe this node', async () => {
  const server = await call<Record<string, unknown>>(observer, 'ServerStatus', {});
  assert.deepEqual([server.max_flows, server.version, server.num_connected_nodes], ['4095', '1.2.3', { value: 1 }]);
  const nodes = await call<{ nodes: Record<string, unknown>[] }>(observer, 'GetNodes', {});
  assert.deepEqual(
    nodes.nodes.map(({ name, state }) => [name, state]),
    [['node0', 'NODE_CONNECTED']],
  );
  const namespaces = await call<object>(observer, 'GetNamespaces', {});
  assert.deepEqual(namespaces, { namespaces: [{ cluster: 'default', namespace: 'default' }] });
});
