// A request between two workloads, for tests.

import type { HttpExchange, Party } from './span.ts';

export const TIEFIGHTER: Party = {
  address: '10.244.0.5',
  identity: 261,
  namespace: 'default',
  pod: 'tiefighter',
  workload: 'tiefighter',
};
export const DEATHSTAR: Party = {
  address: '10.244.0.9',
  identity: 257,
  namespace: 'default',
  pod: 'deathstar-6fb5694d48-5hmds',
  workload: 'deathstar',
};

/** POST /v1/request-landing?ship=7, allowed, 200 after 1.5 ms; with changes. */
export function exchange(changes: Partial<HttpExchange> = {}): HttpExchange {
  return {
    startUnixUs: 1_700_000_000_123_456.5,
    durationUs: 1_500.25,
    method: 'POST',
    target: '/v1/request-landing?ship=7',
    host: 'deathstar.default.svc.cluster.local:8080',
    protocolVersion: '1.1',
    status: 200,
    verdict: 'FORWARDED',
    reason: '',
    policies: ['default/rule1'],
    requestBytes: 120,
    responseBytes: 140,
    source: TIEFIGHTER,
    sourcePort: 40_001,
    destination: DEATHSTAR,
    destinationPort: 80,
    ...changes,
  };
}
