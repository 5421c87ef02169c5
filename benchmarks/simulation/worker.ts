// Stands for a proxy worker: a process of its own that acknowledges every update at once. Argument: the agent's socket.

import { Client, type ClientDuplexStream, credentials } from '@grpc/grpc-js';
import { loadService } from '#api/load.ts';

interface ToWorker {
  readonly update?: { readonly version: string } | null;
}

const [socket = ''] = process.argv.slice(2);
const options = { file: 'proxy.proto', name: 'weir.proxy.v1.ProxyControl', camelCase: true, longs: 'text' } as const;
const method = loadService(options).Attach;
if (!method) throw new Error('Cannot attach: the service has no method "Attach"');
const client = new Client(`unix:${socket}`, credentials.createInsecure());
const stream: ClientDuplexStream<object, ToWorker> = client.makeBidiStreamRequest(
  method.path,
  method.requestSerialize as (message: object) => Buffer,
  method.responseDeserialize as (bytes: Buffer) => ToWorker,
);
stream.on('data', ({ update }: ToWorker) => {
  if (update) stream.write({ ack: { version: update.version } });
});
stream.on('error', () => process.exit(0)); // the agent has ended
stream.on('end', () => process.exit(0));
stream.write({ hello: { slot: 0, pid: process.pid, build: 'bench', version: '0' } });
