import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadService } from '#api/load.ts';
import { flowToJson } from '#observe/flow/json.ts';
import type { Flow } from '#observe/flow/model.ts';
import type { AccessRecord } from './access-record.ts';
import { createNames } from './names.ts';
import { proxyFlows } from './proxy.ts';
import {
  ADDRESSES,
  AT,
  accessRecord,
  compactLines,
  IDS,
  STAR,
  sceneClock,
  sceneContext,
  sceneTables,
  TIE,
} from './scene.fixture.ts';

const URL_LANDING = 'http://deathstar.default.svc.cluster.local/v1/request-landing';
const URL_EXHAUST = 'http://deathstar.default.svc.cluster.local/v1/exhaust-port';
const BY = 'BY rule1 (CiliumNetworkPolicy)';
const EXHAUST = {
  method: 'PUT',
  path: '/v1/exhaust-port',
  verdict: 'VERDICT_DENIED',
  status: 403,
  latencyNs: 0,
} as const;

const PROXY_CASES: readonly { name: string; record: Partial<AccessRecord>; lines: readonly string[] }[] = [
  {
    name: 'allowed request and its response',
    record: {},
    lines: [
      `${AT}${TIE} -> ${STAR} http-request FORWARDED ${BY} (HTTP/1.1 POST ${URL_LANDING})`,
      `Jan 02 15:04:05.127: ${TIE} <- ${STAR} http-response FORWARDED (HTTP/1.1 200 4ms (POST ${URL_LANDING}))`,
    ],
  },
  {
    name: 'denied request: dropped, with the 403 as forwarded response',
    record: EXHAUST,
    lines: [
      `${AT}${TIE} -> ${STAR} http-request DROPPED ${BY} (HTTP/1.1 PUT ${URL_EXHAUST})`,
      `${AT}${TIE} <- ${STAR} http-response FORWARDED (HTTP/1.1 403 0ms (PUT ${URL_EXHAUST}))`,
    ],
  },
  {
    name: 'request whose response was never seen',
    record: { status: 0 },
    lines: [`${AT}${TIE} -> ${STAR} http-request FORWARDED ${BY} (HTTP/1.1 POST ${URL_LANDING})`],
  },
  {
    name: 'enum as a number, no host',
    record: { verdict: 4, status: 502, host: '', latencyNs: 1_999_999 },
    lines: [
      `${AT}${TIE} -> ${STAR} http-request FORWARDED ${BY} (HTTP/1.1 POST /v1/request-landing)`,
      `Jan 02 15:04:05.125: ${TIE} <- ${STAR} http-response FORWARDED (HTTP/1.1 502 1ms (POST /v1/request-landing))`,
    ],
  },
  {
    name: 'escape sequences in a path do not reach the terminal',
    record: { path: '/\x1b[2J\u009b', status: 0 },
    lines: [
      `${AT}${TIE} -> ${STAR} http-request FORWARDED ${BY} (HTTP/1.1 POST http://deathstar.default.svc.cluster.local/\\x1b[2J\\x9b)`,
    ],
  },
  {
    name: 'request that passed in audit mode',
    record: { verdict: 'VERDICT_AUDITED', status: 0, policies: [] },
    lines: [`${AT}${TIE} -> ${STAR} http-request AUDIT (HTTP/1.1 POST ${URL_LANDING})`],
  },
  { name: 'record with a broken address: nothing', record: { source: new Uint8Array(4) }, lines: [] },
  { name: 'record without verdict: nothing', record: { verdict: 'VERDICT_UNKNOWN' }, lines: [] },
];

for (const { name, record, lines: expected } of PROXY_CASES) {
  test(`\`proxyFlows\`: ${name}`, () => {
    const flows = proxyFlows(accessRecord(record), sceneContext());
    assert.deepEqual(compactLines(flows.make()), expected);
    assert.equal(flows.count, expected.length);
  });
}

