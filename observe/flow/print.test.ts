import assert from 'node:assert/strict';
import { test } from 'node:test';
import { flow, http } from './flow.fixture.ts';
import { responseToJson, rfc3339 } from './json.ts';
import type { Flow } from './model.ts';
import { type PrintOptions, printResponse } from './print.ts';

const COMPACT: PrintOptions = { output: 'compact', policyNames: false, nodeName: false, numeric: false };
const POLICY = { ingress_allowed_by: [{ name: 'a', kind: 'CiliumNetworkPolicy' }, { name: 'b' }] } as const;
const VERDICT = { event_type: { type: 5 }, policy_match_type: 2 } as const;
const ENDS = 'default/tiefighter:33456 (ID:300) -> default/deathstar-a:80 (ID:302)';

const CASES: readonly { name: string; change: Partial<Flow>; options?: Partial<PrintOptions>; line: string }[] = [
  { name: 'delivery', change: {}, line: `Jan 01 00:16:40.000: ${ENDS} to-endpoint FORWARDED (TCP Flags: SYN)` },
  {
    name: 'verdict without policy names',
    change: { ...VERDICT, ...POLICY },
    line: `Jan 01 00:16:40.000: ${ENDS} policy-verdict:L3-L4 INGRESS ALLOWED (TCP Flags: SYN)`,
  },
  {
    name: 'verdict with policy names and node',
    change: { ...VERDICT, ...POLICY },
    options: { policyNames: true, nodeName: true },
    line: `Jan 01 00:16:40.000 [node0]: ${ENDS} policy-verdict:L3-L4 INGRESS ALLOWED BY a (CiliumNetworkPolicy), b (TCP Flags: SYN)`,
  },
  {
    name: 'drop with policy names',
    change: {
      event_type: { type: 1, sub_type: 181 },
      verdict: 'DROPPED',
      drop_reason_desc: 'POLICY_DENY',
      traffic_direction: 'INGRESS',
      ingress_denied_by: [{ name: 'a', kind: 'NetworkPolicy' }],
      egress_denied_by: [{ name: 'not-asked' }],
    },
    options: { policyNames: true },
    line: `Jan 01 00:16:40.000: ${ENDS} Policy denied by denylist DROPPED BY a (NetworkPolicy) (TCP Flags: SYN)`,
  },
  {
    name: 'request with the policies of both ends, each once',
    change: {
      ...http({ method: 'GET' }),
      l7: { type: 'REQUEST', http: { method: 'GET', url: '/' } },
      ...POLICY,
      egress_allowed_by: [{ name: 'b' }, { name: 'c' }],
    },
    options: { policyNames: true },
    line: `Jan 01 00:16:40.000: ${ENDS} http-request FORWARDED BY a (CiliumNetworkPolicy), b, c (TCP Flags: SYN)`,
  },
  {
    name: 'audited verdict',
    change: { ...VERDICT, verdict: 'AUDIT' },
    line: `Jan 01 00:16:40.000: ${ENDS} policy-verdict:L3-L4 INGRESS AUDITED (TCP Flags: SYN)`,
  },
  {
    name: 'addresses instead of names, IPv6',
    change: { IP: { source: 'fd00::1', destination: 'fd00::2', ipVersion: 'IPv6' } },
    options: { numeric: true },
    line: 'Jan 01 00:16:40.000: [fd00::1]:33456 (ID:300) -> [fd00::2]:80 (ID:302) to-endpoint FORWARDED (TCP Flags: SYN)',
  },
  {
    name: 'service and names where there is no pod',
    change: {
      source: { identity: 1 },
      source_names: ['a.example', 'b.example'],
      destination: {},
      destination_service: { name: 'deathstar', namespace: 'default' },
    },
    line: 'Jan 01 00:16:40.000: a.example,b.example:33456 (host) -> default/deathstar:80 (unknown) to-endpoint FORWARDED (TCP Flags: SYN)',
  },
  {
    name: 'response',
    change: { ...http({ code: 200 }), is_reply: { value: true }, Summary: 'HTTP/1.1 200 1ms (GET /)' },
    line: 'Jan 01 00:16:40.000: default/deathstar-a:80 (ID:302) <- default/tiefighter:33456 (ID:300) http-response FORWARDED (HTTP/1.1 200 1ms (GET /))',
  },
];

