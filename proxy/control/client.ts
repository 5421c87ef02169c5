// The worker's end of the control channel. It connects for ever; while the agent is away everything goes on as it was.

import { setTimeout as sleep } from 'node:timers/promises';
import { Client, type ClientDuplexStream, credentials } from '@grpc/grpc-js';
import { loadService } from '#api/load.ts';
import type { Logger } from '#common/log.ts';
import type { ToWorker, UpdateMessage } from './messages.ts';

export interface ControlClient {
  /** Tells the agent that an update is in force. */
  acknowledge(version: number): void;
  /** Sends records. False: the agent is away or does not keep up; they are not sent. */
  sendRecords(records: readonly object[], dropped: number): boolean;
  /** Ends the connection and does not come back. */
  close(): Promise<void>;
}

export interface ControlOptions {
  readonly socketPath: string;
  readonly slot: number;
  readonly build: string;
  readonly log: Logger;
  onUpdate(update: UpdateMessage): void;
  onDrain(timeoutMs: number): void;
}

const RETRY_MS = { first: 50, max: 200 };
const CHANNEL = {
  'grpc.initial_reconnect_backoff_ms': 50,
  'grpc.max_reconnect_backoff_ms': 200,
  'grpc.max_receive_message_length': -1, // a full update is as large as the node's policy
};

type Stream = ClientDuplexStream<object, ToWorker>;

/** Starts to connect. */
export function startControlClient(options: ControlOptions): ControlClient {
  const service = loadService({
    file: 'proxy.proto',
    name: 'weir.proxy.v1.ProxyControl',
    camelCase: true,
    longs: 'number',
  });
  const attach = service.Attach as NonNullable<typeof service.Attach>;
  const client = new Client(`unix:${options.socketPath}`, credentials.createInsecure(), CHANNEL);
  const closing = new AbortController();
  let stream: Stream | undefined;
  let full = false; // the stream takes nothing more for now
  let version = 0;
  let failures = 0;

  const onMessage = (message: ToWorker): void => {
    failures = 0;
    if (message.update) options.onUpdate(message.update);
    if (message.drain) options.onDrain(message.drain.timeoutMs);
  };
  /** One stream, from its first message to its end. */
  const attachOnce = (): Promise<string> =>
    new Promise((resolve) => {
      const opened: Stream = client.makeBidiStreamRequest(
        attach.path,
        attach.requestSerialize,
        attach.responseDeserialize as (bytes: Buffer) => ToWorker,
      );
      full = false;
      opened.on('data', onMessage);
      opened.on('drain', () => {
        full = false;
      });
      opened.on('error', (error) => resolve(error.message));
      opened.on('end', () => {
        opened.end();
        resolve('the agent closed the stream');
      });
      opened.write({ hello: { slot: options.slot, pid: process.pid, build: options.build, version } });
      stream = opened;
    });
  const run = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      const reason = await attachOnce();
      stream = undefined;
      if (closing.signal.aborted) return;
      if (failures++ === 0) options.log.warn({ reason }, 'control stream ended; going on with the last state');
      const delayMs = Math.min(RETRY_MS.first * 2 ** Math.min(failures, 6), RETRY_MS.max) * (0.5 + Math.random());
      await sleep(delayMs, undefined, { signal: closing.signal }).catch(() => {});
    }
  };
  const running = run();
  const write = (message: object): boolean => {
    if (stream === undefined) return false;
    full = !stream.write(message);
    return true;
  };
  return {
    acknowledge(applied) {
      version = applied;
      write({ ack: { version: applied } });
    },
    sendRecords: (records, dropped) => !full && write({ records: { records, dropped } }),
    async close() {
      closing.abort();
      stream?.end();
      stream?.cancel();
      await running;
      client.close();
    },
  };
}
