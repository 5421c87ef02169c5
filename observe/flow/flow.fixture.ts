// Flows for the tests of this folder.

import type { Flow } from './model.ts';

/** A forwarded SYN from default/tiefighter to default/deathstar-a:80 at second `second`, to which `change` is applied. */
export function flow(change: Partial<Flow> = {}, second = 1_000): Flow {
  return {
    time: { seconds: second },
    verdict: 'FORWARDED',
    IP: { source: '10.244.0.11', destination: '10.244.0.10', ipVersion: 'IPv4' },
    l4: { TCP: { source_port: 33456, destination_port: 80, flags: { SYN: true } } },
    source: {
      ID: 11,
      identity: 300,
      namespace: 'default',
      pod_name: 'tiefighter',
      labels: ['k8s:class=tiefighter', 'k8s:org=empire'],
      workloads: [{ kind: 'Pod', name: 'tiefighter' }],
    },
    destination: {
      ID: 10,
      identity: 302,
      namespace: 'default',
      pod_name: 'deathstar-a',
      labels: ['k8s:class=deathstar', 'k8s:org=empire'],
      workloads: [{ kind: 'Deployment', name: 'deathstar' }],
    },
    Type: 'L3_L4',
    node_name: 'node0',
    event_type: { type: 4 },
    traffic_direction: 'INGRESS',
    trace_observation_point: 'TO_ENDPOINT',
    is_reply: { value: false },
    Summary: 'TCP Flags: SYN',
    ...change,
  };
}

/** The fields of an L7 flow. */
export function http(details: { code?: number; method?: string; path?: string }): Partial<Flow> {
  const url = `http://deathstar.default.svc.cluster.local${details.path ?? '/v1/'}`;
  const message = { method: details.method ?? 'GET', url, protocol: 'HTTP/1.1' };
  return {
    Type: 'L7',
    event_type: { type: 129 },
    l7: details.code
      ? { type: 'RESPONSE', latency_ns: '1000000', http: { code: details.code, ...message } }
      : { type: 'REQUEST', http: message },
  };
}
