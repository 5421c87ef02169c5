import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileFilter, compileFilters } from './filter.ts';
import { flow, http } from './flow.fixture.ts';
import type { Flow, FlowFilter } from './model.ts';

const CASES: readonly { filter: FlowFilter; change?: Partial<Flow>; holds: boolean }[] = [
  { filter: {}, holds: true },
  { filter: { source_pod: ['tiefighter'] }, holds: true },
  { filter: { source_pod: ['tie'] }, holds: true },
  { filter: { source_pod: ['xwing'] }, holds: false },
  { filter: { source_pod: ['xwing', 'tiefighter'] }, holds: true },
  { filter: { source_pod: ['kube-system/tiefighter'] }, holds: false },
  { filter: { source_pod: ['default/'] }, holds: true },
  { filter: { source_pod: ['/tie'] }, holds: true },
  { filter: { source_pod: ['tie'] }, change: { source: { namespace: 'other', pod_name: 'tiefighter' } }, holds: false },
  { filter: { source_pod: ['/'] }, change: { source: { identity: 2 } }, holds: false },
  { filter: { source_pod: ['tiefighter'], destination_pod: ['xwing'] }, holds: false },
  { filter: { destination_pod: ['default/deathstar-'] }, holds: true },
  { filter: { destination_service: ['deathstar'] }, holds: false },
  {
    filter: { destination_service: ['deathstar'] },
    change: { destination_service: { name: 'deathstar', namespace: 'default' } },
    holds: true,
  },
  { filter: { source_label: ['class=tiefighter'] }, holds: true },
  { filter: { source_label: ['k8s:class=tiefighter'] }, holds: true },
  { filter: { source_label: ['cni:class=tiefighter'] }, holds: false },
  { filter: { source_label: ['class=tiefighter,org!=empire'] }, holds: false },
  { filter: { source_label: ['class in (xwing, tiefighter), org'] }, holds: true },
  { filter: { source_label: ['class notin (xwing,tiefighter)'] }, holds: false },
  { filter: { source_label: ['!debug'] }, holds: true },
  { filter: { source_label: ['reserved:world'] }, change: { source: { labels: ['reserved:world'] } }, holds: true },
  { filter: { source_identity: [300] }, holds: true },
  { filter: { source_identity: [301] }, holds: false },
  { filter: { source_identity: [0] }, change: { source: {} }, holds: true },
  { filter: { source_ip: ['10.244.0.11'] }, holds: true },
  { filter: { source_ip: ['10.244.0.0/24'] }, holds: true },
  { filter: { source_ip: ['10.244.0.0/29'] }, holds: false },
  { filter: { source_ip: ['fd00::/8'] }, holds: false },
  { filter: { source_ip: ['::/0'] }, change: { IP: { source: 'fd00::1', destination: 'fd00::2' } }, holds: true },
  { filter: { destination_port: ['80'] }, holds: true },
  { filter: { destination_port: ['8080'] }, holds: false },
  { filter: { source_port: ['33456'] }, holds: true },
  { filter: { protocol: ['TCP'] }, holds: true },
  { filter: { protocol: ['udp', 'icmp'] }, holds: false },
  { filter: { protocol: ['icmp'] }, change: { l4: { ICMPv6: { type: 128 } } }, holds: true },
  { filter: { protocol: ['http'] }, holds: false },
  { filter: { protocol: ['http'] }, change: http({}), holds: true },
  { filter: { verdict: ['DROPPED', 'FORWARDED'] }, holds: true },
  { filter: { verdict: ['DROPPED'] }, holds: false },
  { filter: { drop_reason_desc: ['POLICY_DENIED'] }, change: { drop_reason_desc: 'POLICY_DENIED' }, holds: true },
  { filter: { drop_reason_desc: ['POLICY_DENIED'] }, holds: false },
  { filter: { event_type: [{ type: 4 }] }, holds: true },
  { filter: { event_type: [{ type: 4, match_sub_type: true }] }, holds: true },
  { filter: { event_type: [{ type: 4, match_sub_type: true, sub_type: 1 }] }, holds: false },
  { filter: { event_type: [{ type: 129 }] }, change: http({}), holds: true },
  { filter: { traffic_direction: ['EGRESS'] }, holds: false },
  { filter: { reply: [false] }, holds: true },
  { filter: { reply: [true] }, holds: false },
  { filter: { tcp_flags: [{ SYN: true }] }, holds: true },
  { filter: { tcp_flags: [{ SYN: true, ACK: true }] }, holds: false },
  { filter: { ip_version: ['IPv6'] }, holds: false },
  { filter: { node_name: ['node0'] }, holds: true },
  { filter: { uuid: ['x'] }, holds: false },
  { filter: { trace_id: ['ab'] }, change: { trace_context: { parent: { trace_id: 'ab' } } }, holds: true },
  { filter: { trace_id: ['ab'] }, holds: false },
  { filter: { source_workload: [{ name: 'tiefighter' }] }, holds: true },
  { filter: { destination_workload: [{ kind: 'Deployment', name: 'xwing' }] }, holds: false },
  { filter: { http_method: ['put'] }, change: http({ method: 'PUT' }), holds: true },
  { filter: { http_method: ['GET'] }, holds: false },
  { filter: { http_status_code: ['403'] }, change: http({ code: 403 }), holds: true },
  { filter: { http_status_code: ['4+'] }, change: http({ code: 403 }), holds: true },
  { filter: { http_status_code: ['5+'] }, change: http({ code: 403 }), holds: false },
  { filter: { http_status_code: ['4+'] }, change: http({}), holds: false },
  { filter: { http_path: ['^/v1/exhaust'] }, change: http({ path: '/v1/exhaust-port?x=1' }), holds: true },
  { filter: { http_path: ['x=1'] }, change: http({ path: '/v1/exhaust-port?x=1' }), holds: false },
  { filter: { http_url: ['deathstar.*x=1$'] }, change: http({ path: '/v1/?x=1' }), holds: true },
  { filter: { interface: [{ name: 'lxc12' }] }, change: { interface: { index: 12, name: 'lxc12' } }, holds: true },
  { filter: { interface: [{ name: 'lxc12' }] }, holds: false },
];

