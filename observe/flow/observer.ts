// observer.Observer: the flow API over a ring, for any gRPC server.

import type {
  handleServerStreamingCall,
  handleUnaryCall,
  ServerWritableStream,
  UntypedHandleCall,
} from '@grpc/grpc-js';
import { compileFilters } from './filter.ts';
import { type FlowsRequest, type FlowsResponse, type Timestamp, timestampNs } from './model.ts';
import type { FlowRing } from './ring.ts';
import { type FlowQuery, selectFlows } from './select.ts';

export interface ObserverOptions {
  readonly ring: FlowRing;
  readonly node: string;
  readonly version: string;
  /** Names of the namespaces that exist. */
  namespaces(): readonly string[];
  /** Called with the number of flows that a client was too slow to read. */
  onLost?(count: number): void;
}

/** Clients that may stream at once; a further one is refused. */
const MAX_STREAMS = 64;

// Numbers of google.rpc.Code; grpc-js itself is not loaded for them.
const INVALID_ARGUMENT = 3;
const RESOURCE_EXHAUSTED = 8;
const INTERNAL = 13;

/** The handlers of observer.Observer. `close` ends every stream. */
export function createObserver(options: ObserverOptions): {
  readonly handlers: Readonly<Record<string, UntypedHandleCall>>;
  close(): void;
} {
  const started = process.hrtime.bigint();
  const closing = new AbortController();
  let streams = 0;

  const getFlows: handleServerStreamingCall<FlowsRequest, FlowsResponse> = (call) => {
    const query = readQuery(call.request);
    if (typeof query === 'string') return fail(call, INVALID_ARGUMENT, query);
    if (streams >= MAX_STREAMS) {
      return fail(call, RESOURCE_EXHAUSTED, `Cannot stream flows: ${streams} clients already do`);
    }
    streams++;
    void stream(call, query, { ...options, closing: closing.signal })
      .catch((error: unknown) => fail(call, INTERNAL, `Cannot stream flows: ${(error as Error).message}`))
      .finally(() => streams--);
  };

  const status = () => ({
    num_flows: options.ring.size,
    max_flows: options.ring.capacity,
    seen_flows: options.ring.seen,
    uptime_ns: String(process.hrtime.bigint() - started),
  });
  const serverStatus: handleUnaryCall<object, object> = (_call, reply) =>
    reply(null, {
      ...status(),
      num_connected_nodes: { value: 1 },
      num_unavailable_nodes: { value: 0 },
      version: options.version,
      flows_rate: flowsPerSecond(options.ring, Date.now()),
    });
  const getNodes: handleUnaryCall<object, object> = (_call, reply) =>
    reply(null, {
      nodes: [{ name: options.node, version: options.version, state: 'NODE_CONNECTED', ...status() }],
    });
  const getNamespaces: handleUnaryCall<object, object> = (_call, reply) =>
    reply(null, { namespaces: options.namespaces().map((namespace) => ({ cluster: 'default', namespace })) });

  return {
    handlers: {
      GetFlows: getFlows,
      ServerStatus: serverStatus,
      GetNodes: getNodes,
      GetNamespaces: getNamespaces,
    } as unknown as Record<string, UntypedHandleCall>,
    close: () => closing.abort(),
  };
}

async function stream(
  call: ServerWritableStream<FlowsRequest, FlowsResponse>,
  query: FlowQuery,
  options: ObserverOptions & { readonly closing: AbortSignal },
): Promise<void> {
  const gone = new AbortController();
  for (const event of ['cancelled', 'error', 'close'] as const) call.on(event, () => gone.abort());
  const signal = AbortSignal.any([gone.signal, options.closing]);
  for await (const response of selectFlows(query, { ring: options.ring, node: options.node, signal })) {
    if (response.lost_events?.source === 'HUBBLE_RING_BUFFER') {
      options.onLost?.(Number(response.lost_events.num_events_lost));
    }
    if (!call.write(response)) await drained(call, signal);
  }
  if (!gone.signal.aborted) call.end();
}

function drained(call: ServerWritableStream<FlowsRequest, FlowsResponse>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      call.off('drain', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    call.on('drain', done);
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
}

function fail(call: ServerWritableStream<FlowsRequest, FlowsResponse>, code: number, details: string): void {
  call.emit('error', { code, details });
}

function readQuery(request: FlowsRequest): FlowQuery | string {
  const number = Number(request.number ?? 0);
  if (request.first && request.follow) return 'Cannot stream flows: "first" and "follow" exclude each other';
  if (request.first && number === 0) return 'Cannot stream flows: "first" needs "number"';
  const filters = compileFilters(request);
  if (!filters.ok) return filters.error;
  return {
    matches: filters.value,
    number,
    first: request.first === true,
    follow: request.follow === true,
    since: readTime(request.since),
    until: readTime(request.until),
  };
}

function readTime(time: Timestamp | undefined): bigint | undefined {
  return time ? timestampNs({ seconds: time.seconds ?? 0, nanos: time.nanos ?? 0 }) : undefined;
}

/** Flows a second over the last minute, or over what the ring holds if that is less. */
export function flowsPerSecond(ring: FlowRing, nowMs: number): number {
  let flows = 0;
  let oldestMs = nowMs - 60_000;
  for (let position = ring.next - 1; position >= ring.oldest; position--) {
    const entry = ring.at(position);
    if (entry?.kind !== 'flow') continue;
    const ms = Number(timestampNs(entry.flow.time) / 1_000_000n);
    if (ms < nowMs - 60_000) break;
    flows++;
    if (position === ring.oldest && ring.oldest > 0) oldestMs = ms;
  }
  return flows === 0 ? 0 : flows / Math.max(1, (nowMs - oldestMs) / 1_000);
}
