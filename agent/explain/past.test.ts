import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Flow } from '#observe/flow/model.ts';
import { pastFlow, questionOf } from './past.ts';

const FLOW: Flow = {
  time: { seconds: 1 },
  uuid: 'u',
  verdict: 'DROPPED',
  Type: 'L3_L4',
  event_type: { type: 1 },
  IP: { source: '10.0.0.1', destination: '192.0.2.1' },
  source: { namespace: 'a', pod_name: 'x' },
  l4: { TCP: { source_port: 40_000, destination_port: 80 } },
  is_reply: { value: false },
  egress_denied_by: [{ name: 'p', namespace: 'a', kind: 'CiliumNetworkPolicy' }],
};

test('`questionOf` asks about a flow from the end that began it', () => {
  const http = { method: 'GET', url: 'http://h.example/p?q', headers: [{ key: 'a', value: 'b' }] };
  const request = { method: 'GET', path: '/p?q', host: 'h.example', headers: [{ name: 'a', value: 'b' }] };
  const cases: { change: Partial<Flow>; question: unknown }[] = [
    { change: {}, question: { from: 'a/x', to: '192.0.2.1', port: '80/TCP' } },
    { change: { is_reply: { value: true } }, question: { from: '192.0.2.1', to: 'a/x', port: '40000/TCP' } },
    { change: { l4: { ICMPv6: { type: 128 } } }, question: { from: 'a/x', to: '192.0.2.1', port: '128/ICMPv6' } },
    { change: { l4: { ICMPv4: {} } }, question: { from: 'a/x', to: '192.0.2.1', port: '0/ICMP' } },
    {
      change: { l7: { type: 'REQUEST', http } },
      question: { from: 'a/x', to: '192.0.2.1', port: '80/TCP', request },
    },
  ];
  for (const { change, question } of cases) {
    assert.deepEqual(questionOf({ ...FLOW, ...change }), { ok: true, value: question });
  }
  const { l4: _, ...bare } = FLOW;
  assert.deepEqual(questionOf(bare), { ok: false, error: 'it has neither ports nor an ICMP type' });
  const { IP: __, ...nowhere } = FLOW;
  assert.deepEqual(questionOf(nowhere), { ok: false, error: 'it has no addresses' });
});

test('`pastFlow` says what was recorded', () => {
  const { verdict, deniedBy, allowedBy } = pastFlow(FLOW);
  assert.deepEqual([verdict, deniedBy.length, allowedBy.length], ['DROPPED', 1, 0]);
});
