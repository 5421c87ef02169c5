// The CLI's side of the node API. gRPC is loaded when a command connects, not when the CLI starts.

import { accessSync, constants } from 'node:fs';
import type { Client, ClientReadableStream, ServiceError } from '@grpc/grpc-js';
import type { Command } from 'commander';
import type { Matrix } from '#agent/explain/matrix.ts';
import type { Explanation } from '#agent/explain/model.ts';
import { nodeLayout } from '#agent/layout.ts';
import { parseNodeName } from '#agent/node/names.ts';
import type {
  ExplainRequest,
  GetPodRequest,
  JsonReply,
  ListReply,
  ListRequest,
  NodeStatus,
  PodHandle,
  VerdictsRequest,
} from '#api/node.ts';
import { WeirError } from '#common/errors.ts';
import type { FlowsRequest, FlowsResponse } from '#observe/flow/model.ts';
import { CliError, EXIT } from './exit.ts';

/** Options of every command that speaks to a node. */
export interface NodeOptions {
  readonly node: string;
  readonly socket?: string;
}

/** Adds --node and --socket to a command. */
export function withNodeOptions(command: Command): Command {
  return command
    .option('--node <name>', 'the node to ask (environment: WEIR_NODE)', process.env.WEIR_NODE || 'node0')
    .option('--socket <path>', "the agent's socket, if it is not the node's own");
}

export interface NodeClient {
  status(): Promise<NodeStatus>;
  list(request: ListRequest): Promise<ListReply>;
  pod(request: GetPodRequest): Promise<PodHandle>;
  metrics(): Promise<string>;
  explain(request: ExplainRequest): Promise<Explanation>;
  verdicts(request: VerdictsRequest): Promise<Matrix>;
  /** Flows as they come; ends with the stream. */
  flows(request: FlowsRequest): ClientReadableStream<FlowsResponse>;
  close(): void;
}

/** Calls that are no streams must be answered within this time. */
const DEADLINE_MS = 10_000;
/** Flow messages are small; a list of very many rows may not be. */
const MAX_MESSAGE_BYTES = 64 << 20;

/** Runs `use` with a connection to the node, and closes it. gRPC errors become errors for people. */
export async function withNode<T>(options: NodeOptions, use: (client: NodeClient) => Promise<T>): Promise<T> {
  const socket = socketOf(options);
  checkSocket(options, socket);
  const client = await connect(socket);
  try {
    return await use(client);
  } catch (error) {
    throw await readable(error as Error, options, socket);
  } finally {
    client.close();
  }
}

function socketOf(options: NodeOptions): string {
  const node = parseNodeName(options.node);
  if (!node.ok) throw new CliError(node.error, EXIT.usage);
  return options.socket ?? nodeLayout(node.value, '').agentSocket;
}

/** gRPC says of every socket that it cannot open that nobody answers: what stands in the way is found out before. */
function checkSocket(options: NodeOptions, socket: string): void {
  try {
    accessSync(socket, constants.W_OK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw notRunning(options, socket);
    throw new WeirError('WEIR_NOT_ROOT', `Cannot reach node "${options.node}": permission denied on ${socket}`);
  }
}

async function connect(socket: string): Promise<NodeClient> {
  const [grpc, { nodeService, observerService }] = await Promise.all([import('@grpc/grpc-js'), import('#api/node.ts')]);
  const limits = { 'grpc.max_receive_message_length': MAX_MESSAGE_BYTES };
  const create = (service: ReturnType<typeof nodeService>, name: string): Client =>
    new (grpc.makeGenericClientConstructor(service, name))(
      `unix:${socket}`,
      grpc.credentials.createInsecure(),
      limits,
    ) as unknown as Client;
  const node = create(nodeService(), 'Node') as unknown as UnaryMethods;
  const observer = create(observerService(), 'Observer') as unknown as UnaryMethods & StreamMethods;
  const call = <T>(method: keyof UnaryMethods, request: object): Promise<T> =>
    new Promise((resolve, reject) => {
      const deadline = Date.now() + DEADLINE_MS;
      node[method](request, { deadline }, (error, reply) => (error ? reject(error) : resolve(reply as T)));
    });
  return {
    status: () => call('GetStatus', {}),
    list: (request) => call('List', request),
    pod: (request) => call('GetPod', request),
    metrics: async () => (await call<{ text: string }>('GetMetrics', {})).text,
    explain: async (request) => JSON.parse((await call<JsonReply>('Explain', request)).json),
    verdicts: async (request) => JSON.parse((await call<JsonReply>('GetVerdicts', request)).json),
    flows: (request) => observer.GetFlows(request),
    close() {
      (node as unknown as Client).close();
      (observer as unknown as Client).close();
    },
  };
}

type Unary = (
  request: object,
  options: { readonly deadline: number },
  reply: (error: ServiceError | null, value: unknown) => void,
) => void;
type UnaryMethods = Readonly<Record<'GetStatus' | 'List' | 'GetPod' | 'GetMetrics' | 'Explain' | 'GetVerdicts', Unary>>;
interface StreamMethods {
  GetFlows(request: FlowsRequest): ClientReadableStream<FlowsResponse>;
}

async function readable(error: Error, options: NodeOptions, socket: string): Promise<Error> {
  const { code, details } = error as Partial<ServiceError>;
  if (typeof code !== 'number' || details === undefined) return error;
  const { status } = await import('@grpc/grpc-js');
  switch (code) {
    case status.UNAVAILABLE:
      return notRunning(options, socket);
    case status.DEADLINE_EXCEEDED:
      return new CliError(
        `Cannot ask node "${options.node}": its agent did not answer within ${DEADLINE_MS / 1_000} s`,
      );
    case status.INVALID_ARGUMENT:
      return new CliError(details, EXIT.usage);
    default:
      return new CliError(details || `Cannot ask node "${options.node}": ${error.message}`);
  }
}

function notRunning({ node }: NodeOptions, socket: string): CliError {
  const text = `Cannot reach node "${node}": no agent answers on ${socket} (start it with "weir up DIR")`;
  return new CliError(text, EXIT.notRunning);
}
