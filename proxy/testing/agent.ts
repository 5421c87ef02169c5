// The agent's end of the control channel, for tests.

import { chmodSync, rmSync } from 'node:fs';
import { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import { loadService } from '#api/load.ts';

/** FromWorker, as proto-loader gives it. */
export interface WorkerMessage {
  readonly hello?: { readonly slot: number; readonly pid: number; readonly version: number };
  readonly ack?: { readonly version: number };
  readonly records?: { readonly records: readonly Record<string, unknown>[]; readonly dropped: number };
}

export interface TestAgent extends AsyncDisposable {
  readonly messages: readonly WorkerMessage[];
  /** Sends ToWorker to every worker, and to those that come later. */
  send(message: object): void;
}

/** Listens on a unix socket at `path`. Every worker that attaches gets `first`. */
export async function startTestAgent(path: string, first: object): Promise<TestAgent> {
  rmSync(path, { force: true });
  const server = new Server();
  const streams = new Set<ServerDuplexStream<WorkerMessage, object>>();
  const messages: WorkerMessage[] = [];
  const sent: object[] = [first];
  const service = loadService({
    file: 'proxy.proto',
    name: 'weir.proxy.v1.ProxyControl',
    camelCase: true,
    longs: 'number',
  });
  server.addService(service, {
    Attach(stream: ServerDuplexStream<WorkerMessage, object>) {
      streams.add(stream);
      stream.on('data', (message: WorkerMessage) => messages.push(message));
      stream.on('end', () => stream.end());
      stream.on('error', () => {});
      stream.on('close', () => streams.delete(stream));
      for (const message of sent) stream.write(message);
    },
  });
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) =>
      error ? reject(error) : resolve(),
    ),
  );
  chmodSync(path, 0o666);
  return {
    messages,
    send(message) {
      sent.push(message);
      for (const stream of streams) stream.write(message);
    },
    async [Symbol.asyncDispose]() {
      server.forceShutdown();
      await new Promise((resolve) => setImmediate(resolve));
      rmSync(path, { force: true });
    },
  };
}
