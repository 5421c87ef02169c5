// Every option of a worker: one table, parsed once.

import type { Options } from '#common/options.ts';
import { DEFAULT_LIMITS, type Limits } from './limits.ts';

export const PROXY_OPTIONS = {
  slot: { env: 'WEIR_SLOT', type: 'number', default: 0, min: 0, about: 'Slot in the steering map.' },
  control: { env: 'WEIR_PROXY_SOCKET', type: 'string', default: '', about: "Path of the agent's control socket." },
  listenerFd: { env: 'WEIR_LISTENER_FD', type: 'number', default: 3, min: 0, about: 'Inherited listening socket.' },
  conntrackFd: {
    env: 'WEIR_CONNTRACK_FD',
    type: 'number',
    default: 4,
    min: 0,
    about: 'Inherited map conntrack, read-only.',
  },
  nodeConfigFd: {
    env: 'WEIR_NODE_CONFIG_FD',
    type: 'number',
    default: 5,
    min: 0,
    about: 'Inherited map node_config, read-only.',
  },
  endpointAddrsFd: {
    env: 'WEIR_ENDPOINT_ADDRS_FD',
    type: 'number',
    default: 6,
    min: 0,
    about: 'Inherited map endpoint_addrs, read-only.',
  },
  metricsPort: {
    env: 'WEIR_PROXY_METRICS_PORT',
    type: 'number',
    default: 9970,
    min: 0,
    about: 'Metrics are served on 127.0.0.1 at this port plus the slot; 0: not at all.',
  },
  zipkinUrl: { env: 'WEIR_ZIPKIN_URL', type: 'string', default: '', about: 'Zipkin v2 endpoint for spans.' },
  otlpGrpcUrl: { env: 'WEIR_OTLP_GRPC_URL', type: 'string', default: '', about: 'OTLP/gRPC endpoint for spans.' },
  otlpHttpUrl: { env: 'WEIR_OTLP_HTTP_URL', type: 'string', default: '', about: 'OTLP/HTTP endpoint for spans.' },
  sampling: {
    env: 'WEIR_SAMPLING',
    type: 'number',
    default: 1,
    min: 0,
    about: 'Share of requests without a sampled parent that become spans, 0 to 1.',
  },
  maxHeadBytes: limit('WEIR_MAX_HEAD_BYTES', 'maxHeadBytes', 'Largest head of a message, in bytes.'),
  maxFields: limit('WEIR_MAX_FIELDS', 'maxFields', 'Most fields of a head.'),
  maxConnections: limit('WEIR_MAX_CONNECTIONS', 'maxConnections', 'Most client connections.'),
  maxConnectionsPerSource: limit(
    'WEIR_MAX_CONNECTIONS_PER_SOURCE',
    'maxConnectionsPerSource',
    'Most client connections from one address.',
  ),
  maxPipelined: limit('WEIR_MAX_PIPELINED', 'maxPipelined', 'Most requests of a connection that wait for responses.'),
  maxDiscardBytes: limit('WEIR_MAX_DISCARD_BYTES', 'maxDiscardBytes', 'Largest body of a denied request that is read.'),
  maxInterim: limit('WEIR_MAX_INTERIM', 'maxInterim', 'Most interim responses to a request.'),
  maxWaitingBytes: limit(
    'WEIR_MAX_WAITING_BYTES',
    'maxWaitingBytes',
    'Most bytes that wait in memory, of all connections.',
  ),
  maxRuleBytes: limit('WEIR_MAX_RULE_BYTES', 'maxRuleBytes', 'Most bytes that compiled rules may come to hold.'),
  headTimeoutMs: limit('WEIR_HEAD_TIMEOUT_MS', 'headTimeoutMs', 'Longest time for a head to arrive.'),
  idleTimeoutMs: limit('WEIR_IDLE_TIMEOUT_MS', 'idleTimeoutMs', 'Longest time without a byte.'),
  connectTimeoutMs: limit('WEIR_CONNECT_TIMEOUT_MS', 'connectTimeoutMs', 'Longest time to connect to a server.'),
  recordsPerSecond: limit('WEIR_RECORDS_PER_SECOND', 'recordsPerSecond', 'Records of allowed requests per second.'),
  deniedRecordsPerSecond: limit(
    'WEIR_DENIED_RECORDS',
    'deniedRecordsPerSecond',
    'Records of other requests per second.',
  ),
  sampledPerSecond: limit(
    'WEIR_SAMPLED_PER_SECOND',
    'sampledPerSecond',
    'Most sampled requests per second that become spans; fewer where they would cost a loaded worker more than a few percent.',
  ),
  drainTimeoutMs: {
    env: 'WEIR_DRAIN_TIMEOUT_MS',
    type: 'number',
    default: 30_000,
    min: 0,
    about: 'Longest time to finish what is in flight after SIGTERM.',
  },
  warm: {
    env: 'WEIR_PROXY_WARM',
    type: 'boolean',
    default: false,
    about: 'Only load every module, for NODE_COMPILE_CACHE, and exit.',
  },
  logLevel: { env: 'WEIR_LOG_LEVEL', type: 'string', default: 'info', about: 'trace, debug, info, warn or error.' },
} as const;

export type ProxyOptions = Options<typeof PROXY_OPTIONS>;

function limit(env: string, name: keyof Limits, about: string) {
  return { env, type: 'number' as const, default: DEFAULT_LIMITS[name], min: 1, about };
}

/** The limits among the options. */
export function limitsOf(options: ProxyOptions): Limits {
  const names = Object.keys(DEFAULT_LIMITS) as (keyof Limits)[];
  return Object.fromEntries(names.map((name) => [name, options[name]])) as unknown as Limits;
}
