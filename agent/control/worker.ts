// One proxy worker's stream: what it was sent, what it has acknowledged, and when it is too far behind.

import { type ServerDuplexStream, status } from '@grpc/grpc-js';
import type { AccessRecord } from '../flows/access-record.ts';
import type { FromWorker, UpdateMessage } from './messages.ts';

export interface WorkerState {
  readonly slot: number;
  readonly pid: number;
  readonly build: string;
  /** Version of the last update that was sent, and of the last one in force; 0: none. */
  readonly sent: number;
  readonly acknowledged: number;
  /** It has acknowledged an update to this agent: what it had from an earlier one is void. */
  readonly current: boolean;
  /** It has not acknowledged an update in time or is not attached, and still so. */
  readonly late: boolean;
  /** Access records that the worker could not send. */
  readonly recordsDropped: number;
}

export type WorkerStream = ServerDuplexStream<FromWorker, object>;

export interface Worker {
  readonly state: WorkerState;
  /** Sends an update. A worker with too many unacknowledged ones is cut off: it comes back and gets a full one. */
  send(update: UpdateMessage): void;
  drain(timeoutMs: number): void;
  /** Resolves when `version` is acknowledged (true), or the time is over or the stream has ended (false). */
  acknowledges(version: number, timeoutMs: number): Promise<boolean>;
  end(): void;
}

/** Updates on their way to one worker. */
const MAX_UNACKNOWLEDGED = 32;

/** A worker that said hello on `stream`. */
export function createWorker(
  stream: WorkerStream,
  hello: { readonly slot: number; readonly pid: number; readonly build: string },
  events: { onRecords(slot: number, records: readonly AccessRecord[], dropped: number): void },
): Worker {
  const waiting = new Set<() => void>();
  const sentVersions: number[] = [];
  let [acknowledged, sent, recordsDropped] = [-1, 0, 0]; // version 0 is to be acknowledged too
  let late = false;
  let over = false;
  const wake = (): void => {
    for (const check of waiting) check();
  };
  stream.on('data', (message: FromWorker) => {
    if (message.ack) {
      acknowledged = Math.max(acknowledged, Math.min(Number(message.ack.version), sent));
      while ((sentVersions[0] ?? Number.POSITIVE_INFINITY) <= acknowledged) sentVersions.shift();
      if (acknowledged >= sent) late = false;
      wake();
    }
    if (message.records) {
      const dropped = Number(message.records.dropped);
      recordsDropped += dropped;
      events.onRecords(hello.slot, message.records.records, dropped);
    }
  });
  stream.on('close', () => {
    over = true;
    wake();
  });
  const cutOff = (details: string): void => {
    over = true;
    stream.emit('error', { code: status.RESOURCE_EXHAUSTED, details });
    wake();
  };
  return {
    get state() {
      const current = acknowledged >= 0;
      return { ...hello, sent, acknowledged: Math.max(acknowledged, 0), current, late, recordsDropped };
    },
    send(update) {
      if (over) return;
      if (sentVersions.length >= MAX_UNACKNOWLEDGED) {
        cutOff(`Cannot update worker ${hello.slot}: ${sentVersions.length} updates are not acknowledged`);
        return;
      }
      sent = update.version;
      sentVersions.push(sent);
      stream.write({ update });
    },
    drain: (timeoutMs) => void (over || stream.write({ drain: { timeoutMs } })),
    acknowledges: (version, timeoutMs) =>
      new Promise((resolve) => {
        const finish = (done: boolean): void => {
          clearTimeout(timer);
          waiting.delete(check);
          late = !done && !over;
          resolve(done);
        };
        const timer = setTimeout(() => finish(false), timeoutMs);
        const check = (): void => {
          if (acknowledged >= version) finish(true);
          else if (over) finish(false);
        };
        waiting.add(check);
        check();
      }),
    end() {
      over = true;
      stream.end();
      wake();
    },
  };
}
