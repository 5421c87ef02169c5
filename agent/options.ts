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
  policyEnforcement: {
    env: 'WEIR_POLICY_ENFORCEMENT',
    type: 'string',
    default: 'default',
    oneOf: ['default', 'always', 'never'],
    about: 'Where policy is asked: default (where a rule speaks), always (also where none does) or never.',
  },
  policyAudit: {
    env: 'WEIR_POLICY_AUDIT',
    type: 'boolean',
    default: false,
    about: 'Audit mode: what policy denies at L3 and L4 passes and is reported.',
  },
  nodePeers: {
    env: 'WEIR_NODE_PEERS',
    type: 'boolean',
    default: false,
    about: 'Whether policies may select nodes as peers by their labels (fromNodes, toNodes).',
  },
  namesFile: {
    env: 'WEIR_NAMES_FILE',
    type: 'string',
    default: '',
    about: 'YAML file of names and their addresses, for policies with toFQDNs.',
  },
  labels: {
    env: 'WEIR_LABELS',
    type: 'string',
    default: '',
    about:
      'Labels of pods that make identities: prefixes of keys, with "!" those that do not, with blanks between them.',
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
