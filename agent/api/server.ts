// The agent's gRPC server on the node's unix socket: weir.node.v1.Node and observer.Observer.

import { chmodSync, mkdtempSync, renameSync, rmdirSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type handleUnaryCall, Server, ServerCredentials, status, type UntypedHandleCall } from '@grpc/grpc-js';
import {
  type ExplainRequest,
  type GetPodRequest,
  type JsonReply,
  type ListRequest,
  nodeService,
  observerService,
  type VerdictsRequest,
} from '#api/node.ts';
import type { Result } from '#common/result.ts';
import { createObserver } from '#observe/flow/observer.ts';
import type { FlowRing } from '#observe/flow/ring.ts';
import { explain } from '../explain/explain.ts';
import { verdictMatrix } from '../explain/matrix.ts';
import { createWorld } from '../explain/world.ts';
import { listRows } from './lists.ts';
import { nodeStatus, type StatusOptions } from './status.ts';

export interface AgentApiOptions extends StatusOptions {
  /** layout.agentSocket */
  readonly socket: string;
  readonly ring: FlowRing;
  /** Called with the number of flows that a slow client lost. */
  onLost?(count: number): void;
}

export interface AgentApi {
  /** Ends every stream, waits for calls under way (at most a second), and removes the socket. */
  close(): Promise<void>;
}

/** Calls that may be under way on one connection. */
const MAX_CALLS = 128;
const CLOSE_TIMEOUT_MS = 1_000;

/** Serves the API on `options.socket`, which only root can open. A socket file that is there is replaced. */
export async function serveAgentApi(options: AgentApiOptions): Promise<AgentApi> {
  const server = new Server({ 'grpc.max_concurrent_streams': MAX_CALLS });
  const observer = createObserver({
    ring: options.ring,
    node: options.node,
    version: options.version,
    namespaces: () => [...options.tables.inputs.namespaces.entries()].map(([name]) => name).sort(),
    onLost: (count) => options.onLost?.(count),
  });
  server.addService(nodeService(), nodeHandlers(options));
  server.addService(observerService(), observer.handlers);
  await bindPrivately(server, options.socket);
  return {
    async close() {
      observer.close();
      rmSync(options.socket, { force: true });
      const timer = setTimeout(() => server.forceShutdown(), CLOSE_TIMEOUT_MS);
      await new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
      clearTimeout(timer);
    },
  };
}

// The socket appears at its path only when nobody but root can open it: it is made in a folder of its own, then moved.
async function bindPrivately(server: Server, socket: string): Promise<void> {
  const folder = mkdtempSync(join(dirname(socket), '.api-'));
  const path = join(folder, basename(socket));
  try {
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) =>
        error ? reject(new Error(`Cannot serve the node API on ${socket}: ${error.message}`)) : resolve(),
      );
    });
    chmodSync(path, 0o600);
    renameSync(path, socket);
  } finally {
    rmSync(path, { force: true });
    rmdirSync(folder);
  }
}

function nodeHandlers(options: AgentApiOptions): Readonly<Record<string, UntypedHandleCall>> {
  const getStatus: handleUnaryCall<object, object> = (_call, reply) => reply(null, nodeStatus(options));
  const list: handleUnaryCall<ListRequest, object> = ({ request }, reply) => {
    const rows = listRows(request, options);
    if (rows.ok) reply(null, rows.value);
    else reply({ code: status.INVALID_ARGUMENT, details: rows.error });
  };
  const getPod: handleUnaryCall<GetPodRequest, object> = ({ request }, reply) => {
    const handle = options.providers.runtime.podHandle(request);
    if (handle) reply(null, handle);
    else reply({ code: status.NOT_FOUND, details: withoutHandle(request, options) });
  };
  const getMetrics: handleUnaryCall<object, object> = (_call, reply) => {
    options.providers.metricsText().then(
      (text) => reply(null, { text }),
      (error: unknown) => reply({ code: status.INTERNAL, details: `Cannot read metrics: ${(error as Error).message}` }),
    );
  };
  const methods = { GetStatus: getStatus, List: list, GetPod: getPod, GetMetrics: getMetrics };
  return { ...methods, ...policyHandlers(options) } as unknown as Record<string, UntypedHandleCall>;
}

// Asked rarely, by people: each answer indexes the rows anew.
function policyHandlers({ tables }: AgentApiOptions) {
  const handle =
    <Request>(
      verb: string,
      answer: (request: Request) => Result<unknown, string>,
    ): handleUnaryCall<Request, JsonReply> =>
    ({ request }, reply) => {
      const answered = answer(request);
      if (answered.ok) reply(null, { json: JSON.stringify(answered.value) });
      else reply({ code: status.INVALID_ARGUMENT, details: `Cannot ${verb}: ${answered.error}` });
    };
  return {
    Explain: handle<ExplainRequest>('explain the flow', ({ request, ...ends }) =>
      explain({ ...ends, ...(request ? { request } : {}) }, createWorld(tables)),
    ),
    GetVerdicts: handle<VerdictsRequest>('compute verdicts', (request) => verdictMatrix(request, createWorld(tables))),
  };
}

function withoutHandle({ namespace, name, container }: GetPodRequest, { tables }: AgentApiOptions): string {
  const row = tables.inputs.pods.get(`${namespace}/${name}`);
  if (row === undefined) return `Cannot find pod "${namespace}/${name}": there is none`;
  const containers = row.object.spec.containers.map((c) => c.name);
  if (container !== '' && !containers.includes(container)) {
    return `Cannot find container "${container}" of pod "${namespace}/${name}": it has ${containers.join(', ')}`;
  }
  return `Cannot enter pod "${namespace}/${name}": its network is not there yet`;
}
