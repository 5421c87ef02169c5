import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { loadService } from './load.ts';
import { nodeService, observerService } from './node.ts';

const text = (file: string): string => readFileSync(new URL(file, import.meta.url), 'utf8');

/** Fields of a message in a .proto file, by name. */
function fieldsOf(proto: string, message: string): Record<string, number> {
  const body = new RegExp(`^message ${message} \\{\\n(.*?)^\\}`, 'ms').exec(proto)?.[1] ?? '';
  const fields = [...body.matchAll(/^\s+(?:repeated |optional )?[\w.]+ (\w+) = (\d+);/gm)];
  return Object.fromEntries(fields.map(([, name, number]) => [name, Number(number)]));
}

// Clients that were built from Hubble's own files read these numbers.
const FLOW_NUMBERS = {
  time: 1,
  verdict: 2,
  drop_reason: 3,
  IP: 5,
  l4: 6,
  source: 8,
  destination: 9,
  Type: 10,
  node_name: 11,
  source_names: 13,
  destination_names: 14,
  l7: 15,
  reply: 16,
  event_type: 19,
  source_service: 20,
  destination_service: 21,
  traffic_direction: 22,
  policy_match_type: 23,
  trace_observation_point: 24,
  drop_reason_desc: 25,
  is_reply: 26,
  interface: 28,
  proxy_port: 29,
  trace_context: 30,
  uuid: 34,
  auth_type: 35,
  egress_allowed_by: 21001,
  ingress_allowed_by: 21002,
  egress_denied_by: 21004,
  ingress_denied_by: 21005,
  Summary: 100000,
};

test('flow.Flow and the observer have the numbers that clients know', () => {
  assert.deepEqual(fieldsOf(text('flow.proto'), 'Flow'), FLOW_NUMBERS);
  const observer = text('observer.proto');
  const request = { number: 1, first: 9, follow: 3, blacklist: 5, whitelist: 6, since: 7, until: 8 };
  assert.deepEqual(fieldsOf(observer, 'GetFlowsRequest'), request);
  const response = { flow: 1, node_status: 2, lost_events: 3, node_name: 1000, time: 1001 };
  assert.deepEqual(fieldsOf(observer, 'GetFlowsResponse'), response);
  assert.deepEqual(fieldsOf(observer, 'NoSuchMessage'), {});
});

test('GetFlowsResponse on the wire is what those numbers say', () => {
  const { GetFlows } = observerService();
  const response = {
    flow: { time: { seconds: 1 }, verdict: 'DROPPED', is_reply: { value: false }, Summary: 'x' },
    node_name: 'n',
  };
  const bytes = GetFlows?.responseSerialize(response) as Buffer;
  // flow=1 {time=1 {seconds=1: 1} verdict=2: 2, is_reply=26 {value=1: false}, Summary=100000: "x"}, node_name=1000: "n"
  assert.equal(bytes.toString('hex'), '0a100a0208011002d20102080082ea300178c23e016e');
  assert.deepEqual(GetFlows?.responseDeserialize(bytes), {
    flow: { time: { seconds: '1' }, verdict: 'DROPPED', is_reply: { value: false }, Summary: 'x' },
    node_name: 'n',
  });
});

test('messages of the node API have camel-case names, numbers and defaults', () => {
  const { GetStatus } = nodeService();
  const bytes = GetStatus?.responseSerialize({ node: 'a', policyRevision: 3 }) as Buffer;
  const status = GetStatus?.responseDeserialize(bytes) as Record<string, unknown>;
  assert.deepEqual([status.node, status.policyRevision, status.ready, status.maps], ['a', 3, false, []]);
});

test('`loadService` refuses a service that is not in the file', () => {
  const options = { file: 'node.proto', name: 'weir.node.v1.Nobody', camelCase: true, longs: 'number' } as const;
  assert.throws(() => loadService(options), /Cannot load service weir\.node\.v1\.Nobody: not in node\.proto/);
});
