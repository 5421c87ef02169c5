// ProxyControl: the agent's end of the channel to its proxy workers (api/proxy.proto), on a unix socket.

import { chmodSync, chownSync, rmSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { Server, ServerCredentials, status } from '@grpc/grpc-js';
import { loadService } from '#api/load.ts';
import type { AccessRecord } from '../flows/access-record.ts';
import { nodeLayout } from '../layout.ts';
import type { RulesetPublisher } from '../sync/sync.ts';
import type { Desired } from '../tables.ts';
import { WORKER_UID } from '../workers/command.ts';
import { runningWorkers } from '../workers/remembered.ts';
import { createAbsence, type SupervisedWorker } from './absence.ts';
import type { FromWorker, UpdateMessage } from './messages.ts';
import { createPublished, type Publication } from './published.ts';
import { createUptake } from './uptake.ts';
import { createWorker, type Worker, type WorkerState, type WorkerStream } from './worker.ts';

export interface ProxyControl extends RulesetPublisher {
  /**
   * By slot. 'attached' (default): the workers that are attached and have taken up the first update that they were sent.
   * 'running': all that are attached, and those that run and are not.
   */
  workers(which?: 'attached' | 'running'): readonly WorkerState[];
  /** Tells a worker to finish and exit. False: none is attached at this slot. */
  drain(slot: number, timeoutMs: number): boolean;
  close(): Promise<void>;
}

export interface ProxyControlOptions {
  readonly path: string;
  readonly desired: Pick<Desired, 'rulesets' | 'endpoints'>;
  readonly onRecords: (
    records: readonly AccessRecord[],
    from: { readonly slot: number; readonly dropped: number },
  ) => void;
  /** A worker has attached or is gone. */
  readonly onWorkers?: () => void;
  /** Workers that run, attached or not; default: those written down in the state of the node whose socket `path` is. */
  readonly supervised?: () => readonly SupervisedWorker[];
  /** User that the workers run as; default: the one nobody else has. */
  readonly uid?: number;
  /** How long an update waits for its acknowledgement, and for a worker that is not attached. */
  readonly ackTimeoutMs?: number;
}

const ACK_TIMEOUT_MS = 1000;
const MAX_SLOT = 63;
/** One batch of access records; the worker's own limit is below. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
/** More streams than this are refused: one worker a slot, and its successor. */
const MAX_STREAMS = 2 * (MAX_SLOT + 1);

const NOTHING_HEARD = { build: '', sent: 0, acknowledged: 0, current: false, recordsDropped: 0 };

/**
 * Listens at `path`. Workers that attach before the first `publish` keep the rules they have until then: an agent that
 * has just started knows none.
 */
export async function createProxyControl(options: ProxyControlOptions): Promise<ProxyControl> {
  const { desired, onRecords, onWorkers, ackTimeoutMs = ACK_TIMEOUT_MS } = options;
  const published = createPublished(desired);
  const workers = new Map<number, Worker>();
  const absence = createAbsence({
    supervised: options.supervised ?? (() => runningWorkers(stateDirOf(options.path))),
    isAttached: (slot, pid) => workers.get(slot)?.state.pid === pid,
    timeoutMs: ackTimeoutMs,
  });
  const uptake = createUptake({ workers, absence, timeoutMs: ackTimeoutMs });
  const fresh = new Set<Worker>(); // have not had their full update
  let started = false;
  let streams = 0;

  const bring = (worker: Worker, delta: UpdateMessage | undefined): void => {
    if (fresh.delete(worker)) {
      const full = published.full();
      worker.send(full);
      void worker.acknowledges(full.version, ackTimeoutMs); // late if not, whether or not another update follows
    } else if (delta) worker.send(delta);
  };
  const greet = (stream: WorkerStream, message: FromWorker): void => {
    const hello = message.hello;
    if (!hello || hello.slot > MAX_SLOT) {
      const why = hello ? `slot ${hello.slot} is over ${MAX_SLOT}` : 'the first message is no hello';
      refuse(stream, status.INVALID_ARGUMENT, why);
      return;
    }
    const { slot, pid, build } = hello;
    workers.get(slot)?.end();
    const worker = createWorker(
      stream,
      { slot, pid, build },
      { onRecords: (from, records, dropped) => onRecords(records, { slot: from, dropped }) },
    );
    workers.set(slot, worker);
    absence.attached(pid);
    fresh.add(worker);
    stream.on('close', () => {
      fresh.delete(worker);
      if (workers.get(slot) === worker) workers.delete(slot);
      onWorkers?.();
    });
    if (started) bring(worker, undefined);
    onWorkers?.();
  };
  const attach = (stream: WorkerStream): void => {
    streams++;
    stream.on('error', () => {}); // its close follows
    stream.on('close', () => void streams--);
    stream.on('end', () => stream.end());
    if (streams > MAX_STREAMS) {
      refuse(stream, status.RESOURCE_EXHAUSTED, `${streams} are attached`);
      return;
    }
    stream.once('data', (message: FromWorker) => greet(stream, message));
  };
  const server = await listen(options.path, attach, options.uid ?? WORKER_UID);

  return {
    async publish(what: Publication) {
      const delta = published.advance(what);
      const isFirst = !started;
      started = true;
      for (const worker of workers.values()) bring(worker, delta);
      // Names of workloads are for spans: no verdict waits for them. What an earlier agent said may be void altogether.
      if ((!delta || delta.rulesets.length === 0) && !isFirst) return [];
      return uptake.lateFor(delta?.version ?? 0);
    },
    workers(which = 'attached') {
      const states = [...workers.values()].map((worker) => worker.state);
      const away = absence.list().map(({ slot, pid, late }) => ({ ...NOTHING_HEARD, slot, pid, late }));
      const wanted = which === 'attached' ? states.filter((state) => state.current) : [...states, ...away];
      return wanted.sort((a, b) => a.slot - b.slot);
    },
    drain(slot, timeoutMs) {
      workers.get(slot)?.drain(timeoutMs);
      return workers.has(slot);
    },
    async close() {
      published.close();
      for (const worker of workers.values()) worker.end();
      server.forceShutdown();
      rmSync(options.path, { force: true });
    },
  };
}

function refuse(stream: WorkerStream, code: status, why: string): void {
  stream.emit('error', { code, details: `Cannot attach worker: ${why}` });
}

/** State directory of the node whose ProxyControl socket is at `path`. */
function stateDirOf(path: string): string {
  const { stateDir, proxySocket } = nodeLayout(basename(dirname(path)), '');
  return proxySocket === path ? stateDir : dirname(path); // a test's own place
}

async function listen(path: string, attach: (stream: WorkerStream) => void, uid: number): Promise<Server> {
  rmSync(path, { force: true }); // of an agent that was killed
  const server = new Server({ 'grpc.max_receive_message_length': MAX_MESSAGE_BYTES });
  const service = loadService({
    file: 'proxy.proto',
    name: 'weir.proxy.v1.ProxyControl',
    camelCase: true,
    longs: 'text',
  });
  server.addService(service, { Attach: attach });
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (cause) =>
      cause ? reject(new Error(`Cannot listen on "${path}": ${cause.message}`, { cause })) : resolve(),
    );
  });
  chmodSync(path, 0o600);
  chownSync(path, uid, uid);
  return server;
}