for (const { filter, change, holds } of CASES) {
  test(`\`compileFilter\`: ${JSON.stringify(filter)} ${holds ? 'holds' : 'does not hold'}${change ? ' (changed flow)' : ''}`, () => {
    const condition = compileFilter(filter);
    assert.ok(condition.ok, condition.ok ? '' : condition.error);
    assert.equal(condition.value(flow(change)), holds);
  });
}

const REFUSED: readonly { filter: FlowFilter; error: RegExp }[] = [
  { filter: { source_ip: ['10.244.0.300'] }, error: /source_ip: .*10\.244\.0\.300/ },
  { filter: { destination_port: ['http'] }, error: /destination_port: "http" is not a port/ },
  { filter: { protocol: ['carrier-pigeon'] }, error: /protocol: "carrier-pigeon"/ },
  { filter: { http_path: ['('] }, error: /http_path: "\(" is not a regular expression/ },
  { filter: { http_status_code: ['9'] }, error: /http_status_code: "9"/ },
  { filter: { source_label: ['class=(a'] }, error: /source_label: .*not a label selector/ },
  { filter: { source_label: [''] }, error: /source_label: .*not a label selector/ },
  { filter: { source_pod: [''] }, error: /source_pod: an empty name/ },
  { filter: { dns_query: ['.*'] }, error: /dns_query: not supported/ },
  { filter: { verdict: Array(257).fill('DROPPED') }, error: /verdict: 257 values/ },
];

for (const { filter, error } of REFUSED) {
  test(`\`compileFilter\` refuses ${JSON.stringify(filter).slice(0, 60)}`, () => {
    const condition = compileFilter(filter);
    assert.ok(!condition.ok);
    assert.match(condition.error, error);
  });
}

test('`compileFilters` joins whitelists by OR and takes blacklists away', () => {
  const filters = compileFilters({
    whitelist: [{ source_pod: ['tiefighter'] }, { destination_pod: ['tiefighter'] }],
    blacklist: [{ verdict: ['DROPPED'] }],
  });
  assert.ok(filters.ok);
  const xwing = { namespace: 'default', pod_name: 'xwing' };
  assert.equal(filters.value(flow()), true);
  assert.equal(filters.value(flow({ source: xwing, destination: flow().source ?? {} })), true);
  assert.equal(filters.value(flow({ source: xwing })), false);
  assert.equal(filters.value(flow({ verdict: 'DROPPED' })), false);
  assert.ok(!compileFilters({ whitelist: Array(257).fill({}) }).ok);
});