test('`proxyFlows` reads records as they come from a worker', () => {
  const options = { file: 'proxy.proto', name: 'weir.proxy.v1.ProxyControl', camelCase: true, longs: 'text' } as const;
  const attach = loadService(options).Attach;
  assert.ok(attach);
  const sent = { records: { records: [{ ...accessRecord(EXHAUST), latencyNs: '2000000' }], dropped: 1 } };
  const wire = attach.requestSerialize(sent) as Buffer;
  const { records } = (attach.requestDeserialize(wire) as { records: { records: AccessRecord[] } }).records;
  assert.deepEqual(compactLines(proxyFlows(records[0] as AccessRecord, sceneContext()).make()), [
    `${AT}${TIE} -> ${STAR} http-request DROPPED ${BY} (HTTP/1.1 PUT ${URL_EXHAUST})`,
    `Jan 02 15:04:05.125: ${TIE} <- ${STAR} http-response FORWARDED (HTTP/1.1 403 2ms (PUT ${URL_EXHAUST}))`,
  ]);
});

test('`flowToJson` of a denied request has everything that Hubble has', () => {
  const traceId = Buffer.from('0af7651916cd43dd8448eb211c80319c', 'hex');
  const [request, response] = proxyFlows(accessRecord({ ...EXHAUST, traceId }), sceneContext()).make();
  const { uuid, ...json } = flowToJson(request as Flow);
  assert.match(String(uuid), /^[0-9a-f-]{36}$/);
  assert.deepEqual(json, {
    time: '2026-01-02T15:04:05.123456789Z',
    verdict: 'DROPPED',
    IP: { source: '10.244.0.11', destination: '10.244.0.10', ipVersion: 'IPv4' },
    l4: { TCP: { source_port: 33456, destination_port: 80 } },
    source: {
      ID: 11,
      identity: 300,
      namespace: 'default',
      labels: ['k8s:class=tiefighter', 'k8s:io.kubernetes.pod.namespace=default'],
      pod_name: 'tiefighter',
      workloads: [{ kind: 'Pod', name: 'tiefighter' }],
      cluster_name: 'default',
    },
    destination: {
      ID: 10,
      identity: 302,
      namespace: 'default',
      labels: ['k8s:class=deathstar', 'k8s:io.kubernetes.pod.namespace=default'],
      pod_name: 'deathstar-a',
      workloads: [{ kind: 'Deployment', name: 'deathstar' }],
      cluster_name: 'default',
    },
    Type: 'L7',
    node_name: 'node0',
    l7: { type: 'REQUEST', http: { method: 'PUT', url: URL_EXHAUST, protocol: 'HTTP/1.1' } },
    event_type: { type: 129 },
    traffic_direction: 'INGRESS',
    is_reply: false,
    trace_context: { parent: { trace_id: '0af7651916cd43dd8448eb211c80319c' } },
    Summary: `HTTP/1.1 PUT ${URL_EXHAUST}`,
    ingress_denied_by: [
      {
        name: 'rule1',
        namespace: 'default',
        labels: [
          'k8s:io.cilium.k8s.policy.derived-from=CiliumNetworkPolicy',
          'k8s:io.cilium.k8s.policy.name=rule1',
          'k8s:io.cilium.k8s.policy.namespace=default',
        ],
        kind: 'CiliumNetworkPolicy',
      },
    ],
  });
  assert.equal(flowToJson(response as Flow).is_reply, true);
});

test('`proxyFlows` names who it was, not who has the address when somebody reads it', () => {
  const tables = sceneTables();
  const names = createNames(tables);
  const flows = proxyFlows(accessRecord({}), { node: 'node0', names, wallNs: sceneClock });
  const row = tables.inputs.endpoints.get('default/tiefighter');
  assert.ok(row);
  tables.inputs.endpoints.set('default/tiefighter', { ...row, pod: 'successor' });
  assert.equal(flows.make()[0]?.source?.pod_name, 'tiefighter');
  assert.equal(names.endpoint(ADDRESSES.tiefighter, IDS.tiefighter).pod_name, 'successor');
});