for (const { name, change, options, line } of CASES) {
  test(`\`printResponse\` compact: ${name}`, () => {
    assert.equal(printResponse({ flow: flow(change) }, { ...COMPACT, ...options }), `${line}\n`);
  });
}

test('`printResponse` dict: one field a line', () => {
  assert.equal(
    printResponse({ flow: flow() }, { ...COMPACT, output: 'dict' }),
    [
      '  TIMESTAMP: Jan 01 00:16:40.000',
      '     SOURCE: default/tiefighter:33456',
      'DESTINATION: default/deathstar-a:80',
      '       TYPE: to-endpoint',
      '    VERDICT: FORWARDED',
      '    SUMMARY: TCP Flags: SYN',
      '------------\n',
    ].join('\n'),
  );
});

test('`printResponse` shows what was lost, and nothing for an empty response', () => {
  const lost = { lost_events: { source: 'HUBBLE_RING_BUFFER', num_events_lost: '12' } } as const;
  assert.equal(printResponse(lost, COMPACT), 'EVENTS LOST: HUBBLE_RING_BUFFER 12\n');
  assert.equal(printResponse({}, COMPACT), undefined);
});

test('`printResponse` json: one line, fields in the order of the API, zeros left out, false kept where it says something', () => {
  const response = {
    flow: flow({ reply: false, drop_reason: 0, destination_names: [], ...http({ code: 403, method: 'PUT' }) }),
    node_name: 'node0',
    time: { seconds: '1000', nanos: 500_000 },
  };
  const line = printResponse(response, { ...COMPACT, output: 'json' });
  assert.equal(
    line,
    '{"flow":{"time":"1970-01-01T00:16:40Z","verdict":"FORWARDED",' +
      '"IP":{"source":"10.244.0.11","destination":"10.244.0.10","ipVersion":"IPv4"},' +
      '"l4":{"TCP":{"source_port":33456,"destination_port":80,"flags":{"SYN":true}}},' +
      '"source":{"ID":11,"identity":300,"namespace":"default","pod_name":"tiefighter",' +
      '"labels":["k8s:class=tiefighter","k8s:org=empire"],"workloads":[{"kind":"Pod","name":"tiefighter"}]},' +
      '"destination":{"ID":10,"identity":302,"namespace":"default","pod_name":"deathstar-a",' +
      '"labels":["k8s:class=deathstar","k8s:org=empire"],"workloads":[{"kind":"Deployment","name":"deathstar"}]},' +
      '"Type":"L7","node_name":"node0","l7":{"type":"RESPONSE","latency_ns":"1000000","http":{"code":403,"method":"PUT",' +
      '"url":"http://deathstar.default.svc.cluster.local/v1/","protocol":"HTTP/1.1"}},' +
      '"event_type":{"type":129},"traffic_direction":"INGRESS","trace_observation_point":"TO_ENDPOINT",' +
      '"is_reply":false,"Summary":"TCP Flags: SYN"},"node_name":"node0","time":"1970-01-01T00:16:40.000500Z"}\n',
  );
});

test('`responseToJson` reads a wrapper that came over the wire without its default value', () => {
  const wire = { flow: flow({ is_reply: {} as { value: boolean } }) };
  assert.equal((responseToJson(wire).flow as { is_reply: boolean }).is_reply, false);
  assert.equal(
    'is_reply' in (responseToJson({ flow: { ...flow(), is_reply: undefined } as never }).flow as object),
    false,
  );
});

test('`rfc3339` writes as many digits as are needed, in threes', () => {
  const cases = [
    { nanos: 0, text: '1970-01-01T00:00:01Z' },
    { nanos: 120_000_000, text: '1970-01-01T00:00:01.120Z' },
    { nanos: 1_000, text: '1970-01-01T00:00:01.000001Z' },
    { nanos: 1, text: '1970-01-01T00:00:01.000000001Z' },
  ];
  for (const { nanos, text } of cases) assert.equal(rfc3339({ seconds: 1, nanos }), text);
});
