// Every option of the agent: one table, parsed once.

import type { Options } from '#common/options.ts';

/** Slots of the steering map. */
const MAX_WORKERS = 64;
const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error'] as const;

export const AGENT_OPTIONS = {
  node: { env: 'WEIR_NODE', type: 'string', default: 'node0', about: 'Name of the node.' },
  dir: { env: 'WEIR_DIR', type: 'string', default: '', about: 'Folder of YAML that the node runs.' },
  workers: {
    env: 'WEIR_WORKERS',
    type: 'number',
    default: 0,
    min: 0,
    max: MAX_WORKERS,
    integer: true,
    about: 'Proxy workers; 0: one per core.',
  },
  attachMode: {
    env: 'WEIR_ATTACH_MODE',
    type: 'string',
    default: 'auto',
    oneOf: ['tcx', 'clsact', 'auto'],
    about: 'tcx, clsact or auto.',
  },
  zipkinUrl: {
    env: 'WEIR_ZIPKIN_URL',
    type: 'string',
    default: '',
    url: true,
    about: 'Zipkin v2 endpoint for spans, e.g. http://127.0.0.1:9411/api/v2/spans.',
  },
  otlpGrpcUrl: {
    env: 'WEIR_OTLP_GRPC_URL',
    type: 'string',
    default: '',
    url: true,
    about: 'OTLP/gRPC endpoint for spans.',
  },
  otlpHttpUrl: {
    env: 'WEIR_OTLP_HTTP_URL',
    type: 'string',
    default: '',
    url: true,
    about: 'OTLP/HTTP endpoint for spans.',
  },
  sampling: {
    env: 'WEIR_SAMPLING',
    type: 'number',
    default: 1,
    min: 0,
    max: 1,
    about: 'Share of requests without a sampled parent that become spans.',
  },
  logLevel: {
    env: 'WEIR_LOG_LEVEL',
    type: 'string',
    default: 'info',
    oneOf: LOG_LEVELS,
    about: 'trace, debug, info, warn or error.',
  },
} as const;

export type AgentOptions = Options<typeof AGENT_OPTIONS>;
